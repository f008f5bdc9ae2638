"""Provenance: which code a result depends on, as small stamp files.

Snakemake tracks a script by its file time alone and the modules it imports not at all. A
stamp holds the hashes of the syntax trees of a script and of all Grokscope modules that it
imports, and is written only when its content changes; rules take it as input. So an edited
expression reruns what depends on it, while a touched file, a comment, a docstring or a reverted
edit reruns nothing.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from grokscope.core.files import replacing
from grokscope.core.syntax import tree_hash

SCRIPTS = Path(__file__).resolve().parents[2]
_PACKAGE = "grokscope"
# Data that a module reads without a rule naming it.
_DATA = {
    "grokscope.data.tables": ("../schemas/tables.yaml",),
    "grokscope.figures.style": ("grokscope/figures/grokscope.mplstyle",),
}


def _module_file(module: str, scripts: Path) -> Path | None:
    """File of a module or package of Grokscope; None if there is none."""
    place = scripts.joinpath(*module.split("."))
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None


def _imports(tree: ast.AST, package: tuple[str, ...], scripts: Path) -> set[str]:
    """Modules of Grokscope that a syntax tree imports, with the packages they are in.

    Parameters
    ----------
    package
        Names of the packages that the tree's module is in, for relative imports.
    """
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join([*above, *(node.module or "").split(".")]).strip(".")
            names.add(module)
            # "from grokscope import tasks" names a module, "from x import f" does not.
            names.update(f"{module}.{alias.name}" for alias in node.names)
    ours: set[str] = set()
    for name in names:
        parts = name.split(".")
        if parts[0] == _PACKAGE:
            prefixes = [".".join(parts[: n + 1]) for n in range(len(parts))]
            ours.update(prefix for prefix in prefixes if _module_file(prefix, scripts))
    return ours


@cache
def _digest(path: Path, scripts: Path) -> tuple[str, frozenset[str]]:
    """Hash of a file's syntax tree without docstrings, and the Grokscope modules it imports."""
    # Bytes: Python itself knows about encodings, byte order marks and line ends.
    tree = ast.parse(path.read_bytes(), str(path))
    imported = _imports(tree, path.relative_to(scripts).parent.parts, scripts)
    return tree_hash(tree), frozenset(imported)


def _without_descriptions(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_descriptions(v) for k, v in value.items() if k != "description"}
    return value


@cache
def _data_digest(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".yaml":
        text = json.dumps(_without_descriptions(yaml.safe_load(text)))
    return hashlib.sha256(text.encode()).hexdigest()


def code_hashes(
    script: str, scripts: Path = SCRIPTS, without: frozenset[str] = frozenset()
) -> dict[str, str]:
    """Hashes of a script, of all Grokscope modules that it imports, and of the data they read.

    Parameters
    ----------
    script
        Name without suffix, such as ``train_runs``.
    scripts
        Folder of the scripts, which also holds the package.
    without
        Modules that are left out, with what they alone import.

    Raises
    ------
    SyntaxError
        If one of the files does not parse.
    """
    found: dict[str, str] = {}
    start = scripts / f"{script}.py"
    found[script], waiting = _digest(start, scripts)
    todo = set(waiting - without)
    while todo:
        module = todo.pop()
        path = _module_file(module, scripts)
        assert path is not None
        found[module], imported = _digest(path, scripts)
        for name in _DATA.get(module, ()):
            found[Path(name).name] = _data_digest((scripts / name).resolve())
        todo |= imported - without - set(found)
    return dict(sorted(found.items()))


def write_stamps(folder: str | os.PathLike[str], scripts: Path = SCRIPTS) -> None:
    """Write the stamp of every script into ``folder`` if its content has changed."""
    place = Path(folder)
    for script in sorted(scripts.glob("*.py")):
        text = json.dumps(code_hashes(script.stem, scripts), indent=1) + "\n"
        stamp = place / f"{script.stem}.json"
        if stamp.exists() and stamp.read_text(encoding="utf-8") == text:
            continue
        with replacing(stamp) as temporary:
            temporary.write_text(text, encoding="utf-8")
