"""Packing: many arrays and a header as one compressed text inside a page.

Input: named arrays and a JSON value. Output: base64 text, read by ``js/payload.js``:
deflate( length of the header as 4 bytes, little-endian; header; arrays one after the other ). The
header's ``segments`` gives each array's place (bytes), length and type.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

# Types that JavaScript has arrays for.
_TYPES = ("u1", "u2", "u4", "i4", "f4", "f8")
# Every array starts at a multiple of the largest type's size.
_ALIGNED = 8


def to_text(data: bytes) -> str:
    """Compressed bytes as text that stands in HTML as it is."""
    return base64.b64encode(zlib.compress(data, 9)).decode()


def deltas(values: ArrayLike) -> NDArray[np.uint8]:
    """Differences of successive small integers, as their low bytes and then their high bytes.

    Neighbours are alike, so most high bytes are equal and compress to nothing.

    Parameters
    ----------
    values
        From 0 to 32,767, shape ``(n,)``.

    Returns
    -------
    ndarray
        Shape ``(2 n,)``.
    """
    signed = np.diff(np.asarray(values, np.int64), prepend=0)
    # 0, -1, 1, -2, ... as 0, 1, 2, 3, ...: small of either sign have no high byte.
    folded = np.where(signed < 0, -2 * signed - 1, 2 * signed)
    return np.concatenate([folded & 255, folded >> 8]).astype(np.uint8)


class Packer:
    """Collects named arrays."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._segments: dict[str, list[Any]] = {}
        self._size = 0

    def put(self, name: str, values: ArrayLike, dtype: str) -> None:
        """Add an array.

        Parameters
        ----------
        name
            What the page asks for it by.
        dtype
            One of u1, u2, u4, i4, f4 and f8: unsigned, signed or floating with so many bytes.

        Raises
        ------
        ValueError
            If the name is taken, or the type does not hold the values.
        """
        if name in self._segments:
            raise ValueError(f"array {name!r} is packed already")
        given = np.asarray(values)
        array = given.astype(f"<{dtype}")
        if dtype not in _TYPES or (dtype[0] in "ui" and not np.array_equal(array, given)):
            raise ValueError(f"array {name!r}: values that {dtype} does not hold")
        data = array.tobytes()
        padding = -len(data) % _ALIGNED
        self._segments[name] = [self._size, len(array), dtype]
        self._parts.append(data + bytes(padding))
        self._size += len(data) + padding

    def text(self, header: Mapping[str, Any]) -> str:
        """Everything, packed."""
        whole = {**header, "segments": self._segments}
        written = json.dumps(whole, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        head = written.encode()
        # So that the arrays are aligned, too.
        head += b" " * (-(len(head) + 4) % _ALIGNED)
        return to_text(b"".join([len(head).to_bytes(4, "little"), head, *self._parts]))


def values_of(column: pd.Series) -> list[Any]:
    """Values of a column of a table as JSON has them: null for what is unknown."""
    known = column.astype(object).where(column.notna(), None)
    plain = (of.item() if isinstance(of, np.generic) else of for of in known)
    return [None if isinstance(of, float) and not math.isfinite(of) else of for of in plain]
