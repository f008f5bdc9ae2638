"""Runs: expansion, keys, paths, specifications."""

import copy
import json
from dataclasses import replace

import pytest
import yaml

from grokscope.core.schemas import read_schema
from grokscope.runs.config import check_config
from grokscope.runs.grid import expand_runs
from grokscope.runs.names import SETTINGS
from grokscope.runs.plan import Plan, TargetError
from grokscope.runs.spec import (
    KEY_COLUMNS,
    RunSpec,
    cell_columns,
    decimal_string,
    key_columns,
    read_specs,
)
from grokscope.train.store import training_key
from project import ROOT

DEFAULT = yaml.safe_load((ROOT / "config/config.yaml").read_text())

SWEEP = {
    "kind": "phase_diagram",
    "grids": [
        {
            "tasks": ["modular_addition"],
            "depths": [2],
            "train_fractions": [0.5],
            "weight_decays": [0.1],
            "widths": [8],
            "seeds": [0],
            "steps": 10,
        }
    ],
}


def changed(**settings):
    """The default configuration with other settings of the study gai."""
    config = copy.deepcopy(DEFAULT)
    config["studies"]["gai"] |= settings
    return config


def expanded(**grid):
    """Runs of a study of one task whose grid has further lists."""
    study = SWEEP | {"grids": [SWEEP["grids"][0] | grid]}
    return expand_runs(check_config({"studies": {"my_sweep": study}}))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1, "0.1"), ("0.10", "0.1"), (1, "1.0"), (0, "0.0"), (1e-5, "0.00001"), (0.3, "0.3")],
)
def test_decimals_have_one_notation(value, text):
    assert decimal_string(value) == text


def test_the_default_grid_has_the_published_cells_and_seeds_that_can_decide():
    specs = expand_runs(check_config(DEFAULT))
    cells = {}
    for spec in specs.values():
        cells.setdefault((spec.study, spec.key.cell), []).append(spec.seed)
    of_study = {}
    for (study, _), seeds in cells.items():
        of_study.setdefault(study, []).append(seeds)
    lead_lag, gai, diagram = (of_study[name] for name in ("lead_lag", "gai", "phase_diagram"))
    assert len(lead_lag) == 2 * 3
    assert len(diagram) == 5 * 4 * 3
    published = {42, 123, 7}, {42}
    for of_cells, seeds in zip((lead_lag, diagram), published, strict=True):
        assert {len(found) for found in of_cells} == {6}
        assert all(seeds <= set(found) for found in of_cells)
    assert {s.steps for s in specs.values() if s.study == "lead_lag"} == {3000}
    assert {spec.depth for spec in specs.values() if spec.study == "gai"} == {2, 3, 4, 6, 8}
    # Every run of a classification task that is judged has a seed of its own.
    judged = [s.seed for s in specs.values() if s.study == "gai" and s.task != "cubic_regression"]
    judged = [seed for seed in judged if seed not in (0, 50)]
    assert len(judged) == len(set(judged)) == 21
    assert sorted(len(found) for found in gai)[-3:] == [7, 7, 7]


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
    before = expand_runs(check_config(DEFAULT))
    after = expand_runs(check_config(changed(p=23)))
    trained_anew = {key.task for key in before if before[key] != after[key]}
    assert trained_anew == {"modular_addition"}


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
    config = check_config(changed(data_seed=5))
    specs = [s for s in expand_runs(config).values() if s.study == "gai"]
    assert {s.data_seed for s in specs} == {5}
    assert {s.init_seed for s in specs} == {
        0,
        *range(10, 16),
        *range(20, 26),
        *range(30, 36),
        40,
        41,
        42,
        50,
        52,
        53,
    }


def test_a_varied_setting_is_part_of_key_and_path():
    keys = list(expanded(learning_rate=[1e-3, 0.01], betas=[[0.9, 0.98], [0.9, 0.999]]))
    assert len(keys) == 4
    assert keys[0].path == (
        "results/traces/my_sweep/task=modular_addition/depth=2/train_fraction=0.5"
        "/weight_decay=0.1/width=8/learning_rate=0.001/betas=0.9,0.98/seed=0.parquet"
    )
    row = keys[3].row()
    assert list(row) == key_columns(row)
    assert list(row)[-3:] == ["learning_rate", "betas", "seed"]
    assert (row["learning_rate"], row["betas"]) == (0.01, "0.9,0.999")
    # What a grid does not vary is not part of the identity.
    (plain,) = expanded()
    assert plain.settings == ()
    assert list(plain.row()) == list(KEY_COLUMNS)
    assert cell_columns(plain.row()) == list(KEY_COLUMNS[:-1])


def test_a_setting_that_a_task_does_not_use_makes_one_run():
    tasks = ["modular_addition", "s5_composition"]
    keys = list(expanded(tasks=tasks, p=[7, 11]))
    assert [dict(key.settings)["p"] for key in keys] == ["7", "11", "none"]
    assert keys[2].row()["p"] is None
    assert keys[2].path.endswith("/width=8/p=none/seed=0.parquet")


def test_naming_a_setting_does_not_train_its_runs_again():
    (plain,) = expanded().values()
    (varied,) = expanded(learning_rate=[1e-3]).values()
    assert varied.key != plain.key
    assert varied == plain and varied.to_json() == plain.to_json()
    assert training_key(varied, "cpu") == training_key(plain, "cpu")
    # A job gets the names of its runs' varied settings.
    assert read_specs(f"[{varied.to_json(with_varied=True)}]")[0].key == varied.key


def test_plan_gives_what_wildcards_name():
    plan = Plan(DEFAULT)
    key = plan.keys("gai")[0]
    folders = key.path.removeprefix("results/traces/gai/").rpartition("/")[0]
    wildcards = {"study": "gai", "folders": folders, "seed": "0"}
    assert plan.run_of(wildcards) == key
    assert RunSpec.from_json(plan.specs_json([key])[1:-1]) == plan.specs[key]
    with pytest.raises(KeyError, match="seed=999"):
        plan.run_of(wildcards | {"seed": "999"})
    panel = {"study": "gai", "task": key.task, "depth": "2"}
    assert len(json.loads(plan.specs_json(plan.panel_of(panel)))) == 7
    assert replace(plan.specs[key], seed=999).key not in plan.specs


@pytest.mark.parametrize(
    "target",
    [
        "my_swep",
        "results/my_swep.png",
        "results/figures/my_swep/effects.svg",
        "results/studies/my_swep/runs.parquet",
        "results/summaries/my_swep.json",
    ],
)
def test_a_target_of_another_study_is_refused(target):
    plan = Plan({"studies": {"my_sweep": SWEEP}})
    with pytest.raises(TargetError, match=r"no study 'my_swep' \(did you mean 'my_sweep'\?\)"):
        plan.check_targets([target], rules=["all", "my_sweep"])
    good = target.replace("swep", "sweep")
    plan.check_targets([good, "all", "results/report.html"], rules=["all", "my_sweep"])


def test_no_setting_has_the_name_of_a_result():
    # Of tables with rows of runs: others have no settings as keys.
    tables = read_schema("tables.yaml")["tables"]
    of_runs = [name for name, entry in tables.items() if "key" not in entry]
    assert len(of_runs) > 4
    for name in of_runs:
        assert not {*KEY_COLUMNS, *SETTINGS} & set(tables[name]["columns"]), name
