"""Decoding: settings objects from mappings that JSON or YAML gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def decode(kind: type[T], values: Mapping[str, Any]) -> T:
    """A settings object from a mapping with exactly its fields; lists become tuples.

    Raises
    ------
    ValueError
        If a field is missing or unknown.
    """
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if set(values) != names:
        raise ValueError(f"{kind.__name__}: fields differ: {sorted(set(values) ^ names)}")
    return kind(**{name: _frozen(value) for name, value in values.items()})
