"""Files: written whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from grokscope.core.errors import WriteError

# End of the names of files that are being written, or whose writer was killed.
TEMPORARY = ".tmp"


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary file beside `path`, moved into place on success, else removed.

    A missing folder is created. Safe with several writers: the last one's file stays, and no
    reader ever sees half a file.

    Raises
    ------
    WriteError
        If the file cannot be written, for example because the disk is full or read-only.

    >>> with replacing("table.csv") as temporary:
    ...     temporary.write_text("...")
    """
    path = Path(path)
    # Chosen at random: hosts and containers that share a folder have the same process numbers.
    # Some file systems allow no more than 143 bytes, and a character has up to four.
    temporary = path.with_name(f".{path.name[:30]}.{secrets.token_hex(8)}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except WriteError:
        raise
    except OSError as error:
        # Some libraries explain the reason at length, none names the file.
        reason = os.strerror(error.errno) if error.errno else " ".join(str(error).split())
        raise WriteError(f"{path}: cannot be written: {reason}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()
