"""Formats: which logs a pattern finds, what format each has, and what reads it."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from grokscope.data.logs import tools
from grokscope.data.logs.rows import LogError, Rows
from grokscope.data.logs.text import read_csv, read_json, read_jsonl, read_npz, read_parquet

Reader = Callable[[Path], Iterator[Rows]]

_BY_SUFFIX: dict[str, Reader] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json,
    ".parquet": read_parquet,
    ".npz": read_npz,
    ".db": tools.read_sqlite,
    ".sqlite": tools.read_sqlite,
    ".sqlite3": tools.read_sqlite,
}
_BY_FORMAT: dict[str, Reader] = {
    "csv": read_csv,
    "crossings": read_csv,
    "jsonl": read_jsonl,
    "parquet": read_parquet,
    "npz": read_npz,
    "lightning": read_csv,
    "huggingface": read_json,
    "tensorboard": tools.read_tensorboard,
    "mlflow": tools.read_mlflow,
    "trackio": tools.read_sqlite,
    "grokscope_monitor": read_parquet,
}
_EVENTS = "events.out.tfevents."
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Log:
    """What is read at a time: a file, or the folder of a run of TensorBoard or MLflow.

    Attributes
    ----------
    path
        Its name in messages, patterns and specifications.
    files
        What its bytes are.
    root
        The folder that these are relative to.
    """

    path: str
    files: tuple[str, ...]
    root: str = "."

    @property
    def place(self) -> Path:
        """Where it is."""
        return Path(self.root, self.path)

    def state(self) -> list[list[object]]:
        """Name, size and time of each file: while it is the same, they need not be read again."""
        found = []
        for name in self.files:
            facts = os.stat(Path(self.root, name))
            found.append([name, facts.st_size, facts.st_mtime_ns])
        return found

    def digest(self) -> str:
        """Hash of all bytes and of the names of the files."""
        whole = hashlib.sha256()
        for name in self.files:
            if len(self.files) > 1:
                whole.update(f"\0{Path(name).name}\0".encode())
            with open(Path(self.root, name), "rb") as file:
                while chunk := file.read(_CHUNK):
                    whole.update(chunk)
        return whole.hexdigest()


def find_logs(
    key: str, patterns: Iterable[str], folder: str | os.PathLike[str] = "."
) -> list[Log]:
    """The logs that patterns of paths find, each once, in the order of their names.

    Parameters
    ----------
    key
        Where the patterns stand, for messages.
    folder
        What they are relative to.

    Raises
    ------
    LogError
        Naming the pattern that finds none.
    """
    root = os.fspath(folder)
    found: dict[str, Log] = {}
    for pattern in patterns:
        full = os.path.expandvars(os.path.expanduser(pattern))
        paths = sorted(glob.glob(full, root_dir=root, recursive=True))
        logs = [log for path in paths for log in _logs_at(path, root)]
        if not logs:
            what = "only folders without logs" if paths else "no file"
            raise LogError(f"{key}: {pattern} finds {what} (from {os.path.abspath(root)})")
        found |= {log.path: log for log in logs}
    return [found[path] for path in sorted(found)]


def _logs_at(path: str, root: str) -> Iterator[Log]:
    """The logs of a file or below a folder."""
    place = Path(root, path)
    # An absolute path stays one.
    root = "/" if Path(path).is_absolute() else root
    if set("{}") & set(path):
        raise LogError(f"{path}: braces in paths mean wildcards to Snakemake; allowed: others")
    if place.is_file():
        if place.name.startswith(_EVENTS):
            # The later files of a resumed run lie beside the first.
            yield _of_folder(place.parent, root, f"{_EVENTS}*")
        elif not place.name.startswith("."):
            name = Path(path).as_posix()
            yield Log(name, (name,), root)
        return
    metas = [place / "meta.yaml", *sorted(place.glob("**/meta.yaml"))]
    for run in dict.fromkeys(meta.parent for meta in metas):
        if tools.is_mlflow_run(run):
            yield _of_folder(run, root, "metrics/**/*", "params/**/*")
    for folder in sorted({file.parent for file in place.glob(f"**/{_EVENTS}*")}):
        yield _of_folder(folder, root, f"{_EVENTS}*")


def _of_folder(folder: Path, root: str, *patterns: str) -> Log:
    """The log of a folder; its files are those of some patterns."""
    files = {file for pattern in patterns for file in folder.glob(pattern) if file.is_file()}

    def named(path: Path) -> str:
        """As patterns name it."""
        return path.as_posix() if root == "/" else path.relative_to(root).as_posix()

    return Log(named(folder), tuple(sorted(map(named, files))), root)


def read_log(log: Log, format: str = "auto") -> list[Rows]:
    """All that a log says.

    Parameters
    ----------
    format
        One of the configuration; ``auto`` takes the one that the name tells.

    Raises
    ------
    LogError
        If it is not of the format, or of none that is known.
    """
    place = log.place
    if format in ("auto", "wandb"):
        reader = _reader_of(place)
    else:
        reader = _BY_FORMAT[format]
    try:
        found = list(reader(place))
    except (OSError, UnicodeDecodeError) as error:
        raise LogError(f"{log.path}: cannot be read ({' '.join(str(error).split())})") from None
    if not found:
        raise LogError(f"{log.path}: has no run with logged numbers")
    return found


def _reader_of(path: Path) -> Reader:
    if path.is_dir():
        return tools.read_mlflow if tools.is_mlflow_run(path) else tools.read_tensorboard
    reader = _BY_SUFFIX.get(path.suffix.lower())
    if reader is None:
        allowed = ", ".join([*_BY_SUFFIX, f"{_EVENTS}*", "folders of MLflow runs"])
        raise LogError(f"{path}: its name tells no format; allowed: {allowed}, or format: ...")
    return reader
