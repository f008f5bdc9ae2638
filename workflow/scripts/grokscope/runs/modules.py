"""Modules of users: a network of their own, named by file and function in the configuration.

``path/to/file.py:factory``, relative to the working directory. The file's code is part of the
specification of the runs that use it, so an edit trains these again and no others. What it
imports is not: everything that the network depends on belongs into the one file.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from grokscope.core.errors import UserError
from grokscope.core.syntax import tree_hash


class ModuleError(UserError, ValueError):
    """A user's network that cannot be made or used; the message names its file."""


def split_module(module: str) -> tuple[Path, str]:
    """File and name of the function of ``path/to/file.py:factory``.

    Raises
    ------
    ModuleError
        If it has another form.
    """
    path, _, name = module.rpartition(":")
    if not path.endswith(".py") or not name.isidentifier():
        raise ModuleError(
            f"module: {module!r} is not allowed; allowed: path/to/file.py:factory, the file and "
            "the name of its function that makes the network"
        )
    return Path(path), name


@cache
def _hash_of(source: bytes, path: Path, name: str) -> str:
    """Hash of the syntax tree; a file is parsed once, not once per run."""
    try:
        tree = ast.parse(source, str(path))
    except (SyntaxError, ValueError) as error:
        raise ModuleError(f"module: {path} is not Python: {error}") from None
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    if name not in functions:
        has = f"it has {', '.join(functions)}" if functions else "it has none"
        raise ModuleError(f"module: {path} has no function {name}; {has}")
    neighbours = {
        part.split(".")[0]
        for node in ast.walk(tree)
        for part in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    for neighbour in sorted(neighbours - {""}):
        if path.with_name(f"{neighbour}.py").exists() or path.with_name(neighbour).is_dir():
            raise ModuleError(
                f"module: {path} imports {neighbour}, which lies beside it: an edit there would "
                "train nothing again; put all of the network into the one file"
            )
    return tree_hash(tree)


def module_code(module: str | None) -> str:
    """Hash of the code of a user's network, without comments and docstrings.

    Raises
    ------
    ModuleError
        If there is no such file or function, or the file imports one beside it.
    """
    if module is None:
        raise ModuleError("module: is needed for model: module; path/to/file.py:factory")
    path, name = split_module(module)
    try:
        source = path.read_bytes()
    except OSError as error:
        raise ModuleError(f"module: {path}: {error.strerror}") from None
    return _hash_of(source, path, name)
