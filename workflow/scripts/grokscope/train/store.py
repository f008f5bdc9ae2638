"""Trace store: finished trainings, shared by checkouts and people.

A training is a pure function of its specification, the training code, the torch build and the
kind of device. The store is a folder of traces, each named by the hash of these and by the hash
of its own bytes: ``{key[:2]}/{key}-{content}.parquet``. One file an entry, written under a
temporary name and moved, so any number of writers and readers may share the folder. What comes
out is copied and checked (content hash, schema, specification) before it is used; what fails the
check is left alone, and the run is trained.

Nothing in the store is executed: an entry is a parquet file of numbers and JSON. A hostile entry
can be refused, or, if its maker took the trouble to forge all hashes, be a wrong trace: share a
store with people whose results you would believe.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from grokscope.core.files import replacing
from grokscope.core.provenance import code_hashes
from grokscope.data.trace import SCHEMA_VERSION, TraceError, check_trace, trace_schema
from grokscope.runs.spec import RunSpec

_NAME = re.compile(r"(?P<key>[0-9a-f]{64})-(?P<content>[0-9a-f]{64})\.parquet")
_CHUNK = 1 << 20


class StoreError(TraceError):
    """An entry that is not what its name says."""


def content_hash(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def max_bytes(spec: RunSpec) -> int:
    """More than a trace of the specification can take on the disk."""
    return (1 << 20) + 16 * len(trace_schema(spec)) * (spec.steps + 1)


def _is_entry(path: Path) -> bool:
    """Whether it is named like an entry and is a file (a pipe would be read for ever)."""
    return _NAME.fullmatch(path.name) is not None and path.is_file()


@cache
def dependencies() -> dict[str, Any]:
    """What all trainings depend on besides their specification and device.

    The syntax trees of the training code count, not their comments or docstrings.
    """
    # Not torch.__version__: a hit must not wait for the import.
    libraries = {name: version(name) for name in ("torch", "numba")}
    return {
        "code": code_hashes("grokscope/train/loop"),
        "trace_schema": SCHEMA_VERSION,
    } | libraries


def training_key(spec: RunSpec, device: str) -> str:
    """Hash of all that a training depends on.

    Parameters
    ----------
    device
        Kind of device, see :func:`grokscope.train.devices.choose_device`.
    """
    parts = dependencies() | {"spec": json.loads(spec.to_json()), "device": device}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Entry:
    """A file of the store."""

    path: Path

    @property
    def key(self) -> str:
        """Hash of what the training depended on."""
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
        """When the entry was kept or last taken (seconds since 1970)."""
        return self.path.stat().st_mtime

    def check(self, path: Path | None = None, expected: RunSpec | None = None) -> RunSpec:
        """The specification, if the bytes are those that the name states, and of a trace of it.

        Parameters
        ----------
        path
            A copy to check in place of the entry itself.
        expected
            Specification asked for; None accepts any.

        Raises
        ------
        TraceError
            Saying what is wrong.
        """
        path = path or self.path
        if content_hash(path) != self.content:
            raise StoreError("its bytes are not those that its name states")
        return check_trace(path, expected)[0]


class TraceStore:
    """A folder of finished traces.

    Parameters
    ----------
    root
        The folder; made when something is kept. ``~`` is the home directory.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root).expanduser()

    def entries(self) -> list[Entry]:
        """All entries, in the order of their names; other files are no entries."""
        return [Entry(path) for path in sorted(self.root.glob("??/*")) if _is_entry(path)]

    def fetch(
        self, spec: RunSpec, device: str, target: str | os.PathLike[str]
    ) -> tuple[Entry | None, list[TraceError]]:
        """Put the trace of a specification in place, if the store holds a good one.

        A copy, not a link: `target` must be newer than the inputs of its rule, and changing it
        must not change the store.

        Returns
        -------
        entry
            The entry that is now at `target`; None if there is no good one, then `target` is
            as it was.
        errors
            What is wrong with each bad entry that was met.

        Raises
        ------
        WriteError
            If `target` cannot be written.
        """
        key = training_key(spec, device)
        errors: list[TraceError] = []
        for path in sorted((self.root / key[:2]).glob(f"{key}-*.parquet")):
            if not _is_entry(path):
                continue
            entry = Entry(path)
            try:
                if path.stat().st_size > max_bytes(spec):
                    raise StoreError("is larger than any trace of its specification")
                # Bytes alone: no permissions, no times.
                data = path.read_bytes()
            except (TraceError, OSError) as error:
                errors.append(StoreError(f"{path}: {error}"))
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
        """Keep a finished trace.

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

    def prune(self, days: float) -> list[Entry]:
        """Delete the entries that were not used for so many days, and return them."""
        before = time.time() - days * 86_400
        old = [entry for entry in self.entries() if entry.last_used < before]
        for entry in old:
            entry.path.unlink(missing_ok=True)
        return old
