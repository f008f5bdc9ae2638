"""Odd runs: tables, report and figures are made and state what happened."""

import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml

from faults import full
from grokscope.runs.config import check_config
from grokscope.runs.plan import Plan
from project import TINY, copy_checkout, run_tool
from synthetic import make_spec, make_trace, write
from synthetic_results import make_results, small_values


def diverges(spec):
    return make_trace(spec, train_loss=np.linspace(2, 9, 7), test_metric=0.1)


def diverges_at_once(spec):
    """Not even the first state was finite."""
    return make_trace(spec, train_loss=np.empty(0), diverged_step=0)


def never_learns(spec):
    rng = np.random.default_rng(spec.seed)
    noise = 0.01 * rng.uniform(size=spec.steps + 1)
    return make_trace(spec, train_metric=0.1 + noise, test_metric=0.1 + noise, grad_norm=1 + noise)


def learns_at_once(spec):
    return make_trace(spec, train_metric=1.0, test_metric=1.0, train_loss=0.0, test_loss=0.0)


def has_one_test_sample(spec):
    """Its metric is 0 or 1, and R² is undefined."""
    t = np.arange(spec.steps + 1)
    metric = t > 0.6 * spec.steps if spec.encoding != "scalar" else np.nan
    return make_trace(
        spec, train_metric=t > 0.2 * spec.steps, test_metric=metric, info={"n_test": 1}
    )


def predicts_a_constant(spec):
    return make_trace(spec, train_metric=1 / 7, test_metric=1 / 7, grad_norm=0.5)


def has_equal_logits(spec):
    """Nothing is predicted and nothing changes: no gradient, no weights, no rank."""
    nothing = dict.fromkeys(("grad_norm", "train_metric", "test_metric"), 0.0)
    layers = range(1, spec.depth + 1)
    ranks = {f"{name}_rank_{i}": np.nan for name in ("effective", "stable") for i in layers}
    ranks |= {f"numerical_rank_{i}": 0.0 for i in layers}
    norms = {f"weight_norm_{i}": 0.0 for i in layers}
    loss = dict.fromkeys(("train_loss", "test_loss"), np.log(7))
    return make_trace(spec, **nothing, **ranks, **norms, **loss)


def ends_at_step_1(spec):
    """Its configuration asks for no more."""
    return make_trace(spec, train_metric=0.1, test_metric=0.1)


# The phase that each of them has, where all runs of a study are like it.
KINDS = {
    diverges: "diverged",
    diverges_at_once: "diverged",
    never_learns: "confusion",
    learns_at_once: None,
    has_one_test_sample: None,
    predicts_a_constant: "confusion",
    has_equal_logits: "confusion",
    ends_at_step_1: "confusion",
}


def alike(config, kind):
    """The configuration, smaller, with one update if the kind asks for that."""
    config = copy.deepcopy(config)
    for study in config["studies"].values():
        del study["grids"][1:]
        for grid in study["grids"]:
            grid["depths"] = grid["depths"][:1]
            grid["seeds"] = grid["seeds"][:2]
            if kind is ends_at_step_1:
                grid["steps"] = 1
    return config


def one_of_each(config):
    """The configuration with a run of every kind in every study, identified by its seed."""
    config = copy.deepcopy(config)
    seeds = {kind: seed for seed, kind in enumerate(KINDS)}
    last = seeds.pop(ends_at_step_1)
    for study in config["studies"].values():
        cell = {key: value for key, value in study["grids"][0].items() if key != "steps"}
        cell = {key: values[:1] for key, values in cell.items()}
        steps = study["grids"][0]["steps"]
        study["grids"] = [
            cell | {"seeds": list(seeds.values()), "steps": steps},
            cell | {"seeds": [last], "steps": 1},
        ]
    return config


def as_asked(kind):
    """Such a trace, with the end that its rows imply."""

    def trace_of(spec):
        trace = kind(spec)
        if len(trace.frame) < spec.steps + 1:
            facts = {"stopped": "diverged", "diverged_step": len(trace.frame)}
            trace = replace(trace, info=replace(trace.info, **facts))
        return trace

    return trace_of


# Those with the least data: no state, no metric, no onset.
EMPTIEST = (diverges_at_once, has_one_test_sample, never_learns)


@pytest.mark.parametrize("kind", KINDS if full() else EMPTIEST, ids=lambda kind: kind.__name__)
def test_tables_and_report_are_made_and_right(kind, tmp_path):
    """Also where all runs are of one kind."""
    results = make_results(tmp_path, check_config(alike(small_values(), kind)), as_asked(kind))
    assert results.problems() == {}
    phases = set(results.tables["phases"]["phase"])
    if KINDS[kind] is not None:
        assert phases == {KINDS[kind]}
        assert KINDS[kind] in results.markdown
    verdicts = set(results.tables["claims"]["verdict"])
    assert verdicts <= {"holds", "fails", "not testable at this scale"}


def test_kinds_are_of_runs_that_a_trainer_may_make():
    """They are null only where the cadence of their specification leaves values out."""
    for kind in KINDS:
        trace = as_asked(kind)(make_spec(steps=1 if kind is ends_at_step_1 else 40))
        assert trace.frame["step"].tolist() == list(range(len(trace.frame)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [None, *KINDS] if full() else [None],
    ids=lambda kind: "one_of_each" if kind is None else kind.__name__,
)
def test_everything_is_made_by_the_workflow(kind, tmp_path):
    """Possible traces in place of those that would be trained."""
    copy_checkout(tmp_path)
    config = yaml.safe_load(TINY.read_text())
    config = one_of_each(config) if kind is None else alike(config, kind)
    (tmp_path / "config/odd.yaml").write_text(yaml.safe_dump(config))
    call = ["snakemake", "all", "--cores", "2"]
    # Planning writes the stamps, and traces must be newer.
    planned = run_tool([*call, "-n", "--configfile", "config/odd.yaml"], tmp_path)
    assert planned.returncode == 0, planned.stdout + planned.stderr
    kinds = {}
    for spec in Plan(config).specs.values():
        kinds[spec.seed] = kind or list(KINDS)[spec.seed]
        write(as_asked(kinds[spec.seed])(spec), tmp_path)
    made = run_tool([*call, "--configfile", "config/odd.yaml"], tmp_path)
    assert made.returncode == 0, made.stdout + made.stderr
    assert not list(tmp_path.glob("results/logs/traces/**/*.log")), "traces were trained"
    phases = pd.read_parquet(tmp_path / "results/tables/phases.parquet")
    assert set(phases["seed"]) == set(kinds)
    for seed, phase in zip(phases["seed"], phases["phase"], strict=True):
        assert KINDS[kinds[seed]] in (None, phase), kinds[seed].__name__
    assert (tmp_path / "results/validated.txt").exists()
