"""All traces of a configuration as one table: the right runs, columns and types, or an error."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.dataset as ds
import pytest
import yaml

from grokscope.cli import main
from grokscope.data.trace_reader import TraceError
from grokscope.data.trace_tree import ResultsError, left_over, plan_of, read_runs
from grokscope.workflow.notes import NOTE, leave_notes
from synthetic import make_trace, write

GRID = {
    "tasks": ["modular_addition"],
    "depths": [2, 3],
    "train_fractions": [0.5],
    "weight_decays": [0, 1.0],
    "widths": [8],
    "seeds": [0, 1],
    "steps": 20,
}
CONFIG = {
    "studies": {
        "plain": {"kind": "early_warning", "grids": [GRID], "p": 7, "rank_every": 10},
        "varied": {
            "kind": "phase_diagram",
            "grids": [
                GRID
                | {"tasks": ["modular_addition", "cubic_regression"], "depths": [2]}
                | {"p": [5, 7], "betas": [[0.9, 0.98]], "seeds": [3]}
            ],
            "samples": 40,
            "encoding": "embedding",
        },
    },
    "store": "$NO_SUCH_VARIABLE/traces",
}


def write_all(folder: Path, config=CONFIG) -> list[Path]:
    """The traces of a configuration, and the configuration where the workflow keeps it."""
    kept = folder / "results/configuration.yaml"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(yaml.safe_dump(config))
    specs = plan_of(folder).specs.values()
    # Something to tell runs apart by.
    return [write(make_trace(s, grad_norm=1.0 + n), folder) for n, s in enumerate(specs)]


@pytest.fixture
def folder(tmp_path):
    write_all(tmp_path)
    return tmp_path


@pytest.fixture
def with_others(folder):
    """The same with what an earlier configuration left: other runs, another study's results."""
    smaller = GRID | {"depths": [2], "seeds": [1]}
    write_all(folder, {"studies": {"plain": CONFIG["studies"]["plain"] | {"grids": [smaller]}}})
    for name in ("panels/varied/task=x/depth=2/environment.json", "summaries/varied.json"):
        (folder / "results" / name).parent.mkdir(parents=True)
        (folder / "results" / name).touch()
    made = plan_of(folder).figures("plain")[0].removeprefix("results/")
    (folder / "results" / made).parent.mkdir(parents=True)
    for name in ("varied.png", made, "report.html"):
        (folder / "results" / name).touch()
    return folder


def test_all_runs_with_typed_keys_and_the_union_of_columns(folder):
    frame = read_runs(folder)
    specs = plan_of(folder).specs
    assert len(specs) == 8 + 6 and len(frame) == 14 * 21
    assert list(frame.columns[:10]) == [
        *("study", "task", "depth", "train_fraction", "weight_decay", "width", "p", "betas"),
        *("seed", "step"),
    ]
    # Decimals are numbers, and settings that a study does not vary, or a task not use, are null.
    assert (frame["weight_decay"] == 1.0).sum() == 7 * 21
    assert frame.groupby("study")["p"].agg(lambda p: set(p.dropna())).to_dict() == {
        "plain": set(),
        "varied": {5, 7},
    }
    assert frame.loc[frame["task"] == "cubic_regression", "p"].isna().all()
    assert set(frame["betas"].dropna()) == {"0.9,0.98"}
    assert {str(frame[name].dtype) for name in ("depth", "width", "p", "seed")} == {"Int64"}
    # Layers that some runs lack are null there, and nowhere else.
    assert list(frame.filter(regex="^grad_norm").columns) == [
        *("grad_norm", "grad_norm_0", "grad_norm_1", "grad_norm_2", "grad_norm_3")
    ]
    assert (frame["grad_norm_3"].notna() == (frame["depth"] == 3)).all()
    assert (frame["grad_norm_0"].notna() == (frame["p"].notna())).all()
    assert str(frame["grad_norm_3"].dtype) == "float32"
    # Every run's rows are its own.
    one = frame[(frame["study"] == "plain") & (frame["weight_decay"] == 0) & (frame["depth"] == 3)]
    numbers = [n for n, key in enumerate(specs) if key.study == "plain" and key.depth == 3]
    assert sorted(one["grad_norm"].unique()) == [1.0 + n for n in numbers[:2]]
    assert one["step"].tolist() == [*range(21)] * 2


def test_a_study_and_some_columns(folder):
    frame = read_runs(folder, study="plain", columns=["grad_norm_3", "test_loss"])
    assert list(frame.columns) == [
        *("study", "task", "depth", "train_fraction", "weight_decay", "width", "seed"),
        *("step", "test_loss", "grad_norm_3"),
    ]
    assert set(frame["study"]) == {"plain"} and len(frame) == 8 * 21


def test_merges_with_tables(folder):
    frame = read_runs(folder, study="plain", columns=["step"])
    keys = list(frame.columns[:-1])
    runs = frame.groupby(keys, as_index=False).size()
    assert len(frame.merge(runs, on=keys)) == len(frame)


def test_traces_of_other_runs_are_told_and_left_out(with_others):
    with pytest.warns(
        UserWarning, match="results/traces: 12 traces of no run of .* grokscope tidy"
    ):
        frame = read_runs(with_others)
    assert len(frame) == 2 * 21 and set(frame["seed"]) == {1} and set(frame["depth"]) == {2}
    with pytest.warns(UserWarning, match="6 traces"):
        read_runs(with_others, study="plain")


def test_of_another_configuration_file(with_others):
    (with_others / "whole.yaml").write_text(yaml.safe_dump(CONFIG))
    assert len(read_runs(with_others, config=with_others / "whole.yaml", columns=["step"])) == 294


def test_what_is_not_there_is_named(folder, tmp_path):
    with pytest.raises(ResultsError, match=r"nowhere/results/configuration\.yaml: no such file"):
        read_runs(tmp_path / "nowhere")
    with pytest.raises(ResultsError, match="study 'gai': .* no such study; it has plain, varied"):
        read_runs(folder, study="gai")
    with pytest.raises(
        ResultsError, match="no trace has 'grad_norm_4'; allowed: step, train_loss"
    ):
        read_runs(folder, columns=["grad_norm_4"])
    path = sorted(folder.glob("results/traces/plain/**/*.parquet"))[0]
    path.unlink()
    with pytest.raises(ResultsError, match=r"seed=0\.parquet: no such trace, as for 1 of 14 runs"):
        read_runs(folder)


def test_a_trace_of_another_specification_is_refused(folder):
    key, spec = next(iter(plan_of(folder).specs.items()))
    trace = make_trace(replace(spec, p=11))
    write(trace, folder)
    with pytest.raises(TraceError, match=rf"{key.path}: .*p is 11, not 7"):
        read_runs(folder)


def test_a_damaged_trace_is_refused(folder):
    path = sorted(folder.glob("results/traces/**/*.parquet"))[3]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(TraceError, match=path.name):
        read_runs(folder)


def test_tidy_lists_first_and_moves_when_told(with_others, capsys):
    before = sorted(with_others.rglob("*"))
    assert main(["tidy", "--folder", str(with_others)]) == 0
    *listed, end = capsys.readouterr().out.splitlines()
    assert end == "15 results of other configurations; --move FOLDER moves them"
    assert sorted(with_others.rglob("*")) == before
    assert "results/varied.png" in listed and "results/summaries/varied.json" in listed
    assert not any("figures" in path or "report" in path for path in listed)
    away = with_others / "away"
    assert main(["tidy", "--folder", str(with_others), "--move", str(away)]) == 0
    assert all((away / path).is_file() and not (with_others / path).exists() for path in listed)
    # Not even their folders are left.
    assert not (with_others / "results/traces/varied").exists()
    assert left_over(plan_of(with_others), with_others) == []
    assert len(read_runs(with_others)) == 2 * 21


def test_tidy_overwrites_nothing(with_others, capsys):
    away = with_others / "away"
    (away / "results").mkdir(parents=True)
    (away / "results/varied.png").touch()
    with pytest.raises(SystemExit):
        main(["tidy", "--folder", str(with_others), "--move", str(away)])
    assert "varied.png: is there already; allowed: another folder" in capsys.readouterr().err
    assert len(left_over(plan_of(with_others), with_others)) == 15


# Readers of a whole folder of traces; each has the folder's note in its error.
READERS = {
    "pandas": pd.read_parquet,
    "pandas with filters": lambda path: pd.read_parquet(path, filters=[("width", "==", 8)]),
    "pyarrow": lambda path: ds.dataset(path, partitioning="hive").to_table(),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "place", ["", "plain", "plain/task=modular_addition", "plain/task=modular_addition/depth=2"]
)
def test_a_folder_read_as_one_table_is_an_error(folder, monkeypatch, reader, place):
    monkeypatch.chdir(folder)
    path = Path("results/traces", place)
    assert len(READERS[reader](path)) > 0
    leave_notes(plan_of().trace_folders())
    with pytest.raises(Exception, match=NOTE):
        READERS[reader](path)
    # One trace is read by any tool.
    assert len(pd.read_parquet(next(path.rglob("*.parquet")))) == 21
    # The reader does not mind the notes, nor does what tidies.
    assert len(read_runs(columns=["step"])) == 294
    assert left_over(plan_of()) == []


def test_polars(folder, monkeypatch):
    pl = pytest.importorskip("polars")
    monkeypatch.chdir(folder)
    leave_notes(plan_of().trace_folders())
    with pytest.raises(pl.exceptions.InvalidOperationError, match=NOTE):
        pl.read_parquet("results/traces/plain")
    frame = pl.from_pandas(read_runs())
    assert frame.filter(pl.col("weight_decay") == 1.0).height == 7 * 21


def test_duckdb(folder):
    duckdb = pytest.importorskip("duckdb")
    frame = read_runs(folder)
    found = duckdb.sql("select count(*), count(grad_norm_3) from frame where weight_decay = 1")
    assert found.fetchall() == [(7 * 21, 2 * 21)]
    del frame
