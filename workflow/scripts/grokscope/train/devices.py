"""Devices: where a training runs."""

from __future__ import annotations

import os

from grokscope.core.errors import UserError


class DeviceError(UserError, ValueError):
    """A requested device that is not available."""


def choose_device(wanted: str, tf32: bool = False) -> str:
    """Kind of device for a configuration: ``cpu``, ``cuda`` or ``cuda-tf32``.

    Parameters
    ----------
    wanted
        ``cpu``, ``cuda``, or ``auto``: cuda where torch can use it.
    tf32
        Whether matrix products on cuda may round to TF32. Results then differ, so it is a kind
        of device of its own, in the trace's metadata and in the trace store.

    Raises
    ------
    DeviceError
        If cuda is wanted and torch cannot use it.
    """
    if wanted == "cpu":
        return "cpu"
    # Torch takes a second to import, and most machines have no such device.
    if wanted == "auto" and not os.path.exists("/dev/nvidiactl"):
        return "cpu"
    try:
        import torch
    except ModuleNotFoundError as error:
        # A CPU needs no torch.
        if wanted == "auto":
            return "cpu"
        raise DeviceError("device: cuda needs torch; allowed without: cpu, auto") from error
    if torch.cuda.is_available():
        return "cuda-tf32" if tf32 else "cuda"
    if wanted == "auto":
        return "cpu"
    raise DeviceError("device: cuda is not available to torch; allowed here: cpu, auto")
