"""Machine code: its bytes, and where it is kept."""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from grokscope.train.dataset import make_dataset
from grokscope.train.engines import compiling
from grokscope.train.engines.cpu import CpuEngine
from grokscope.train.engines.products import ROWS, add_outer, multiply
from grokscope.train.engines.vectors import LANES, flush_subnormals
from project import ROOT
from synthetic import make_spec

# Digests of the results of each kind of network after some steps.
PROGRAM = """
import hashlib, json, sys
sys.path[:0] = [{scripts!r}, {tests!r}]
from grokscope.train.loop import train
from synthetic import make_spec

found = {{}}
for name, options in {{
    "one_hot": {{"p": 47, "width": 64}},
    "embedding": {{"p": 47, "width": 16, "depth": 3, "encoding": "embedding"}},
    "scalar": {{"task": "cubic_regression", "width": 64, "depth": 3}},
}}.items():
    (result,) = train([make_spec(**options, steps=60, test_every=10)])
    bytes_ = b"".join(values.tobytes() for values in result.columns.values())
    found[name] = hashlib.sha256(bytes_).hexdigest()
print(json.dumps(found))
"""


def test_an_edit_of_any_kernel_file_compiles_all_again(tmp_path, monkeypatch):
    """Machine code contains what it calls, and numba looks at one file alone."""
    folder = tmp_path / "engines"
    shutil.copytree(Path(compiling.__file__).parent, folder)
    monkeypatch.setattr(compiling, "__file__", str(folder / "compiling.py"))
    hashes = set()
    for name in ("vectors.py", "products.py", "work.py", "kernels.py", "updates.py"):
        with open(folder / name, "a", encoding="utf-8") as file:
            file.write("# Another.\n")
        hashes.add(compiling._sources.__wrapped__())
    assert len(hashes | {compiling._sources()}) == 6


def test_without_any_folder_kernels_are_compiled_and_not_kept(monkeypatch):
    monkeypatch.setattr(compiling._Implementation, "_locator_classes", ())
    with pytest.warns(RuntimeWarning, match="cannot be kept"):
        double = compiling.compiled(lambda x: 2 * x)
    assert double(21) == 42


def test_subnormal_numbers_are_zero_in_a_training():
    smallest = np.full(8, np.finfo(np.float32).smallest_normal)
    assert (smallest / 2 > 0).all()
    flush_subnormals(True)
    assert (smallest / 2 == 0).all()
    flush_subnormals(False)
    assert (smallest / 2 > 0).all()
    spec = make_spec(p=7, width=8, steps=1)
    CpuEngine([spec], [make_dataset(spec)])
    assert (smallest / 2 == 0).all()


@numba.njit
def product(a, b, out, m, n, k):
    multiply(a, b, out, m, n, k)


@numba.njit
def outer(a, at, b, out, m, n, k):
    add_outer(a, at, b, out, m, n, k)


def padded(matrix):
    """As :class:`grokscope.train.engines.work.Work` has them; NaN where nothing may be read."""
    rows, columns = matrix.shape
    size = -(-rows // ROWS) * ROWS + ROWS, -(-columns // LANES) * LANES + LANES
    wide = np.full(size, np.nan, matrix.dtype)
    wide[:rows, :columns] = matrix
    return wide


@pytest.mark.parametrize(
    "size", [(1, 1, 1), (7, 9, 3), (13, 16, 40), (48, 97, 65), (96, 120, 12), (97, 72, 5)]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_number_of_a_product_does_not_depend_on_its_block(size, dtype):
    """So neither the processor, whose registers decide the blocks, nor padding decides bytes."""
    m, n, k = size
    generator = np.random.default_rng(0)
    a = generator.normal(size=(m, k)).astype(dtype)
    b = generator.normal(size=(k, n)).astype(dtype)
    out, other = (padded(np.zeros((m, n), dtype)) for _ in range(2))
    product(padded(a), padded(b), out, m, n, k)
    exact = a.astype(np.longdouble) @ b.astype(np.longdouble)
    np.testing.assert_allclose(out[:m, :n], exact, rtol=0, atol=k * 4 * np.finfo(dtype).eps)
    turned = padded(np.ascontiguousarray(a.T))
    outer(turned, 0, padded(b), other, m, n, k)
    assert (other[:m, :n] == out[:m, :n]).all()
    last = padded(np.zeros((1, n), dtype))
    outer(turned, m - 1, padded(b), last, 1, n, k)
    assert (last[0, :n] == out[m - 1, :n]).all()
    # Every number in the first block: alone it is the same.
    for i in range(0, m, 5):
        for j in range(0, n, 7):
            one = padded(np.zeros((1, 1), dtype))
            product(padded(a[i : i + 1]), padded(b[:, j : j + 1]), one, 1, 1, k)
            assert one[0, 0] == out[i, j], (i, j)


@pytest.mark.parametrize(("features", "rows"), [("+avx2,+fma", 6), ("+avx2,+fma,+avx512f", 8)])
def test_blocks_fit_the_instructions_that_numba_may_use(features, rows):
    program = "from grokscope.train.engines.products import ROWS; print(ROWS)"
    found = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ
        | {"NUMBA_CPU_FEATURES": features, "PYTHONPATH": str(ROOT / "workflow/scripts")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(found.stdout) == rows


@pytest.mark.slow
def test_fresh_and_cached_code_and_other_instructions_give_the_same_bytes(tmp_path):
    program = PROGRAM.format(scripts=str(ROOT / "workflow/scripts"), tests=str(ROOT / "tests"))
    settings = [{}, {}]
    if platform.machine() == "x86_64":
        settings.append({"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": ""})
    found = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", program],
                env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")} | setting,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for setting in settings
    ]
    assert all(digests == found[0] for digests in found)
