"""Mutated configurations: each is accepted and planned, or told what is wrong with which key."""

import copy
import json
import re
from functools import cache

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faults import count
from grokscope.config import ConfigError, check_config
from grokscope.plan import STUDIES, STUDY_TABLES, Plan
from grokscope.runs import RunSpec
from project import ROOT

# Small enough that to plan it takes no time, and with a value for every key.
BASE = check_config(yaml.safe_load((ROOT / "tests/tiny.yaml").read_text()))
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
    """Paths of all that a configuration holds."""
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
            # An earlier change took the place away.
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


SAFE = re.compile(r"results/[A-Za-z0-9_=./]+")
TRACE = re.compile(
    rf"results/traces/({'|'.join(STUDIES)})/task=[a-z0-9_]+/depth=\d+/train_fraction=\d+\.\d+"
    r"/weight_decay=\d+\.\d+/width=\d+/seed=\d+\.parquet"
)


def check_plan(plan):
    """What the rules ask of a plan; every path is one that they can take."""
    for spec in plan.specs.values():
        assert RunSpec.from_json(spec.to_json()) == spec
    paths = plan.traces(plan.keys())
    assert all(TRACE.fullmatch(path) for path in paths), paths
    for study in STUDIES:
        paths += plan.figures(study)
        for table in STUDY_TABLES:
            paths += plan.panel_tables(study, table)
    for path in paths + plan.study_tables():
        assert SAFE.fullmatch(path), path
        assert ".." not in path
        assert max(len(part) for part in path.split("/")) < 255, path
    json.loads(plan.settings(*plan.config["analysis"]))


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
        assert check_config(plan.config) == plan.config
    assert repr(config) == before
