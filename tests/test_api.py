"""The public names: all are there, documented, and their examples are true."""

import doctest
import inspect
import subprocess
import sys

import pytest

import grokscope
from grokscope import api
from grokscope.evaluate import alarms as evaluated
from grokscope.measure import alarms, onsets
from grokscope.runs import config
from project import ROOT


def test_every_public_name_can_be_imported_and_is_documented():
    for name in api.__all__:
        value = getattr(grokscope, name)
        assert value is getattr(api, name)
        assert inspect.getdoc(value), name
        assert name in dir(grokscope)
    stub = (ROOT / "workflow/scripts/grokscope/__init__.pyi").read_text()
    assert all(f'"{name}"' in stub for name in api.__all__)


def test_what_is_not_public_is_no_attribute():
    with pytest.raises(AttributeError, match="module 'grokscope' has no attribute 'nothing'"):
        _ = grokscope.nothing


@pytest.mark.parametrize(
    "module", [api, evaluated, alarms, onsets, config], ids=lambda m: m.__name__
)
def test_examples_are_true(module):
    names = {name: getattr(api, name) for name in api.__all__}
    found = doctest.testmod(module, extraglobs=names)
    assert found.attempted > 0 and found.failed == 0


def test_alarms_are_evaluated_without_torch():
    code = (
        "import sys\n"
        "from grokscope import evaluate_alarms, find_onset\n"
        "found = evaluate_alarms([[700], [500]], [1000, float('nan')], [5000, 5000], (200, 400))\n"
        "assert found.precision == 0.5 and found.recall == 1.0\n"
        "assert find_onset([0, 10, 20], [0, 1, 1], threshold=0.9, evaluations=2) == 10\n"
        "assert 'torch' not in sys.modules and 'numba' not in sys.modules\n"
    )
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code], check=True, cwd=ROOT / "workflow/scripts"
    )
