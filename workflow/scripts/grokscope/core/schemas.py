"""The closed schemas of config and tables, as data.

In a checkout they are in ``workflow/schemas``; an installed package contains a copy.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

_PLACES = (Path(__file__).parents[1] / "schema_files", Path(__file__).parents[3] / "schemas")


def load_yaml(text: str) -> Any:
    """Value of a YAML text of ours, by the C library where PyYAML has it: every job reads some."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(text, Loader=loader)  # noqa: S506  # A safe one.


def schema_path(name: str) -> Path:
    """Path of a schema file."""
    return next(path for place in _PLACES if (path := place / name).exists())


@cache
def read_schema(name: str) -> dict[str, Any]:
    """Content of a schema file; shared between callers, so it must not be modified."""
    content = load_yaml(schema_path(name).read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content
