"""Tasks: what networks learn. A registry of seeded data sets.

To add a task, write one function that draws its samples and register it:

>>> @register("noisy_line", parameters=("samples",), size=lambda samples: samples)
... def noisy_line(rng, samples):
...     x = rng.uniform(-1, 1, (samples, 1))
...     return ScalarSamples(inputs=x, targets=2 * x)

and configurations can name it. A binary operation mod p is one line, see
:func:`register_modular`. All randomness comes from the ``RandomState``
argument; the split is drawn from it after the samples, as the published code does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokscope.runs.spec import RunSpec


@dataclass(frozen=True)
class SymbolSamples:
    """Pairs of symbols and their classes.

    Attributes
    ----------
    operands : (n, 2) int64
        Symbols a and b, each in 0 .. n_symbols - 1.
    classes : (n,) int64
        Class of each pair, in 0 .. n_classes - 1.
    """

    operands: NDArray[np.int64]
    classes: NDArray[np.int64]
    n_symbols: int
    n_classes: int


@dataclass(frozen=True)
class ScalarSamples:
    """Real inputs and targets.

    Attributes
    ----------
    inputs, targets : (n, 1) float64
    """

    inputs: NDArray[np.float64]
    targets: NDArray[np.float64]


Samples = SymbolSamples | ScalarSamples


@dataclass(frozen=True)
class Task:
    """A registered task.

    Attributes
    ----------
    draw
        ``draw(rng, **parameters)`` gives the samples.
    parameters
        Names of the study settings that the task uses (``p``, ``samples``).
    size
        ``size(**parameters)`` is the number of samples, known without drawing them.
    symbolic
        Whether inputs are pairs of symbols (classification) or scalars (regression).
    check
        ``check(**parameters)`` describes what is wrong with the parameters, or is None.
    """

    name: str
    draw: Callable[..., Samples]
    parameters: tuple[str, ...]
    size: Callable[..., int]
    symbolic: bool
    check: Callable[..., str | None]


#: Registered tasks, by name.
TASKS: dict[str, Task] = {}


def register(
    name: str,
    parameters: tuple[str, ...] = (),
    *,
    size: Callable[..., int],
    symbolic: bool = False,
    check: Callable[..., str | None] = lambda **_: None,
) -> Callable[[Callable[..., Samples]], Callable[..., Samples]]:
    """Register the decorated function as a task; see :class:`Task` for the arguments.

    Raises
    ------
    ValueError
        If the name is taken.
    """

    def add(draw: Callable[..., Samples]) -> Callable[..., Samples]:
        if name in TASKS:
            raise ValueError(f"task {name!r} is registered twice")
        TASKS[name] = Task(name, draw, parameters, size, symbolic, check)
        return draw

    return add


def register_modular(
    name: str, operation: Callable[[NDArray[np.int64], NDArray[np.int64], int], Any]
) -> None:
    """Register ``operation(a, b, p) mod p`` over all p² pairs, listed a-major."""

    @register(name, ("p",), size=lambda p: p * p, symbolic=True)
    def draw(_rng: np.random.RandomState, p: int) -> SymbolSamples:
        a, b = np.divmod(np.arange(p * p, dtype=np.int64), p)
        return SymbolSamples(np.stack([a, b], axis=1), operation(a, b, p) % p, p, p)


register_modular("modular_addition", lambda a, b, p: a + b)
register_modular("modular_subtraction", lambda a, b, p: a - b)
register_modular("modular_multiplication", lambda a, b, p: a * b)
register_modular("modular_sum_of_squares", lambda a, b, p: a * a + b * b)
register_modular("modular_cubic", lambda a, b, p: a**3 + a * b)


def _not_prime(p: int) -> str | None:
    divisor = next((d for d in range(2, int(p**0.5) + 1) if p % d == 0), None)
    return None if divisor is None else f"division needs a prime p; {p} is divisible by {divisor}"


@register("modular_division", ("p",), size=lambda p: p * (p - 1), symbolic=True, check=_not_prime)
def modular_division(_rng: np.random.RandomState, p: int) -> SymbolSamples:
    """``a / b mod p`` over the p (p - 1) pairs with b != 0, listed a-major; p prime."""
    a, b = np.divmod(np.arange(p * (p - 1), dtype=np.int64), p - 1)
    b += 1
    inverse = np.array([0] + [pow(int(x), -1, p) for x in range(1, p)], dtype=np.int64)
    return SymbolSamples(np.stack([a, b], axis=1), a * inverse[b] % p, p, p)


def register_group(
    name: str,
    table: Callable[..., NDArray[np.int64]],
    order: Callable[..., int],
    parameters: tuple[str, ...] = (),
) -> None:
    """Register composition in a group given by its table, over all pairs, listed a-major.

    Parameters
    ----------
    table
        ``table(**parameters)[a, b]`` is the element a∘b, shape ``(order, order)``.
    order
        ``order(**parameters)`` is the number of elements, known without the table.
    """

    @register(name, parameters, size=lambda **of: order(**of) ** 2, symbolic=True)
    def draw(_rng: np.random.RandomState, **of: Any) -> SymbolSamples:
        composed = table(**of)
        n = len(composed)
        a, b = np.divmod(np.arange(n * n, dtype=np.int64), n)
        return SymbolSamples(np.stack([a, b], axis=1), composed.ravel(), n, n)


def permutation_table(degree: int, even: bool = False) -> NDArray[np.int64]:
    """Table of the symmetric group of a degree, or of its even half, the alternating group.

    b acts first: (a∘b)(i) = a(b(i)). Permutations are numbered in lexicographic order; 0 is the
    identity.
    """
    group = np.array(list(permutations(range(degree))), dtype=np.int64)
    if even:
        one, other = np.triu_indices(degree, 1)
        inversions = (group[:, one] > group[:, other]).sum(axis=1)
        group = group[inversions % 2 == 0]
    number = {tuple(row): index for index, row in enumerate(group.tolist())}
    composed = group[:, group]  # [a, b, i] -> a(b(i))
    classes = [number[tuple(row)] for row in composed.reshape(-1, degree).tolist()]
    return np.array(classes, dtype=np.int64).reshape(len(group), len(group))


def dihedral_table(p: int) -> NDArray[np.int64]:
    """Table of the symmetries of a regular polygon of `p` corners, 2p elements.

    Element k + p s is the rotation by k corners after s reflections (s is 0 or 1):
    ``(k, s)∘(l, t) = (k + l or k - l mod p, s + t mod 2)``, minus where s is 1.
    """
    s, k = np.divmod(np.arange(2 * p, dtype=np.int64), p)
    turned = (k[:, None] + np.where(s[:, None] == 1, -k[None, :], k[None, :])) % p
    return np.asarray(turned + p * ((s[:, None] + s[None, :]) % 2), np.int64)


register_group("s5_composition", lambda: permutation_table(5), lambda: 120)
register_group("s4_composition", lambda: permutation_table(4), lambda: 24)
register_group("a5_composition", lambda: permutation_table(5, even=True), lambda: 60)
register_group("dihedral_composition", dihedral_table, lambda p: 2 * p, ("p",))


@register("sine_regression", ("samples",), size=lambda samples: samples)
def sine_regression(rng: np.random.RandomState, samples: int) -> ScalarSamples:
    """``y = sin x + 0.3 sin 3x`` with x ~ U(-3, 3), the control of lead_lag (Du & Ji 2026)."""
    x = rng.uniform(-3, 3, (samples, 1))
    return ScalarSamples(x, np.sin(x) + 0.3 * np.sin(3 * x))


@register("cubic_regression", ("samples",), size=lambda samples: samples)
def cubic_regression(rng: np.random.RandomState, samples: int) -> ScalarSamples:
    """Degree-3 polynomial of a scalar, the arm of the GAI study without delayed generalisation.

    ``x ~ U(-1, 1)``, coefficients ``c_0 .. c_3 ~ N(0, 1)`` drawn after x from the same
    stream; x and y are then standardised over the data set (mean 0, standard deviation 1).
    The paper states neither the distribution of x nor of the coefficients.
    """
    x = rng.uniform(-1, 1, (samples, 1))
    y = np.polynomial.polynomial.polyval(x, rng.standard_normal(4))
    return ScalarSamples((x - x.mean()) / x.std(), (y - y.mean()) / y.std())


def parameters_of(spec: RunSpec, task: Task) -> dict[str, Any]:
    """The parameters of a run's specification that its task uses."""
    return {name: getattr(spec, name) for name in task.parameters}


def n_train(size: int, train_fraction: float | str) -> int:
    """Training samples among ``size``: ``int(size * train_fraction)``, as published."""
    return int(size * float(train_fraction))
