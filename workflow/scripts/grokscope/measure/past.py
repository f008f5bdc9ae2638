"""Past: what a function of a whole signal remembers, so that the signal may come in pieces.

A detector is written for a whole run. While that run is still training, its rows come piece by
piece, and scoring all of them again with each piece would take time that grows with the square of
the run. So the functions that detectors are composed of can continue: inside
:meth:`Past.continued`, each call takes up what the same call, by its place in the order of calls,
remembered of the pieces before. Outside, they are the plain functions that they look like. One
piece or many: the same numbers to the last bit (tested for every detector).

This holds for functions that work along the last axis, the steps, and are called in the same order
for each piece. What is not composed of them, a detector with a sum of its own over all steps,
gives other numbers in pieces; :class:`grokscope.measure.detectors.live.LiveDetectors` tries each
and refuses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ArrayFunction = Callable[..., Array]

_CURRENT: ContextVar[Past | None] = ContextVar("past", default=None)


class _Memory:
    """What one call remembers: values, and the step of the first of them."""

    def __init__(self, values: Array | None = None, start: int = 0) -> None:
        self.values = values
        self.start = start

    def joined(self, values: Array) -> tuple[Array, int]:
        """The remembered values and the new ones, and how many are remembered."""
        if self.values is None:
            return values, 0
        return np.concatenate([self.values, values], axis=-1), self.values.shape[-1]


class Past:
    """What all calls remember of the pieces of one signal."""

    def __init__(self) -> None:
        self._memories: list[_Memory] = []
        self._next = 0

    @contextmanager
    def continued(self) -> Iterator[None]:
        """Functions called inside continue where they were at the end of the piece before."""
        token = _CURRENT.set(self)
        self._next = 0
        try:
            yield
        finally:
            _CURRENT.reset(token)

    def recall(self) -> _Memory:
        """The memory of the call that is next in the order of calls."""
        if self._next == len(self._memories):
            self._memories.append(_Memory())
        self._next += 1
        return self._memories[self._next - 1]

    def state(self) -> list[dict[str, Any]]:
        """All that the next piece depends on; of the calls in their order."""
        return [{"values": memory.values, "start": memory.start} for memory in self._memories]

    @classmethod
    def from_state(cls, state: Sequence[Mapping[str, Any]]) -> Past:
        """Inverse of :meth:`state`."""
        past = cls()
        past._memories = [_Memory(entry["values"], entry["start"]) for entry in state]
        return past


def _alone(function: ArrayFunction, *arguments: Any, **options: Any) -> Array:
    """Call a function that remembers for itself what it calls."""
    token = _CURRENT.set(None)
    try:
        return function(*arguments, **options)
    finally:
        _CURRENT.reset(token)


def trailing(
    reach: Callable[..., int], grid: Callable[..., int] = lambda *_: 1
) -> Callable[[ArrayFunction], ArrayFunction]:
    """Let a function continue whose value t depends on the values ``t - reach .. t`` alone.

    Parameters
    ----------
    reach
        ``reach(*arguments)`` in steps, of the function's arguments after its values.
    grid
        Likewise: the function cuts its values at multiples of so many steps from the first, so
        what is remembered begins at one of them.
    """

    def decorate(function: ArrayFunction) -> ArrayFunction:
        @wraps(function)
        def wrapper(values: Any, *arguments: Any, **options: Any) -> Array:
            past = _CURRENT.get()
            if past is None:
                return function(values, *arguments, **options)
            memory = past.recall()
            joined, known = memory.joined(np.asarray(values, np.float64))
            found = _alone(function, joined, *arguments, **options)
            step = grid(*arguments)
            end = memory.start + joined.shape[-1]
            start = max(0, (end - reach(*arguments)) // step * step)
            memory.values = joined[..., start - memory.start :].copy()
            memory.start = start
            return found[..., known:]

        return wrapper

    return decorate


def cumulative(function: ArrayFunction) -> ArrayFunction:
    """Let a function continue whose values follow from its last value and the new ones alone.

    It must take its own last value for all values before: a maximum so far, a sum so far.
    """

    @wraps(function)
    def wrapper(values: Any, *arguments: Any, **options: Any) -> Array:
        past = _CURRENT.get()
        if past is None:
            return function(values, *arguments, **options)
        memory = past.recall()
        joined, known = memory.joined(np.asarray(values, np.float64))
        found = _alone(function, joined, *arguments, **options)
        memory.values = found[..., -1:].copy()
        return found[..., known:]

    return wrapper


@cumulative
def so_far(values: Array, ufunc: np.ufunc) -> Array:
    """``ufunc`` of all values up to each step: sums, minima, maxima."""
    found: Array = ufunc.accumulate(values, axis=-1)
    return found
