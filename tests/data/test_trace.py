"""Traces: what is written is read back; damaged and foreign files are refused by name."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from grokscope.data.trace import trace_schema
from grokscope.data.trace_reader import TraceError, read_trace
from grokscope.data.trace_writer import write_sealed, write_trace
from project import ROOT
from synthetic import make_spec, make_trace, write


@pytest.fixture
def stored(tmp_path):
    trace = make_trace(make_spec(steps=30, test_every=10))
    return trace, write(trace, tmp_path)


def test_round_trip(stored):
    trace, path = stored
    found = read_trace(path, trace.spec)
    assert found.spec == trace.spec and found.info == trace.info
    assert list(found.frame.columns) == [field.name for field in trace_schema(trace.spec)]
    assert found.frame["step"].tolist() == list(range(31))
    assert found.frame["test_loss"].notna().sum() == 4
    assert len(found.evaluated()) == 4


def test_a_training_job_needs_no_pandas(stored):
    _, path = stored
    code = (
        "import sys\n"
        "import grokscope.train.loop\n"
        "from grokscope.data.trace_reader import _to_numpy, check_trace\n"
        "from grokscope.data.trace_writer import write_trace\n"
        "spec, info, table = check_trace(sys.argv[1])\n"
        "columns = {name: _to_numpy(table[name]) for name in table.column_names}\n"
        "write_trace('again.parquet', spec, info, columns)\n"
        "assert 'pandas' not in sys.modules\n"
    )
    call = [sys.executable, "-W", "error", "-c", code, str(path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow/scripts")}
    subprocess.run(call, check=True, cwd=path.parent, env=environment)
    assert (path.parent / "again.parquet").read_bytes() == path.read_bytes()


def test_a_tree_of_traces_is_one_dataset(tmp_path):
    for seed in (1, 2):
        spec = make_spec(steps=5, seed=seed, data_seed=seed, init_seed=seed)
        write(make_trace(spec), tmp_path)
    frame = pd.read_parquet(tmp_path / "results/traces" / spec.study)
    assert set(frame["seed"]) == {1, 2} and len(frame) == 12
    for column in ("task", "depth", "train_fraction", "weight_decay", "width"):
        assert frame[column].astype(str).unique().tolist() == [str(getattr(spec, column))]


def test_the_seed_is_that_of_the_specification(stored, tmp_path):
    trace, _ = stored
    other = replace(trace.spec, seed=trace.spec.seed + 1)
    write_trace(tmp_path / "x.parquet", other, trace.info, dict(trace.frame))
    assert set(read_trace(tmp_path / "x.parquet", other).frame["seed"]) == {other.seed}


def test_another_specification_is_refused(stored):
    trace, path = stored
    with pytest.raises(TraceError, match=r"learning_rate is 0.001, not 0.01"):
        read_trace(path, replace(trace.spec, learning_rate=0.01))


def test_a_truncated_file_is_refused(stored):
    _, path = stored
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(TraceError, match="not a readable trace"):
        read_trace(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TraceError, match=r"seed=1\.parquet: no such trace"):
        read_trace(tmp_path / "seed=1.parquet")


def test_a_parquet_file_that_is_no_trace_is_refused(tmp_path):
    path = tmp_path / "x.parquet"
    pd.DataFrame({"step": [0, 1]}).to_parquet(path)
    with pytest.raises(TraceError, match="not a readable trace"):
        read_trace(path)


def _rewrite(path, change):
    """Change the table and seal it again, as a forger would."""
    write_sealed(change(pq.ParquetFile(path).read()), path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop_columns(["grad_norm"]), "columns differ"),
        (lambda table: table.append_column("extra", table["grad_norm"]), "columns differ"),
        (lambda table: table.slice(1), "has 30 rows, which does not fit completed"),
        (lambda table: table.slice(0, 30), "has 30 rows, which does not fit completed"),
        (lambda table: table.take([*range(30), 29]), "steps are not 0, 1, 2"),
    ],
)
def test_changed_rows_or_columns_are_refused(stored, change, message):
    _, path = stored
    _rewrite(path, change)
    with pytest.raises(TraceError, match=message):
        read_trace(path)


def test_an_older_schema_version_is_refused(stored):
    trace, path = stored
    columns = {name: trace.frame[name].to_numpy() for name in trace.frame}
    write_trace(path, trace.spec, replace(trace.info, schema_version=0), columns)
    with pytest.raises(TraceError, match="schema version 0, this code reads version 4"):
        read_trace(path)


@pytest.mark.parametrize(
    ("task", "column", "value"),
    [
        ("modular_addition", "test_metric", 1.2),
        ("modular_addition", "train_metric", -0.1),
        ("modular_addition", "softmax_collapse", 1.2),
        ("sine_regression", "test_metric", 1.2),
    ],
)
def test_a_share_lies_between_0_and_1_and_no_r2_above_1(tmp_path, task, column, value):
    spec = make_spec(task=task, steps=20)
    assert len(read_trace(write(make_trace(spec, test_metric=1.0), tmp_path), spec).frame) == 21
    path = write(make_trace(spec, **{column: value}), tmp_path)
    with pytest.raises(TraceError, match=column):
        read_trace(path, spec)


def test_an_r2_may_be_negative(tmp_path):
    spec = make_spec(task="sine_regression", steps=20)
    read_trace(write(make_trace(spec, test_metric=-3.0), tmp_path), spec)


def test_a_failed_write_leaves_nothing(tmp_path):
    trace = make_trace(make_spec(steps=5))
    columns = {name: trace.frame[name].to_numpy() for name in trace.frame}
    columns["grad_norm"] = np.array(["no", "number"])
    with pytest.raises(Exception, match="no"):
        write_trace(tmp_path / "a.parquet", trace.spec, trace.info, columns)
    assert list(tmp_path.iterdir()) == []


def test_a_trace_without_rows_is_kept(tmp_path):
    trace = make_trace(make_spec(steps=5))
    columns = {name: trace.frame[name].to_numpy()[:0] for name in trace.frame}
    info = replace(trace.info, stopped="diverged", diverged_step=0)
    write_trace(tmp_path / "a.parquet", trace.spec, info, columns)
    assert len(read_trace(tmp_path / "a.parquet", trace.spec).frame) == 0


def test_the_folders_of_a_trace_say_which_settings_name_it(tmp_path):
    trace = make_trace(make_spec(steps=30, varied=("learning_rate", "betas")))
    path = write(trace, tmp_path)
    assert "/learning_rate=0.001/betas=0.9,0.98/" in str(path)
    assert read_trace(path).key == trace.key
    (tmp_path / "moved.parquet").write_bytes(path.read_bytes())
    assert read_trace(tmp_path / "moved.parquet").key.settings == ()
