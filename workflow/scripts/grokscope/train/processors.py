"""Processors: what of a machine decides the bytes of a training beside code and libraries.

On a CPU the order of every sum is written in the code, but numpy, its BLAS and the compiler of the
kernels choose instructions by the vendor and the vector instructions of the processor, or by
settings of the environment. Trainings that differ in the last bits differ in onsets after some
hundred steps (docs/design.md, "Same bytes").
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path

# Settings under which the libraries compile or choose other code than the processor's own.
OVERRIDES = (
    "ATEN_CPU_CAPABILITY",
    "MKL_CBWR",
    "MKL_DEBUG_CPU_TYPE",
    "MKL_ENABLE_INSTRUCTIONS",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
    "NUMBA_CPU_FEATURES",
    "NUMBA_CPU_NAME",
    "NUMBA_DISABLE_JIT",
    "NUMBA_ENABLE_AVX",
    "NUMBA_LOOP_VECTORIZE",
    "NUMBA_OPT",
    "NUMBA_SLP_VECTORIZE",
    "OPENBLAS_CORETYPE",
)
CUDA_OVERRIDES = (
    "ATEN_CPU_CAPABILITY",
    "CUBLAS_WORKSPACE_CONFIG",
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)
# From the widest to the narrowest: the flag of /proc/cpuinfo, the name used here.
_VECTORS = {
    "avx512f": "avx512",
    "avx2": "avx2",
    "avx": "avx",
    "sse4_2": "sse4",
    "sve": "sve",
    "asimd": "neon",
}


def _facts(cpuinfo: str) -> dict[str, str]:
    """Facts of the first processor of a ``/proc/cpuinfo``."""
    lines = cpuinfo.strip().partition("\n\n")[0].splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


def cpu_kind(cpuinfo: str | None, architecture: str, system: str) -> str:
    """Kind of a CPU: architecture, vendor and widest vector instructions.

    Parameters
    ----------
    cpuinfo
        Text of ``/proc/cpuinfo``; None where there is none: there the system stands for vendor
        and instructions (Apple's arm64 processors are of one kind).

    >>> cpu_kind("vendor_id : GenuineIntel\\nflags : fpu sse4_2 avx avx2 fma", "x86_64", "Linux")
    'x86_64 GenuineIntel avx2'
    """
    facts = _facts(cpuinfo or "")
    # On ARM the number of the design decides which code OpenBLAS takes.
    arm = [facts[name] for name in ("CPU implementer", "CPU part") if name in facts]
    vendor = facts.get("vendor_id") or "/".join(arm) or system
    flags = set((facts.get("flags") or facts.get("Features", "")).split())
    vectors = [name for flag, name in _VECTORS.items() if flag in flags][:1]
    return " ".join([architecture, vendor, *vectors])


def _overridden(names: tuple[str, ...], environment: Mapping[str, str]) -> str:
    """The settings in force, in brackets; nothing if there are none."""
    found = [f"{name}={environment[name]}" for name in names if environment.get(name)]
    return f" ({', '.join(found)})" if found else ""


def libraries(engine: str) -> tuple[str, ...]:
    """Libraries that compute a training by an engine; an upgrade of one trains anew."""
    return ("numpy", "numba", "llvmlite") if engine == "cpu" else ("numpy", "torch")


@cache
def processor_kind(device: str) -> str:
    """Kind of the processor that trains here, with the settings that override it.

    Two trainings of one specification by one code and one set of libraries have the same bytes
    if they agree in it.

    Parameters
    ----------
    device
        Kind of device, see :func:`grokscope.train.devices.choose_device`: for ``cpu`` found
        without torch, which a hit of the store need not wait for; else the accelerator's name.
    """
    if device != "cpu":
        import torch

        return torch.cuda.get_device_name() + _overridden(CUDA_OVERRIDES, os.environ)
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        cpuinfo = None
    kind = cpu_kind(cpuinfo, platform.machine(), platform.system())
    return kind + _overridden(OVERRIDES, os.environ)
