"""Panel: one pass over the traces, closed tables, one trace at a time, the script."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import measure_panel as script
from grokscope.data.tables import concatenate, conform, read_table
from grokscope.measure.detectors.registry import COMBINED, DETECTORS, Detector
from grokscope.measure.detectors.scores import read_scores, score_run
from grokscope.measure.panel import PANEL_TABLES, measure_panel
from grokscope.measure.summary import training_environment
from grokscope.runs.config import default_analysis
from grokscope.runs.spec import key_columns
from synthetic import make_spec, make_trace, noisy_trace, write

ANALYSIS = default_analysis(alarms={"sigma_window": 100}, detectors={"window": 100})
SECTIONS = ("onset", "transitions", "alarms", "detectors", "causes", "rank", "phases")


def panel(**spec):
    """Three runs: one that generalises late, one that never does, one that diverged at once."""
    step = np.arange(2001)
    common = make_spec(steps=2000, depth=3, encoding="embedding", **spec)
    late = make_trace(
        common,
        train_metric=step >= 300,
        test_metric=step >= 1200,
        grad_norm=1 + 0.05 * np.clip(step - 800, 0, 20) + 1e-3 * np.sin(step**2),
    )
    never = noisy_trace(2001, seed=1, **spec)
    gone = make_trace(
        make_spec(seed=2, steps=2000, depth=3, encoding="embedding", **spec),
        stopped="diverged",
        grad_norm=np.ones(0),
    )
    return [late, never, gone]


def test_every_table_matches_its_schema():
    traces = panel()
    measured = measure_panel(iter(traces), ANALYSIS)
    assert tuple(measured.tables) == PANEL_TABLES
    for name, table in measured.tables.items():
        pd.testing.assert_frame_equal(conform(table, name), table)
    for name in ("runs", "transitions", "phases"):
        assert measured.tables[name]["seed"].tolist() == [0, 1, 2]
    assert len(measured.tables["rank"]) == 3 * 3 * 3
    assert measured.environment == training_environment(trace.info for trace in traces)
    assert json.loads(json.dumps(measured.environment)) == measured.environment


def test_settings_that_vary_are_key_columns_of_every_table():
    tables = measure_panel(panel(p=59, varied=("p", "betas")), ANALYSIS).tables
    for table in tables.values():
        assert {"p", "betas"} < set(key_columns(table.columns))
        assert set(table["p"]) == {59} and set(table["betas"]) == {"0.9,0.98"}


def test_onsets_are_the_same_in_all_tables():
    tables = measure_panel(panel(), ANALYSIS).tables
    onset = tables["transitions"].set_index("seed")["test_onset_step"]
    assert onset[0] == 1200 and onset[[1, 2]].isna().all()
    rank = tables["rank"].drop_duplicates("seed").set_index("seed")
    assert rank["reference"].tolist() == ["onset", "matched", "none"]
    assert rank["reference_step"][:2].tolist() == [1200, 1200]
    alarms = tables["alarms"]
    memorised = alarms[(alarms["detector"] == "train_accuracy") & (alarms["seed"] == 0)]
    assert memorised[["step", "cause"]].values.tolist() == [[300, "memorisation"]]


def test_scores_are_those_of_the_runs_alone():
    traces = panel()
    found = measure_panel(iter(traces), ANALYSIS).scores
    expected = [row for trace in traces for row in score_run(trace, ANALYSIS)]
    assert len(found) == len(expected) == 3 * (len(DETECTORS) + 4)
    for row, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(row.pop("scores"), other.pop("scores"))
        assert row == other


def test_one_trace_is_read_at_a_time_and_each_signal_is_computed_once(monkeypatch):
    calls = []

    def signal(trace, analysis):
        calls.append(trace.key.seed)
        return {COMBINED: np.ones(len(trace.frame))}

    counted = Detector("counted", signal, False, lambda analysis: 0.5, True, "a test")
    monkeypatch.setitem(DETECTORS, "counted", counted)
    read = []

    def traces():
        for trace in panel():
            assert calls == read, "the runs before are measured when the next one is read"
            read.append(trace.key.seed)
            yield trace

    measured = measure_panel(traces(), ANALYSIS)
    assert calls == read == [0, 1, 2]
    # Its stated threshold is enough for alarms of its own: latched, one per run with steps.
    alarms = measured.tables["alarms"]
    assert alarms.loc[alarms["detector"] == "counted", "step"].tolist() == [0, 0]


def test_settings_of_the_named_sections_are_enough():
    some = type(ANALYSIS).from_json(ANALYSIS.to_json(SECTIONS))
    measured, expected = (measure_panel(panel(), analysis) for analysis in (some, ANALYSIS))
    for name in PANEL_TABLES:
        pd.testing.assert_frame_equal(measured.tables[name], expected.tables[name])


def test_no_runs():
    measured = measure_panel([], ANALYSIS)
    assert all(table.empty for table in measured.tables.values())
    assert tuple(measured.tables) == PANEL_TABLES and measured.scores == []


def test_runs_of_two_panels_are_refused():
    with pytest.raises(ValueError, match="one panel"):
        measure_panel([make_trace(), make_trace(make_spec(depth=3))], ANALYSIS)


class Files(dict):
    """Named files, as Snakemake gives them."""

    __getattr__ = dict.__getitem__


def test_script_measures_a_panel(tmp_path):
    traces = panel(varied=("p",))
    paths = [write(trace, tmp_path) for trace in traces]
    output = Files({name: str(tmp_path / f"{name}.parquet") for name in (*PANEL_TABLES, "scores")})
    output["environment"] = str(tmp_path / "environment.json")
    specs = "[" + ",".join(trace.spec.to_json(with_varied=True) for trace in traces) + "]"
    script.main(
        SimpleNamespace(
            input=SimpleNamespace(traces=[str(path) for path in paths]),
            output=output,
            params=SimpleNamespace(specs=specs, settings=ANALYSIS.to_json(SECTIONS)),
        )
    )
    expected = measure_panel(traces, ANALYSIS)
    for name in PANEL_TABLES:
        pd.testing.assert_frame_equal(read_table(output[name], name), expected.tables[name])
    found = read_scores([output["scores"]], "change_point")
    scores = [row["scores"] for row in expected.scores if row["detector"] == "change_point"]
    for one, other in zip(found["scores"], scores, strict=True):
        np.testing.assert_array_equal(one, other)
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment == expected.environment


def test_a_table_without_rows_has_the_key_columns_of_the_others():
    spec = make_spec(steps=50, varied=("betas", "learning_rate"))
    tables = measure_panel([make_trace(spec)], ANALYSIS).tables
    assert tables["alarms"].empty
    keys = key_columns(tables["runs"].columns)
    assert keys[-3:] == ["learning_rate", "betas", "seed"]
    assert all(key_columns(table.columns) == keys for table in tables.values())
    joined = concatenate([tables["alarms"], tables["alarms"]], "alarms")
    assert key_columns(joined.columns) == keys
