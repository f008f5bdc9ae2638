"""Devices: where a training runs."""

from __future__ import annotations

import os


class DeviceError(ValueError):
    """A device that is asked for and not there."""


def choose_device(wanted: str) -> str:
    """``cpu`` or ``cuda``, from what the configuration says.

    Parameters
    ----------
    wanted
        ``cpu``, ``cuda``, or ``auto``: cuda where torch can use it.

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
        return "cuda"
    if wanted == "auto":
        return "cpu"
    raise DeviceError("device: cuda is asked for, but torch finds none; allowed here: cpu, auto")
