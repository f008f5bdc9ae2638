"""The public names: all are there, documented, and their examples are true."""

import dataclasses
import doctest
import inspect
import re
import subprocess
import sys
from types import FunctionType

import pytest
from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import validate

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


# What a docstring may do without: a longer summary, see-alsos, and types, which annotations give.
OPTIONAL = {"ES01", "SA01", "PR04"}


def documented():
    """Paths of all public functions, and of the methods and properties of public classes."""
    for name in api.__all__:
        value = getattr(api, name)
        path = f"{value.__module__}.{value.__qualname__}"
        if not inspect.isclass(value):
            yield path
        else:
            yield from (
                f"{path}.{part}"
                for part, of in vars(value).items()
                if not part.startswith("_") and isinstance(of, classmethod | FunctionType)
            )


@pytest.mark.parametrize("path", list(documented()))
def test_docstring_is_complete(path):
    optional = OPTIONAL | ({"EX01"} if path.count(".") > 3 or "read_trace" in path else set())
    found = [error for error in validate(path)["errors"] if error[0] not in optional]
    assert not found, path


@pytest.mark.parametrize(
    "name", [n for n in api.__all__ if dataclasses.is_dataclass(getattr(api, n))]
)
def test_every_field_of_a_class_is_documented(name):
    value = getattr(api, name)
    words = NumpyDocString(inspect.getdoc(value))["Attributes"]
    listed = [part.strip() for entry in words for part in entry.name.split(",")]
    assert sorted(listed) == sorted(field.name for field in dataclasses.fields(value))
    for part, of in vars(value).items():
        if isinstance(of, property):
            assert inspect.getdoc(of), part


def test_the_reference_has_every_public_name():
    page = (ROOT / "docs/api.md").read_text("utf-8")
    for name in api.__all__:
        assert re.search(rf"^\.\. auto(function|class):: grokscope\.{name}$", page, re.M), name


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
