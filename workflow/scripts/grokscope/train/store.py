"""Trace store: finished trainings, shared between checkouts and users.

A training is a pure function of its specification, the training code, the libraries that compute,
the kind of device and the kind of processor. The store is a folder of traces, each named by the
hash of these and by the hash of its own bytes: ``{key[:2]}/{key}-{content}.parquet``. Each entry
is one file, written under a temporary name and moved, so any number of writers and readers may
share the folder. An entry is copied and checked (content hash, schema, specification) before it is
used; if it fails the check, it is left in the store and the run is trained.

Nothing in the store is executed: an entry is a parquet file of numbers and JSON. A hostile entry
is refused or, if all its hashes were forged, a wrong trace: share a store only with people whose
results you would believe.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from grokscope.core.files import TEMPORARY, replacing
from grokscope.core.provenance import code_hashes
from grokscope.data.parts import parts_of
from grokscope.data.trace import SCHEMA_VERSION, trace_schema
from grokscope.data.trace_reader import TraceError, check_trace
from grokscope.runs.spec import RunSpec
from grokscope.train.engines import engine_of
from grokscope.train.processors import libraries, processor_kind

_NAME = re.compile(r"(?P<key>[0-9a-f]{64})-(?P<content>[0-9a-f]{64})\.parquet")
_LEFT = re.compile(r"\..*" + re.escape(TEMPORARY))
_ENGINES = frozenset(("cpu", "cuda", "generic"))
_NO_NUMBERS = ("grokscope.core.errors", "grokscope.core.files")
_DAY = 86_400
_CHUNK = 1 << 20
_MOST_COLUMNS = 1000


class StoreError(TraceError):
    """An entry whose content does not match its name."""


class UnreadableError(StoreError):
    """What may not be read here and now: nothing is known against it."""


def content_hash(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def max_bytes(spec: RunSpec) -> int:
    """Upper bound of the size of a trace of the specification."""
    # A network of a user's own may have any number of layers.
    columns = _MOST_COLUMNS if parts_of(spec) is None else len(trace_schema(spec))
    return (1 << 20) + 16 * columns * (spec.steps + 1)


def _files(folder: Path, named: re.Pattern[str]) -> list[Path]:
    """Files of a folder with names of a pattern, in order (reading a pipe would never end).

    Raises
    ------
    UnreadableError
        If the folder may not be read or entered.
    """
    found = []
    try:
        for name in sorted(os.listdir(folder)):
            if named.fullmatch(name):
                with suppress(FileNotFoundError):  # Deleted meanwhile, or a link to nowhere.
                    if stat.S_ISREG((folder / name).stat().st_mode):
                        found.append(folder / name)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UnreadableError(f"{folder}: {error.strerror}") from None
    return found


@cache
def dependencies(engine: str) -> dict[str, Any]:
    """What all trainings by an engine depend on besides specification, device and processor.

    Of the training code, the syntax trees count, without comments and docstrings, and not those
    of other engines. Of the libraries, those that compute: an upgrade of Python or of pyarrow
    changes no number.

    Parameters
    ----------
    engine
        See :func:`grokscope.train.engines.engine_of`.
    """
    # Not numba.__version__: a hit should not wait for the import.
    versions = {name: version(name) for name in libraries(engine)}
    # The wheels of numpy and torch contain their BLAS, conda's leave the choice.
    blas = sorted(
        path.stem
        for name in ("mkl", "libblas", "libopenblas", "libtorch")
        for path in Path(sys.prefix, "conda-meta").glob(f"{name}-[0-9]*.json")
    )
    others = {f"grokscope.train.engines.{name}" for name in _ENGINES - {engine}}
    if engine != "generic":
        others.add("grokscope.train.networks.factory")
    code = code_hashes("grokscope/train/loop", without=frozenset(others))
    return {
        # How a file is written and how an error is worded decides no number.
        "code": {k: v for k, v in code.items() if k not in _NO_NUMBERS},
        "trace_schema": SCHEMA_VERSION,
        "blas": blas,
    } | versions


def training_key(spec: RunSpec, device: str) -> str:
    """Hash of everything that a training depends on.

    Parameters
    ----------
    device
        Kind of device, see :func:`grokscope.train.devices.choose_device`.
    """
    parts = dependencies(engine_of(spec, device)) | {
        "spec": json.loads(spec.to_json()),
        "device": device,
        "processor": processor_kind(device),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Entry:
    """A file of the store."""

    path: Path

    @property
    def key(self) -> str:
        """Hash of everything that the training depended on."""
        return self._part("key")

    @property
    def content(self) -> str:
        """Hash that the bytes must have."""
        return self._part("content")

    def _part(self, name: str) -> str:
        match = _NAME.fullmatch(self.path.name)
        assert match is not None
        return match[name]

    @property
    def last_used(self) -> float:
        """When the entry was stored or last used (seconds since 1970)."""
        return self.path.stat().st_mtime

    def check(self, path: Path | None = None, expected: RunSpec | None = None) -> RunSpec:
        """The specification of an entry whose bytes match its name and are a valid trace.

        Parameters
        ----------
        path
            A copy to check instead of the entry itself.
        expected
            Required specification; None accepts any.

        Raises
        ------
        UnreadableError
            If it may not be read.
        TraceError
            Saying what is wrong.
        """
        path = path or self.path
        try:
            content = content_hash(path)
        except OSError as error:
            raise UnreadableError(error.strerror) from None
        if content != self.content:
            raise StoreError("content hash differs from the one in its name")
        spec = check_trace(path, expected)[0]
        if not isinstance(spec, RunSpec):
            raise StoreError("is of an imported run, which no training makes")
        return spec


class TraceStore:
    """A folder of finished traces.

    Parameters
    ----------
    root
        The folder; created with the first entry. ``~`` is the home directory.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root).expanduser()

    def scan(self, named: re.Pattern[str] = _NAME) -> tuple[list[Path], list[UnreadableError]]:
        """Files with names of a pattern, in order, and which folders may not be read.

        Raises
        ------
        UnreadableError
            If the whole store may not be read.
        """
        found: list[Path] = []
        errors: list[UnreadableError] = []
        _files(self.root, named)
        for folder in sorted(self.root.glob("??")):
            try:
                found += _files(folder, named) if folder.is_dir() else []
            except UnreadableError as error:
                errors.append(error)
        return found, errors

    def entries(self) -> list[Entry]:
        """All entries that can be seen, ordered by name; other files are ignored."""
        return [Entry(path) for path in self.scan()[0]]

    def fetch(
        self, spec: RunSpec, device: str, target: str | os.PathLike[str]
    ) -> tuple[Entry | None, list[TraceError]]:
        """Copy the trace of a specification to `target`, if the store has a valid one.

        A copy, not a link: `target` must be newer than the inputs of its rule, and changing it
        must not change the store.

        Returns
        -------
        entry
            The entry that is now at `target`; None if there is no valid one, and then `target` is
            unchanged.
        errors
            What is wrong with each invalid entry that was tried.

        Raises
        ------
        WriteError
            If `target` cannot be written.
        """
        key = training_key(spec, device)
        errors: list[TraceError] = []
        try:
            paths = _files(self.root / key[:2], re.compile(f"{key}-.*"))
        except UnreadableError as error:
            return None, [error]
        for entry in map(Entry, paths):
            path = entry.path
            try:
                if path.stat().st_size > max_bytes(spec):
                    errors.append(
                        StoreError(f"{path}: larger than any trace of its specification")
                    )
                    continue
                # The bytes alone, without permissions and times.
                data = path.read_bytes()
            except OSError as error:
                errors.append(UnreadableError(f"{path}: {error.strerror}"))
                continue
            try:
                with replacing(target) as temporary:
                    temporary.write_bytes(data)
                    entry.check(temporary, spec)
            except TraceError as error:
                errors.append(StoreError(f"{path}: {error}"))
                continue
            with suppress(OSError):  # A store of another user, or read-only.
                os.utime(path)
            return entry, errors
        return None, errors

    def keep(self, spec: RunSpec, device: str, trace: str | os.PathLike[str]) -> Entry:
        """Store a finished trace.

        Raises
        ------
        OSError
            If the store cannot be written.
        TraceError
            If `trace` is not one of `spec`.
        """
        check_trace(trace, spec)
        key = training_key(spec, device)
        entry = Entry(self.root / key[:2] / f"{key}-{content_hash(trace)}.parquet")
        with replacing(entry.path) as temporary:
            temporary.write_bytes(Path(trace).read_bytes())
        return entry

    def prune(self, days: float) -> tuple[list[Entry], list[str]]:
        """Delete the entries that were not used for `days` days.

        Also what writers left that were killed more than a day ago.

        Returns
        -------
        deleted, problems
            The deleted entries, and what cannot be deleted and why.
        """
        if not days >= 0:
            raise ValueError(f"days: {days} is not a number from 0 on")
        if not self.root.is_dir():
            return [], []
        try:
            # The clock that the files' times are of, which may be a server's.
            with tempfile.TemporaryFile(dir=self.root) as file:
                now = os.fstat(file.fileno()).st_mtime
        except OSError as error:
            return [], [f"{self.root}: {error.strerror}"]
        old = [entry for entry in self.entries() if entry.last_used < now - days * _DAY]
        left = [path for path in self.scan(_LEFT)[0] if path.stat().st_mtime < now - _DAY]
        deleted, problems = [], []
        for path in [*left, *(entry.path for entry in old)]:
            try:
                path.unlink(missing_ok=True)
                deleted.append(path)
            except OSError as error:
                problems.append(f"{path}: {error.strerror}")
        return [entry for entry in old if entry.path in deleted], problems
