"""Reading a panel's traces, and the table of runs."""

import numpy as np
import pytest

from grokscope.data.trace_reader import TraceError, read_traces
from grokscope.measure.panel import measure_panel
from grokscope.measure.summary import merge_environments, training_environment
from grokscope.runs.config import default_analysis
from synthetic import make_spec, make_trace, write


def runs_table(traces):
    return measure_panel(traces, default_analysis()).tables["runs"]


def test_read_traces_in_order_and_one_at_a_time(tmp_path):
    specs = [make_spec(seed=seed, early_stop=None) for seed in (5, 3)]
    paths = [write(make_trace(spec), tmp_path) for spec in specs]
    traces = read_traces(paths, specs)
    assert next(traces).spec == specs[0]
    paths[1].unlink()
    with pytest.raises(TraceError, match=r"seed=3\.parquet: no such trace"):
        next(traces)


def test_another_specification_is_refused(tmp_path):
    path = write(make_trace(), tmp_path)
    with pytest.raises(TraceError, match="steps is 1000, not 999"):
        list(read_traces([path], [make_spec(steps=999)]))


def test_as_many_specifications_as_traces():
    with pytest.raises(ValueError, match="0 traces for 1 specifications"):
        list(read_traces([], [make_spec()]))


def test_runs():
    step = np.arange(996)
    trace = make_trace(
        make_spec(steps=2000, seed=3),
        train_metric=step / 1000,
        test_metric=step / 2000,
        train_loss=1000.0 - step,
        test_loss=2000.0 - step,
        diverged_step=996,
        info={"seconds": 12.5, "n_train": 7, "n_test": 3},
    )
    row = runs_table([trace]).iloc[0]
    expected = {
        "seed": 3,
        "steps": 995,
        "max_steps": 2000,
        "stopped": "diverged",
        "diverged_step": 996,
        "final_train_loss": 5.0,
        "final_test_loss": 1010.0,  # the last evaluation, at 990
        "final_train_metric": pytest.approx(0.995),
        "final_test_metric": pytest.approx(0.495),
        "n_train": 7,
        "n_test": 3,
        "seconds": 12.5,
    }
    assert {name: row[name] for name in expected} == expected


def test_runs_without_rows_or_metrics():
    traces = [
        make_trace(make_spec(), stopped="diverged", train_metric=np.ones(0)),
        make_trace(make_spec(seed=1), test_metric=np.nan),
    ]
    table = runs_table(iter(traces))
    assert table["steps"].tolist() == [0, 1000]
    assert table["diverged_step"].isna().tolist() == [False, True]
    assert table["final_train_loss"].isna().tolist() == [True, False]
    assert table["final_test_metric"].isna().all()
    assert table["final_test_loss"].isna().tolist() == [True, False]
    assert len(runs_table([])) == 0


def test_the_environment_of_a_study_is_that_of_all_its_runs():
    traces = [
        make_trace(info={"device": "cuda: H100", "threads": 2, "versions": {"torch": "2.1"}}),
        make_trace(info={"versions": {"torch": "2.0", "numpy": "2.0"}}),
    ]
    expected = {
        "versions": {"numpy": ["2.0"], "torch": ["2.0", "2.1"]},
        "devices": ["cpu", "cuda: H100"],
        "threads": [1, 2],
    }
    assert training_environment(trace.info for trace in traces) == expected
    parts = [training_environment([trace.info]) for trace in traces]
    assert merge_environments(parts) == expected
    assert training_environment([]) == {"versions": {}, "devices": [], "threads": []}
