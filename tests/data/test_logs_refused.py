"""Logs that cannot be imported as they are: one reason each, with what would be right."""

import json

import numpy as np
import pandas as pd
import pytest

from foreign_logs import curves, import_all, one, study_of
from grokscope.cli import main
from grokscope.core.errors import UserError
from grokscope.runs.config import check_config
from grokscope.runs.reading import read_config


def refused(tmp_path, frame, name="run.csv", **source):
    """The reason why a table is not imported."""
    frame.to_csv(tmp_path / name, index=False)
    with pytest.raises(UserError) as error:
        one(tmp_path / name, tmp_path, **source)
    assert name in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def sampled(n_rows=500, n_steps=20_000, seed=0):
    """Rows drawn at random, as W&B's run.history() draws them."""
    drawn = np.sort(np.random.default_rng(seed).choice(n_steps, n_rows, replace=False))
    frame = curves(drawn).rename(columns={"step": "_step"})
    return frame.assign(_runtime=frame["_step"] / 10.0, _timestamp=1.6e9)


@pytest.mark.parametrize("n_rows", [60, 500])
def test_random_sample_of_a_history(tmp_path, n_rows):
    reason = refused(tmp_path, sampled(n_rows))
    assert "random sample" in reason
    assert "scan_history" in reason
    assert "artifact" in reason


def test_whole_histories_are_no_samples(tmp_path):
    regular = curves(range(0, 10_000, 20)).rename(columns={"step": "_step"})
    assert len(regular) == 500
    growing = curves(np.unique(np.geomspace(1, 20_000, 300).astype(int)))
    growing = growing.rename(columns={"step": "_step"})
    for frame in (regular, growing):
        frame.assign(_runtime=1.0).to_csv(tmp_path / "run.csv", index=False)
        one(tmp_path / "run.csv", tmp_path)


def test_two_runs_without_a_column_of_runs(tmp_path):
    reason = refused(tmp_path, pd.concat([curves(), curves()]))
    assert "go backwards, from 1,000 to 0 in row 22" in reason
    assert "columns: {run: NAME}" in reason
    both = pd.concat([curves(), curves(onset=500)]).sort_values("step", kind="stable")
    reason = refused(tmp_path, both)
    assert "two values at step 500: 0.1 and 0.99" in reason
    assert "columns: {run: NAME}" in reason


def test_columns_that_are_not_there(tmp_path):
    reason = refused(tmp_path, curves(), columns={"test_metric": "tset_acc"})
    assert (
        "columns.test_metric: the log has no column 'tset_acc'; did you mean 'test_acc'" in reason
    )
    reason = refused(tmp_path, curves().rename(columns={"step": "epoch"}))
    assert "no column of steps" in reason
    reason = refused(tmp_path, curves()[["step"]].assign(speed=1.0))
    assert "no column that a trace has" in reason


def test_an_index_without_a_name_is_no_step(tmp_path):
    frame = curves().drop(columns="step").rename_axis(None).reset_index(names="")
    assert "an index without a name counts rows" in refused(tmp_path, frame)


def test_nothing_is_guessed_between_two_columns(tmp_path):
    reason = refused(tmp_path, curves().assign(val_acc=0.5))
    assert "'test_acc' and 'val_acc' may each be test_metric" in reason
    curves().assign(val_acc=0.5).to_csv(tmp_path / "run.csv", index=False)
    trace = one(tmp_path / "run.csv", tmp_path, columns={"test_metric": "val_acc"})
    assert trace.frame["test_metric"].dropna().unique().tolist() == [0.5]


def test_units_that_cannot_be(tmp_path):
    percent = curves().assign(test_acc=curves()["test_acc"] * 100)
    reason = refused(tmp_path, percent)
    assert "has 99 at step 700; allowed: at most 1 (percent?" in reason
    assert "columns: {test_metric: {column: test_acc, scale: 0.01}}" in reason
    column = {"column": "test_acc", "scale": 0.01}
    trace = one(tmp_path / "run.csv", tmp_path, columns={"test_metric": column})
    np.testing.assert_allclose(trace.frame["test_metric"].max(), 0.99, rtol=1e-6)
    assert "no share" in refused(tmp_path, curves().assign(test_acc=1234.0))
    assert "a logarithm is no norm" in refused(tmp_path, curves().assign(grad_norm=-1.0))


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([0.0, 0.5, 1.0], "has 0.5; allowed: whole numbers from 0 on"),
        ([-1, 0, 1], "has -1; allowed: whole numbers from 0 on"),
        ([0, 10, 60_000_000], "at most 5,000,000"),
    ],
)
def test_what_is_no_step(tmp_path, steps, words):
    assert words in refused(tmp_path, curves([0, 1, 2]).assign(step=steps))


def test_runs_of_one_identity(tmp_path):
    for name in ("a", "b"):
        curves().to_csv(tmp_path / f"{name}.csv", index=False)
    source = {"files": f"{tmp_path}/*.csv"}
    with pytest.raises(UserError, match=r"a\.csv and .*b\.csv are the same run .*seed: number"):
        import_all(study_of(source), tmp_path)
    traces = import_all(study_of(source | {"run": {"seed": "number"}}), tmp_path)
    assert [trace.key.seed for trace in traces] == [0, 1]


def test_names_of_a_run_that_the_log_does_not_tell(tmp_path):
    (tmp_path / "run.jsonl").write_text(
        json.dumps({"_meta": {"n_layer": 2, "lr": "high"}})
        + "\n"
        + "".join(json.dumps(row) + "\n" for row in curves().to_dict("records"))
    )
    for run, words in (
        ({"depth": {"config": "n_layers"}}, "did you mean 'n_layer'"),
        ({"learning_rate": {"config": "lr"}}, "'high' is not allowed; allowed: a number"),
        ({"seed": {"column": "test_acc"}}, "allowed: one value a run"),
        ({"path": "{colour}.jsonl"}, "{colour} is no key column"),
        ({"path": "other/{seed}.jsonl"}, "does not end as run.path says"),
        ({"seed": 1.5}, "allowed: a whole number"),
        ({"condition": "a b"}, "allowed: at most 60 letters"),
    ):
        with pytest.raises(UserError, match=r"run\.jsonl|studies\.mine") as error:
            one(tmp_path / "run.jsonl", tmp_path, run=run)
        assert words in str(error.value)


def test_half_a_line_is_not_read(tmp_path):
    lines = [json.dumps(row) for row in curves().to_dict("records")]
    (tmp_path / "run.jsonl").write_text("\n".join([*lines, lines[-1][:20]]))
    with pytest.raises(UserError, match=r"line 22 is not JSON; a log that is still being written"):
        one(tmp_path / "run.jsonl", tmp_path)


def test_no_log_at_all(tmp_path):
    with pytest.raises(UserError, match=r"studies\.mine\.source\.files: .* finds no file"):
        one(tmp_path / "none.csv", tmp_path)
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(UserError, match="its name tells no format"):
        one(tmp_path / "notes.txt", tmp_path)
    (tmp_path / "web.csv").write_text("Wall time,Step,Value\n1.0,0,0.5\n")
    with pytest.raises(UserError, match=r"at most 1,000 points .* event files"):
        one(tmp_path / "web.csv", tmp_path)


def test_study_with_grids_and_source_or_neither():
    for study, words in (
        ({"kind": "lead_lag"}, "has neither grids"),
        ({"kind": "lead_lag", "source": {"files": "a"}, "grids": []}, "grids: is empty"),
    ):
        with pytest.raises(UserError, match=words):
            check_config({"studies": {"mine": study}})


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"files": "a.csv", "formt": "csv"}, "did you mean 'format'"),
        ({"files": "a.csv", "columns": {"tset_metric": "x"}}, "tset_metric"),
        ({"files": "a.csv", "run": {"sed": 1}}, "did you mean 'seed'"),
        ({"files": "a.csv", "reached": 0.9}, "reached: is not allowed for format auto"),
        ({"files": "a.csv", "format": "crossings"}, "missing reached"),
    ],
)
def test_source_that_is_none(source, words):
    with pytest.raises(UserError, match="studies.mine.source") as error:
        study_of(source)
    assert words in str(error.value)


def test_first_steps_know_no_other_level():
    source = {"files": "a.csv", "format": "crossings", "reached": 0.9, "last_step": 10}
    with pytest.raises(UserError) as error:
        study_of(source)
    for key in ("onset.evaluations", "onset.test_thresholds", "phases.threshold"):
        assert f"analysis.{key}" in str(error.value)


# ------------------------------------------------------------------ the command


def test_the_command_says_what_is_there_and_writes_the_configuration(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for seed in range(2):
        meta = {"_meta": {"seed": seed, "optim": {"lr": 0.1}, "d_model": 128}}
        lines = [meta, *curves().assign(extra=1.0).to_dict("records")]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / f"run{seed}.jsonl").write_text(text)
    assert main(["import", "*.jsonl", "--output", "mine.yaml"]) == 0
    said = capsys.readouterr().out
    for words in ("2 logs, 2 runs", "steps 0 to 1,000", "every 50 steps", "not used", "extra"):
        assert words in said
    assert "test_metric <- test_acc" in said
    study = check_config(read_config("mine.yaml")).studies["own_logs"]
    assert [trace.key.seed for trace in import_all(study, tmp_path)] == [0, 1]
    assert study.source.run == {"width": {"config": "d_model"}, "seed": {"config": "seed"}}


def test_the_command_refuses_with_reasons(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sampled().to_csv(tmp_path / "history.csv", index=False)
    curves().to_csv(tmp_path / "run.csv", index=False)
    assert main(["import", "history.csv", "run.csv", "--output", "mine.yaml"]) == 2
    assert "refused: history.csv: 500 rows" in capsys.readouterr().err
    assert not (tmp_path / "mine.yaml").exists()
    with pytest.raises(SystemExit) as end:
        main(["import", "none.csv"])
    assert end.value.code == 2


def test_the_command_takes_what_the_configuration_takes(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    curves().assign(test_acc=50.0, group="a").to_csv(tmp_path / "s3.csv", index=False)
    options = [
        "--column",
        "test_metric=",
        "--run",
        "path=s{seed}.csv",
        "--run",
        "task=column:group",
    ]
    options += ["--where", "group=a", "--study", "mine", "--kind", "phase_diagram"]
    assert main(["import", "s3.csv", *options]) == 0
    said = capsys.readouterr().out
    assert "task=a" in said
    assert "seed=3" in said
    assert "test_metric: null" in said
