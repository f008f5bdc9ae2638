"""How scripts end."""

import subprocess
import sys

import pytest

from grokscope.core.files import WriteError
from grokscope.workflow.script import run
from project import ROOT

# A library that fails, or hangs, when the interpreter ends.
PROGRAM = """
import atexit, os, sys
sys.path.insert(0, {scripts!r})
from grokscope.workflow.script import run
atexit.register(os.abort)

def main(snakemake):
    print("said", snakemake)
    print("warned", file=sys.stderr)

run(main, "so")
print("not reached")
"""


def test_a_finished_script_does_not_fail_at_its_end():
    program = PROGRAM.format(scripts=str(ROOT / "workflow/scripts"))
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "said so\n", "warned\n")


def test_a_script_that_fails_says_so():
    def refuse(snakemake):
        raise WriteError("results/x.parquet: cannot be written: No space left on device")

    with pytest.raises(SystemExit, match="^error: results/x.parquet: cannot be written: No space"):
        run(refuse, None)

    def break_down(snakemake):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(break_down, None)
