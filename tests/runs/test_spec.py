"""Runs: expansion, keys, paths, specifications."""

import json
from dataclasses import replace

import pytest
import yaml

from grokscope.runs.config import check_config
from grokscope.runs.plan import Plan
from grokscope.runs.spec import RunSpec, decimal_string, expand_runs, panels
from project import ROOT

DEFAULT = yaml.safe_load((ROOT / "config/config.yaml").read_text())


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1, "0.1"), ("0.10", "0.1"), (1, "1.0"), (0, "0.0"), (1e-5, "0.00001"), (0.3, "0.3")],
)
def test_decimals_have_one_notation(value, text):
    assert decimal_string(value) == text


def test_default_grid_is_the_published_one():
    specs = expand_runs(check_config(DEFAULT))
    count = {}
    for key in specs:
        count[key.study] = count.get(key.study, 0) + 1
    assert count["lead_lag"] == 2 * 3 + 2 * 3
    assert count["phase_diagram"] == 5 * 4 * 3
    assert count["gai"] >= 3 * 5 * 3
    lead_lag = [spec for spec in specs.values() if spec.study == "lead_lag"]
    assert {(s.seed, s.steps) for s in lead_lag} == {(42, 3000), (123, 2000), (7, 2000)}
    assert len(panels(specs)) == 2 + 15 + 1


def test_paper_grid_has_1500_gai_runs_of_50000_steps():
    config = yaml.safe_load((ROOT / "config/paper.yaml").read_text())
    specs = [s for s in expand_runs(check_config(config)).values() if s.study == "gai"]
    assert len(specs) == 1500
    assert {s.steps for s in specs} == {50000}
    assert {s.early_stop for s in specs} == {None}


def test_paths_and_keys_are_unique():
    specs = expand_runs(check_config(DEFAULT))
    assert len({key.path for key in specs}) == len(specs)
    assert all(spec.key == key for key, spec in specs.items())


def test_unused_settings_do_not_enter_the_specification():
    config = check_config(DEFAULT)
    before = expand_runs(config)
    config["studies"]["gai"]["p"] = 23
    after = expand_runs(config)
    changed = {key.task for key in before if before[key] != after[key]}
    assert changed == {"modular_addition"}


def test_specification_survives_json():
    spec = next(iter(expand_runs(check_config(DEFAULT)).values()))
    assert RunSpec.from_json(spec.to_json()) == spec
    assert spec.to_json() == RunSpec.from_json(spec.to_json()).to_json()


@pytest.mark.parametrize("change", [{"extra": 1}, {"p": "missing"}])
def test_a_foreign_specification_is_refused(change):
    values = json.loads(next(iter(expand_runs(check_config(DEFAULT)).values())).to_json())
    values.update(change)
    if change.get("p") == "missing":
        del values["p"]
    with pytest.raises(ValueError, match="fields differ: \\['(extra|p)'\\]"):
        RunSpec.from_json(json.dumps(values))


def test_data_and_init_seeds_are_separate():
    config = check_config(DEFAULT)
    config["studies"]["gai"]["data_seed"] = 5
    specs = [s for s in expand_runs(config).values() if s.study == "gai"]
    assert {s.data_seed for s in specs} == {5}
    assert {s.init_seed for s in specs} == {0, 1, 2}


def test_plan_gives_what_wildcards_name():
    plan = Plan(DEFAULT)
    key = plan.keys("gai")[0]
    wildcards = {name: str(value) for name, value in key._asdict().items()}
    assert plan.run_of(wildcards) == key
    assert RunSpec.from_json(plan.specs_json([key])[1:-1]) == plan.specs[key]
    with pytest.raises(KeyError, match="no run study=gai.*seed=999"):
        plan.run_of(wildcards | {"seed": "999"})
    assert len(json.loads(plan.specs_json(plan.panel_of(wildcards)))) == 3
    assert replace(plan.specs[key], seed=999).key not in plan.specs
