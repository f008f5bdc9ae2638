"""Reading a panel's traces, and the table of runs."""

import json

import numpy as np
import pandas as pd
import pytest

from grokscope.data.tables import conform
from grokscope.data.trace import TraceError, read_traces
from grokscope.measure.summary import runs_table
from synthetic import make_spec, make_trace, write


def listed(specs):
    return json.dumps([json.loads(spec.to_json()) for spec in specs])


def test_read_traces_in_order_and_one_at_a_time(tmp_path):
    specs = [make_spec(seed=seed, early_stop=None) for seed in (5, 3)]
    paths = [write(make_trace(spec), tmp_path) for spec in specs]
    traces = read_traces(paths, listed(specs))
    assert next(traces).spec == specs[0]
    paths[1].unlink()
    with pytest.raises(TraceError, match=r"seed=3\.parquet: no such trace"):
        next(traces)


def test_another_specification_is_refused(tmp_path):
    path = write(make_trace(), tmp_path)
    with pytest.raises(TraceError, match="steps is 1000, not 999"):
        list(read_traces([path], listed([make_spec(steps=999)])))


def test_as_many_specifications_as_traces():
    with pytest.raises(ValueError, match="0 traces for 1 specifications"):
        list(read_traces([], listed([make_spec()])))


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
    pd.testing.assert_frame_equal(conform(table, "runs"), table)
    assert len(runs_table([])) == 0
