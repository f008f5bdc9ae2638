"""Mutated configurations: each is planned, or refused with the keys that are wrong."""

import copy
import json
import re
from functools import cache

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faults import count
from grokscope.runs.config import check_config
from grokscope.runs.names import VARIABLE
from grokscope.runs.plan import Plan
from grokscope.runs.problems import ConfigError
from grokscope.runs.reading import read_argument, read_config
from grokscope.runs.spec import RunSpec
from project import TINY, run_tool

# Small enough to be planned at once, with a value for every key.
BASE = dict(check_config(yaml.safe_load(TINY.read_text())).values)
BASE["studies"]["gai"]["early_stop"] = {"metrics": ["test"], "threshold": 0.9, "hold_steps": 10}

NASTY = [
    "../../etc", "a/b", "$(touch x)", "; rm -rf .", "`id`", "a b", "'", '"', "{task}", "<b>",
    "\x00", "\n", "é", "1e-3", "nan", "~", "~nobody-here/x", "null", "=", "-n",
]  # fmt: skip
EDGES = [
    0, -0.0, 0.0, -1, 1, 1.0, 2, 0.5, 1e-9, 1e-320, 5e-324, 1 - 1e-16, 1e308, -1e308, 10**30,
    2**32, 2**32 - 1, 2**63, float("nan"), float("inf"), float("-inf"), True, False, None, "", [],
    {}, [[]], [None], {"": None}, {1: 2}, {None: None},
]  # fmt: skip
scalars = st.one_of(
    st.sampled_from(NASTY + EDGES),
    st.integers(-5, 2000),
    st.floats(width=64),
    st.text(max_size=8),
    st.booleans(),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.text(max_size=5), st.integers(), st.none()), inner, max_size=3
        ),
    ),
    max_leaves=4,
)
keys = st.one_of(st.sampled_from(NASTY), st.text(max_size=6), st.integers(), st.none())


def places(value, path=()):
    """Paths of all values of a configuration."""
    found = [path]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += places(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            found += places(inner, (*path, number))
    return found


PLACES = [path for path in places(BASE) if path]


@st.composite
def mutated(draw):
    """A configuration with one to three changes."""
    config = copy.deepcopy(BASE)
    for _ in range(draw(st.sampled_from([1, 1, 2, 3]))):
        *parents, last = draw(st.sampled_from(PLACES))
        holder = config
        try:
            for part in parents:
                holder = holder[part]
            old = holder[last]
        except (KeyError, IndexError, TypeError):
            # An earlier change removed the place.
            continue
        how = draw(st.sampled_from(["set", "edge", "edge", "delete", "add", "rename", "repeat"]))
        if how == "set":
            holder[last] = draw(values)
        elif how == "edge" and isinstance(old, int | float):
            near = [old * 1000, -old, old / 3, old + 1, str(old), [old], 0, -0.0, 1e-9, 1e-300]
            holder[last] = draw(st.sampled_from(near))
        elif how == "delete":
            del holder[last]
        elif how == "add" and isinstance(holder, dict):
            holder[draw(keys)] = draw(values)
        elif how == "rename" and isinstance(holder, dict):
            holder[draw(keys)] = holder.pop(last)
        elif how == "repeat" and isinstance(holder, list):
            holder.append(copy.deepcopy(old))
    return config


SAFE = re.compile(r"results/[A-Za-z0-9_=./,]+")
TRACE = re.compile(
    r"results/traces/[a-z][a-z0-9_]{0,39}/task=[a-z0-9_]+/depth=\d+/train_fraction=\d+\.\d+"
    rf"/weight_decay=\d+\.\d+/width=\d+(/({'|'.join(VARIABLE)})=[a-z0-9_.,]+)*"
    r"/seed=\d+\.parquet"
)


def check_plan(plan):
    """Everything the rules need of a plan; every path matches their patterns."""
    for spec in plan.specs.values():
        assert RunSpec.from_json(spec.to_json()) == spec
    paths = plan.traces(plan.keys())
    assert all(TRACE.fullmatch(path) for path in paths), paths
    for study in plan.studies:
        paths += plan.study_files(study)
    for path in paths:
        assert SAFE.fullmatch(path), path
        assert ".." not in path
        assert max(len(part) for part in path.split("/")) < 255, path
    json.loads(plan.settings())


@cache
def key_words():
    return [str(path[0]) for path in PLACES] + ["the configuration"]


def check_message(text):
    """The first line counts the problems, the others begin with the key that is wrong."""
    first, *lines = text.split("\n  ")
    match = re.fullmatch(r"(\d+) problems? in the configuration:", first)
    assert match, text
    assert len(lines) == int(match[1]), text
    for line in lines:
        key, colon, _ = line.partition(": ")
        assert colon, line
        assert any(key.startswith(word) for word in key_words()) or key, line
        assert "\n" not in line, line


@settings(
    max_examples=count("CONFIGS"),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(mutated())
def test_a_mutated_configuration_is_planned_or_explained(config):
    before = repr(config)
    try:
        plan = Plan(config)
    except ConfigError as error:
        check_message(str(error))
    else:
        check_plan(plan)
        assert check_config(plan.config.values) == plan.config
    assert repr(config) == before


# Text that is not YAML, or that cannot be read to its end.
NO_YAML = {
    "{bad": r"expected ',' or '}', but got '<stream end>' \(line 1, column 5\)",
    "\ty": r"found character '\\t' that cannot start any token \(line 1",
    "a: b: c": r"mapping values are not allowed here \(line 1, column 5\)",
    "!!python/object:os.system {}": "could not determine a constructor for the tag",
    "{[1]: 2}": r"found unhashable key \(line 1",
    "2001-99-99": "month must be in 1..12",
    "\x00": "unacceptable character #x0000: special",
    "9" * 5000: "Exceeds the limit",
    "&a [*a]": "Circular reference",
    "[" * 2000: "maximum recursion depth",
}


@pytest.mark.parametrize("text", NO_YAML, ids=lambda text: repr(text[:20]))
def test_text_that_is_no_yaml_is_explained(text, tmp_path):
    with pytest.raises(ConfigError, match=rf"studies: .*as YAML: {NO_YAML[text]}") as error:
        read_argument(f"studies={text}")
    check_message(str(error.value))
    path = tmp_path / "odd.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"odd\.yaml: cannot .* as YAML: {NO_YAML[text]}"):
        read_config(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "contains no keys; allowed: object"),
        (b"- 1\n", "contains no keys; allowed: object"),
        (b"\x7fELF\x02\xff\xfe", "not UTF-8 text: "),
        (None, "No such file or directory"),
    ],
)
def test_a_file_that_is_no_configuration_is_named(content, reason, tmp_path):
    path = tmp_path / "odd.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"/odd\.yaml: {reason}") as error:
        read_config(path)
    check_message(str(error.value))


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("studies={bad", r'studies: "{bad" cannot be read as YAML: expected'),
        ("analysis=3", r"analysis: 3 is not allowed; allowed: object"),
        (None, r"config/config\.yaml: cannot be read as YAML: .* \(line 1, column 5\)"),
    ],
)
def test_snakemake_says_so_once(argument, message, checkout):
    if argument is None:
        (checkout / "config/config.yaml").write_text("{a: ]\n")
    result = run_tool(["snakemake", "-n", *(["--config", argument] * bool(argument))], checkout)
    text = result.stdout + result.stderr
    assert result.returncode == 1
    assert len(re.findall(message, text)) == 1, text
    assert "1 problem in the configuration:" in text
    assert "Traceback" not in text, text
    assert not (checkout / "results").exists()
