"""Devices: where trainings run."""

import subprocess
import sys
import types

import pytest

from grokscope.train import devices
from grokscope.train.devices import DeviceError, choose_device
from project import ROOT


@pytest.fixture
def machine(monkeypatch):
    """Simulate a machine with a driver, a device, or neither."""

    def pretend(driver, device):
        cuda = types.SimpleNamespace(is_available=lambda: device)
        monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))
        monkeypatch.setattr(devices.os.path, "exists", lambda path: driver)

    return pretend


@pytest.mark.parametrize(
    ("driver", "device", "expected"),
    [(True, True, "cuda"), (True, False, "cpu"), (False, False, "cpu")],
)
def test_auto_takes_what_torch_can_use(machine, driver, device, expected):
    machine(driver, device)
    assert choose_device("auto") == expected
    assert choose_device("cpu") == "cpu"


def test_tf32_is_another_kind_of_device(machine):
    machine(True, True)
    assert choose_device("cuda", tf32=True) == choose_device("auto", tf32=True) == "cuda-tf32"
    machine(False, False)
    assert choose_device("auto", tf32=True) == "cpu"


def test_a_missing_device_is_an_error(machine):
    machine(False, False)
    with pytest.raises(DeviceError, match="cuda is not available to torch"):
        choose_device("cuda")


def test_without_torch_a_cpu_trains(machine, monkeypatch):
    machine(True, True)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert choose_device("auto") == choose_device("cpu") == "cpu"
    with pytest.raises(DeviceError, match="cuda needs torch"):
        choose_device("cuda")


def test_without_a_driver_torch_is_not_imported():
    code = (
        "import os, sys; os.path.exists = lambda path: False\n"
        "from grokscope.train.devices import choose_device\n"
        "assert choose_device('auto') == 'cpu' and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT / "workflow/scripts")
