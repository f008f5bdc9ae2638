"""Devices: where a training runs."""

from __future__ import annotations

import os


class DeviceError(ValueError):
    """A device that is asked for and not there."""


def choose_device(wanted: str, tf32: bool = False) -> str:
    """``cpu``, ``cuda`` or ``cuda-tf32``, from what the configuration says.

    Parameters
    ----------
    wanted
        ``cpu``, ``cuda``, or ``auto``: cuda where torch can use it.
    tf32
        Whether matrix products on cuda may round to TF32. Then results differ, so that is
        another kind of device: in the trace's metadata, and to the trace store.

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
    import torch

    if torch.cuda.is_available():
        return "cuda-tf32" if tf32 else "cuda"
    if wanted == "auto":
        return "cpu"
    raise DeviceError("device: cuda is asked for, but torch finds none; allowed here: cpu, auto")
