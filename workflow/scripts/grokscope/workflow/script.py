"""Scripts: started by Snakemake, and ended with one line if the failure is not one of the code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import Any

from grokscope.core.errors import UserError

# The disk is full, read-only or not writable for this user.
_REFUSALS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
)


def run(main: Callable[[Any], object], snakemake: Any) -> None:
    """Call a script's function and end the process.

    A damaged or unwritable file or a missing device ends it with one line; any other error is a
    fault of the code and keeps its traceback.

    Parameters
    ----------
    snakemake
        The object that Snakemake provides to every script.
    """
    try:
        main(snakemake)
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        # If the error names no file, it was the one that is open: the log.
        path = error.filename or snakemake.log[0]
        sys.exit(f"error: {path}: {os.strerror(error.errno)}")
    sys.stdout.flush()
    sys.stderr.flush()
    # All files are in place and closed. Shutting down torch, numba and arrow as well would take
    # half a second, and their threads have made finished jobs fail.
    os._exit(0)
