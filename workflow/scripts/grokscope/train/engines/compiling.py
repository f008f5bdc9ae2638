"""Compiled functions, and where their machine code is kept.

It is kept in the user's cache, not beside the source: kernels are compiled once per machine and
not in every checkout. Machine code contains that of the functions it calls, in other files too,
so it is kept under the hash of all files of this folder (numba's own hash is of one file).
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import caching, config
from numba.misc.appdirs import AppDirs

# Numba's types lack these options.
_njit: Any = numba.njit


@cache
def _sources() -> str:
    """Hash of the files that machine code may come from."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


class _UserCache(caching.UserWideCacheLocator):
    """A folder of the user's cache (or of NUMBA_CACHE_DIR), the same for all checkouts."""

    def __init__(self, function: Any, file: str) -> None:
        super().__init__(function, file)
        root = config.CACHE_DIR or AppDirs(appname="numba", appauthor=False).user_cache_dir
        self._cache_path = str(Path(root, f"grokscope-{_sources()[:16]}"))


class _Implementation(caching.CompileResultCacheImpl):
    # Beside the source where the user's cache cannot be written.
    _locator_classes = [_UserCache, caching.InTreeCacheLocator]  # noqa: RUF012


class _Cache(caching.FunctionCache):
    _impl_class = _Implementation

    def _index_key(self, signature: Any, codegen: Any) -> Any:
        return (*super()._index_key(signature, codegen), _sources())

    def save_overload(self, signature: Any, data: Any) -> None:
        # A full disk: the next training compiles again.
        with suppress(OSError):
            super().save_overload(signature, data)


def compiled(function: Callable[..., Any]) -> Any:
    """The function, compiled when first called."""
    dispatcher = _njit(error_model="numpy", no_cfunc_wrapper=True)(function)
    try:
        dispatcher._cache = _Cache(function)
    except RuntimeError:  # No folder can be written.
        warnings.warn("compiled kernels cannot be kept: no folder", RuntimeWarning, stacklevel=2)
    return dispatcher


def within(function: Callable[..., Any]) -> Any:
    """As :func:`compiled`, but to be called in compiled code alone."""
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return _njit(error_model="numpy", **options)(function)
