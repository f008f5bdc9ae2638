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
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from grokscope.core.errors import WriteError
from grokscope.core.files import replacing
from grokscope.core.schemas import load_yaml
from grokscope.core.syntax import tree_hash

SCRIPTS = Path(__file__).resolve().parents[2]
_PACKAGE = "grokscope"
# Files that the user's cache knows at most: of some twenty versions of the code.
_MOST = 4096
# Data that a module reads without a rule naming it.
_DATA = {
    "grokscope.data.tables": ("../schemas/tables.yaml",),
    "grokscope.figures.style": ("grokscope/figures/grokscope.mplstyle",),
}


@cache
def _module_file(module: str, scripts: Path) -> Path | None:
    """File of a module or package of Grokscope; None if there is none."""
    place = scripts.joinpath(*module.split("."))
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None


def _imports(tree: ast.AST, package: tuple[str, ...]) -> list[str]:
    """Names of what a syntax tree imports: of modules, and of what may be one.

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
    return sorted(names)


def _ours(names: list[str], scripts: Path) -> frozenset[str]:
    """Modules of Grokscope among the names, with the packages they are in."""
    ours: set[str] = set()
    for name in names:
        parts = name.split(".")
        if parts[0] == _PACKAGE:
            prefixes = [".".join(parts[: n + 1]) for n in range(len(parts))]
            ours.update(prefix for prefix in prefixes if _module_file(prefix, scripts))
    return frozenset(ours)


class _Kept:
    """What was found in files, by their content, kept in the user's cache.

    To parse all files takes more than a second, and each call of the workflow asks for them. A
    cache that cannot be read or written, or that is damaged, costs that time and nothing else.
    """

    def __init__(self) -> None:
        folder = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        self.path = Path(folder, _PACKAGE, "syntax.json")
        self.entries = self._read()
        self.used: dict[str, Any] = {}

    def _read(self) -> dict[str, Any]:
        try:
            entries = json.loads(self.path.read_bytes())
        except (OSError, ValueError):
            return {}
        return entries if isinstance(entries, dict) else {}

    def found(self, path: Path, package: tuple[str, ...]) -> tuple[str, list[str]]:
        """Hash of a file's syntax tree without docstrings, and what it imports."""
        # Bytes: Python itself knows about encodings, byte order marks and line ends.
        content = path.read_bytes()
        key = hashlib.sha256(_method() + ascii(package).encode() + content).hexdigest()
        match self.entries.get(key):
            case [str(digest), list(imported)]:
                pass
            case _:
                tree = ast.parse(content, str(path))
                digest, imported = tree_hash(tree), _imports(tree, package)
        self.used[key] = [digest, imported]
        return digest, imported

    def keep(self) -> None:
        """Write what is new."""
        if self.used.keys() <= self.entries.keys():
            return
        entries = self._read() | self.used
        self.entries = entries if len(entries) < _MOST else dict(self.used)
        with suppress(WriteError, OSError), replacing(self.path) as temporary:
            temporary.write_text(json.dumps(self.entries), encoding="utf-8")


@cache
def _method() -> bytes:
    """Tells apart what other versions of this code or of Python found."""
    code = [
        Path(__file__).with_name(f"{name}.py").read_bytes() for name in ("provenance", "syntax")
    ]
    return hashlib.sha256(b"".join([*code, sys.version.encode()])).digest()


@cache
def _kept() -> _Kept:
    return _Kept()


@cache
def _digest(path: Path, scripts: Path) -> tuple[str, frozenset[str]]:
    """Hash of a file's syntax tree without docstrings, and the Grokscope modules it imports."""
    digest, imported = _kept().found(path, path.relative_to(scripts).parent.parts)
    return digest, _ours(imported, scripts)


def _without_descriptions(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_descriptions(v) for k, v in value.items() if k != "description"}
    return value


@cache
def _data_digest(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".yaml":
        text = json.dumps(_without_descriptions(load_yaml(text)))
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
    # Once, of all: jobs ask for the same files.
    _kept().keep()
