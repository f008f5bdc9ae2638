"""Environment variables of other people's machines: none reaches a byte of the results."""

import pytest

from grokscope.data.trace_reader import read_trace
from project import TINY, run_tool

STUDY = "phase_diagram"
TARGETS = (
    f"results/{STUDY}.svg",
    f"results/{STUDY}.png",
    f"results/studies/{STUDY}/phases.parquet",
)
HOSTILE = {
    # What Jupyter leaves, a style of the user's own, nowhere to keep fonts.
    "MPLBACKEND": "TkAgg",
    "MATPLOTLIBRC": "odd.rc",
    "MPLCONFIGDIR": "/dev/null/x",
    # Text that is ASCII, numbers with a comma, another zone.
    "LC_ALL": "C",
    "LC_NUMERIC": "de_DE.UTF-8",
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONIOENCODING": "ascii",
    "TZ": "Asia/Kolkata",
    # No assertions, no docstrings, warnings that end a program.
    "PYTHONOPTIMIZE": "2",
    "PYTHONHASHSEED": "7",
    "PYTHONWARNINGS": "error",
    "PYTHONDONTWRITEBYTECODE": "1",
    # Kernels that are not compiled, or not kept; threads.
    "NUMBA_DISABLE_JIT": "1",
    "NUMBA_CACHE_DIR": "/dev/null/x",
    "OMP_NUM_THREADS": "garbage",
    "MKL_NUM_THREADS": "4",
    "CUDA_VISIBLE_DEVICES": "garbage",
    # A shell's, a terminal's and a build's.
    "TMPDIR": "/no/such/folder",
    "CDPATH": "/tmp:.",  # noqa: S108
    "COLUMNS": "20",
    "TERM": "dumb",
    "SOURCE_DATE_EPOCH": "0",
}


@pytest.mark.slow
def test_hostile_variables_change_no_byte(finished, checkout, monkeypatch):
    (checkout / "odd.rc").write_text("font.size: 40\nsavefig.dpi: 30\ntext.usetex: True\n")
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HOME", raising=False)
    call = ["snakemake", *TARGETS, "--cores", "2", "--configfile", str(TINY)]
    result = run_tool(call, checkout)
    assert result.returncode == 0, result.stdout + result.stderr
    for name in TARGETS:
        assert (checkout / name).read_bytes() == (finished / name).read_bytes(), name
    traces = list(checkout.glob("results/traces/**/*.parquet"))
    assert len(traces) == 2
    for path in traces:
        # All but how long it took.
        same = read_trace(finished / path.relative_to(checkout))
        assert read_trace(path).frame.equals(same.frame)
