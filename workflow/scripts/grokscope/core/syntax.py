"""Syntax trees as text: what code does, without comments, docstrings and layout."""

from __future__ import annotations

import ast
import hashlib
from typing import Any

# What "{x:}" has and "{x}" has not.
_NO_FORMAT = ("format_spec", "f([])")


def _is_text(node: Any) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_about_code(node: ast.AST) -> bool:
    """Whether a statement is a docstring or the number of the version: nothing depends on it."""
    if isinstance(node, ast.Assign):
        return [getattr(target, "id", None) for target in node.targets] == ["__version__"]
    return isinstance(node, ast.Expr) and _is_text(node.value)


def _parts(text: ast.JoinedStr) -> list[Any]:
    """Parts of an f-string, joined where they can be: the parser cuts it as its version likes."""
    parts: list[Any] = []
    values: list[Any] = text.values
    for value in values:
        if _is_text(value) and parts and _is_text(parts[-1]):
            parts[-1] = ast.Constant(parts[-1].value + value.value)
        elif not _is_text(value) or value.value:
            parts.append(value)
    return parts


def dump_tree(node: Any) -> str:
    """A syntax tree as text, the same in all versions of Python.

    Not :func:`ast.dump`, which shows the fields that a version happens to have and to leave
    empty. Nothing else is left out but what :func:`_is_about_code` names.
    """
    if isinstance(node, ast.Constant):
        return f"={node.value!a}"
    if isinstance(node, ast.JoinedStr):
        return f"f({dump_tree(_parts(node))})"
    if isinstance(node, ast.AST):
        values = {name: dump_tree(value) for name, value in ast.iter_fields(node)}
        fields = [
            f"{name}:{values[name]}"
            for name in sorted(values)
            if values[name] not in ("None", "[]") and (name, values[name]) != _NO_FORMAT
        ]
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        return f"[{','.join(dump_tree(item) for item in node if not _is_about_code(item))}]"
    return ascii(node)


def tree_hash(tree: ast.AST) -> str:
    """SHA-256 of a syntax tree without docstrings, the same in all versions of Python."""
    return hashlib.sha256(dump_tree(tree).encode()).hexdigest()
