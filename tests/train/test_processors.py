"""Kinds of processors: what distinguishes them, and where they are recorded."""

import os
import subprocess
import sys

import pytest

from grokscope.train.loop import train
from grokscope.train.processors import OVERRIDES, cpu_kind, processor_kind
from grokscope.train.store import training_key
from project import ROOT
from synthetic import make_spec

INTEL = "processor : 0\nvendor_id : GenuineIntel\nflags : fpu sse4_2 avx avx2 avx512f\n"
AMD = "processor : 0\nvendor_id : AuthenticAMD\nflags : fpu sse4_2 avx avx2 fma\n"
ARM = "processor : 0\nFeatures : fp asimd sve\nCPU implementer : 0x41\nCPU part : 0xd40\n"


@pytest.mark.parametrize(
    ("cpuinfo", "machine", "expected"),
    [
        (INTEL, ("x86_64", "Linux"), "x86_64 GenuineIntel avx512"),
        (INTEL.replace(" avx512f", ""), ("x86_64", "Linux"), "x86_64 GenuineIntel avx2"),
        (AMD, ("x86_64", "Linux"), "x86_64 AuthenticAMD avx2"),
        # The second of two; only the first counts.
        (f"{AMD}\n{INTEL}", ("x86_64", "Linux"), "x86_64 AuthenticAMD avx2"),
        (ARM, ("aarch64", "Linux"), "aarch64 0x41/0xd40 sve"),
        (None, ("arm64", "Darwin"), "arm64 Darwin"),
        ("", ("riscv64", "Linux"), "riscv64 Linux"),
    ],
)
def test_vendor_and_vectors_make_the_kind(cpuinfo, machine, expected):
    assert cpu_kind(cpuinfo, *machine) == expected


@pytest.fixture
def fresh():
    processor_kind.cache_clear()
    yield
    processor_kind.cache_clear()


@pytest.mark.parametrize("name", OVERRIDES)
def test_an_override_is_another_kind_and_another_key(name, fresh, monkeypatch):
    spec = make_spec(steps=50)
    monkeypatch.delenv(name, raising=False)
    kind, key = processor_kind("cpu"), training_key(spec, "cpu")
    processor_kind.cache_clear()
    monkeypatch.setenv(name, "x")
    assert processor_kind("cpu") != kind
    assert f"{name}=x" in processor_kind("cpu")
    assert training_key(spec, "cpu") != key


def test_the_trace_says_what_trained_it():
    (result,) = train([make_spec(p=11, width=8, steps=3)])
    assert result.info.processor == processor_kind("cpu")
    assert {"numba", "llvmlite", "numpy"} <= set(result.info.versions)


def test_a_key_needs_no_torch():
    code = (
        "import sys\n"
        "from grokscope.train.store import training_key\n"
        "from synthetic import make_spec\n"
        "before = 'torch' in sys.modules or 'numba' in sys.modules\n"
        "training_key(make_spec(steps=5), 'cpu')\n"
        "assert before == ('torch' in sys.modules or 'numba' in sys.modules) == False"
    )
    path = os.pathsep.join([str(ROOT / "workflow/scripts"), str(ROOT / "tests")])
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": path})
