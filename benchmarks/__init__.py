"""Benchmarks: what training, analysis and the workflow cost, on the machine at hand.

``python -m benchmarks.run`` (``make bench``) runs all; each module runs alone, as in
``python -m benchmarks.step_time --quick``. A run writes its raw numbers to
``benchmarks/raw/{name}.json`` and makes ``benchmarks/RESULTS.md`` again from everything there.
``--held-to avx2`` measures with the instructions of another kind of processor; the step time has a
table a kind.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# One thread: before torch and numpy are imported, or their libraries start their own.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
# The code of this checkout, installed or not, and the synthetic traces of its tests.
sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(ROOT / "tests")]
