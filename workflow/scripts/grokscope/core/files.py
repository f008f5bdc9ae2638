"""Files: written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class BadFileError(ValueError):
    """A file that is not what it should be; the message is one line and names it."""


class WriteError(OSError):
    """A file that cannot be written; the message is one line and names it."""


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary name beside `path`, moved into place if all went well, else removed.

    The folder is made where it is missing. Safe for several writers: the last one's file stays,
    and no reader ever sees half of one.

    Raises
    ------
    WriteError
        If the disk is full, read-only or otherwise refuses.

    >>> with replacing("table.csv") as temporary:
    ...     temporary.write_text("...")
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except WriteError:
        raise
    except OSError as error:
        # Some libraries say what is wrong at length, and none of them where.
        reason = os.strerror(error.errno) if error.errno else " ".join(str(error).split())
        raise WriteError(f"{path}: cannot be written: {reason}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()
