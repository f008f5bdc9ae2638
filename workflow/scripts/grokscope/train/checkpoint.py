"""Checkpoints: the state of an unfinished training, from which it is resumed after a kill.

One file per run: a hash, then arrays and JSON without pickle; written whole or not at all. It
contains the hash of everything that the training depends on, so one of other code, another
specification or another numba is not used. A resumed training makes the same bytes as one that was
never stopped.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokscope.core.files import replacing

_DIGEST_SIZE = hashlib.sha256().digest_size
_KEY, _RESUMED, _SECONDS = "key", "resumed_at", "seconds"


@dataclass(frozen=True)
class Snapshot:
    """A run between two updates.

    Attributes
    ----------
    log : (updates, n_columns) float32
        Rows of the states so far.
    state
        See :meth:`grokscope.train.engines.base.Engine.state`, arrays of this run alone.
    resumed_at : tuple of int
        Steps at which the run was resumed before.
    seconds : float
        Training time so far.
    """

    log: NDArray[np.float32]
    state: Mapping[str, NDArray[np.generic]]
    resumed_at: tuple[int, ...]
    seconds: float

    @property
    def updates(self) -> int:
        return int(self.state["updates"])


@dataclass(frozen=True)
class Checkpoint:
    """The file of a run's snapshot.

    Attributes
    ----------
    path
        The file; it need not exist.
    key : str
        Hash of all that the training depends on, see
        :func:`grokscope.train.store.training_key`.
    """

    path: Path
    key: str

    def save(self, snapshot: Snapshot) -> None:
        """Replace the file.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        arrays: dict[str, Any] = {"log": snapshot.log}
        arrays |= {f"state_{name}": values for name, values in snapshot.state.items()}
        words = {_KEY: self.key, _RESUMED: snapshot.resumed_at, _SECONDS: snapshot.seconds}
        buffer = io.BytesIO()
        np.savez(buffer, words=np.array(json.dumps(words)), **arrays)
        content = buffer.getvalue()
        with replacing(self.path) as temporary:
            temporary.write_bytes(hashlib.sha256(content).digest() + content)

    def load(self) -> Snapshot | None:
        """The snapshot; None if there is no intact one of this training."""
        try:
            content = self.path.read_bytes()
        except OSError:
            return None
        digest, content = content[:_DIGEST_SIZE], content[_DIGEST_SIZE:]
        if hashlib.sha256(content).digest() != digest:
            return None
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                arrays = dict(file)
            words = json.loads(str(arrays.pop("words")))
            if words[_KEY] != self.key:
                return None
            return Snapshot(
                log=arrays.pop("log"),
                state={name.removeprefix("state_"): values for name, values in arrays.items()},
                resumed_at=tuple(words[_RESUMED]),
                seconds=float(words[_SECONDS]),
            )
        # Written by something else: train from the start.
        except (ValueError, KeyError, TypeError):
            return None

    def delete(self) -> None:
        """Remove the file and the folders that this leaves empty, up to ``checkpoints``."""
        self.path.unlink(missing_ok=True)
        for folder in self.path.parents:
            if folder.name == "checkpoints":
                break
            try:
                os.rmdir(folder)
            except OSError:
                break
