"""Scripts: started by Snakemake, and ended with one line where it is not the code that fails."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import Any

from grokscope.core.files import BadFileError, WriteError
from grokscope.train.devices import DeviceError

# The disk is full, read-only or closed to this user.
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
    """Call a script's function and end the process; with one line if a file is damaged or cannot
    be written, or a device is missing.

    Any other error is a fault of the code, and keeps its traceback.

    Parameters
    ----------
    snakemake
        The object that Snakemake gives every script.
    """
    try:
        main(snakemake)
    except (BadFileError, WriteError, DeviceError) as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        # Where no file is named, it was one that was open: the log.
        path = error.filename or snakemake.log[0]
        sys.exit(f"error: {path}: {os.strerror(error.errno)}")
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is in place and closed. To take torch, numba and arrow apart as well would cost
    # half a second, and their threads have made a finished job fail in it.
    os._exit(0)
