"""Imported runs: measured as if trained here where the log has what is needed, else not at all."""

import json

import numpy as np
import pandas as pd
import pytest

from foreign_logs import curves, import_all, one, study_of
from grokscope.claims.judge import judge_study
from grokscope.claims.published import read_published
from grokscope.data.trace_writer import write_trace
from grokscope.evaluate.tables import evaluation_tables
from grokscope.measure.detectors.registry import DETECTORS
from grokscope.measure.lacking import MEASURES, parse_reasons
from grokscope.measure.panel import measure_panel
from grokscope.measure.variants import variants_table
from grokscope.runs.config import default_analysis
from grokscope.runs.spec import KEY_COLUMNS
from project import ROOT
from synthetic import learning_run

ANALYSIS = default_analysis()
# Of our own trainings there is more than a log of their curves has.
NOT_LOGGED = ["n_train", "n_test", "n_parameters", "device", "processor", "seconds", "stopped"]


def own_runs():
    return [
        learning_run(seed=seed, kinks=[700 + 40 * seed], onset=[1200, 1250, None, 1300][seed])
        for seed in range(4)
    ]


def logged(trace, folder):
    """The columns of one of our own traces as anyone would log them."""
    frame = trace.frame.drop(columns=["seed", "softmax_collapse"]).copy()
    weights = [frame[name] for name in frame if name.startswith("weight_norm_")]
    frame["weight_norm"] = np.sqrt(sum(of.astype(float) ** 2 for of in weights))
    ranks = [name for name in frame if "_rank_" in name]
    path = folder / f"s{trace.key.seed}.csv"
    frame.drop(columns=ranks).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What is measured of our own traces, and of the same curves as logs."""
    folder = tmp_path_factory.mktemp("logs")
    own = own_runs()
    for trace in own:
        logged(trace, folder)
    run = {"path": "s{seed}.csv", "task": "modular_addition", "depth": 2, "width": 128}
    run |= {"train_fraction": 0.6, "weight_decay": 1.0}
    study = study_of({"files": f"{folder}/s*.csv", "run": run, "row": "after_update"})
    imported = import_all(study, folder)
    return (own, measure_panel(own, ANALYSIS)), (imported, measure_panel(imported, ANALYSIS))


def same(one, other, without=()):
    """Two tables are equal but for the study's name and what is named."""
    left = one.drop(columns=["study", *without], errors="ignore")
    right = other.drop(columns=["study", *without], errors="ignore")
    pd.testing.assert_frame_equal(left, right[list(left)], check_exact=False, rtol=1e-6)


def test_the_same_curves_give_the_same_onsets_and_alarms(both):
    (_, own), (_, imported) = both
    same(own.tables["transitions"], imported.tables["transitions"])
    same(own.tables["phases"], imported.tables["phases"])
    ours = own.tables["alarms"]
    assert (ours["detector"] == "gai").sum() > 4
    same(ours, imported.tables["alarms"])
    runs = own.tables["runs"]
    same(runs, imported.tables["runs"], without=NOT_LOGGED)


def test_the_same_curves_give_the_same_scores(both):
    (_, own), (_, imported) = both
    theirs = {(row["seed"], row["detector"], row["layer"]): row for row in imported.scores}
    compared = 0
    for row in own.scores:
        other = theirs[row["seed"], row["detector"], row["layer"]]
        if row["detector"] == "rank_fall":
            assert other["scores"] is None
            continue
        np.testing.assert_allclose(row["scores"], other["scores"], rtol=2e-5, atol=2e-6)
        assert row["warm_up"] == other["warm_up"]
        compared += 1
    assert compared == 4 * (len(DETECTORS) - 1 + 2)


def test_the_same_curves_give_the_same_evaluation_and_variants(both):
    """With everything that follows: only the fall of ranks is missing, and said to be."""
    tables = []
    for traces, measured in both:
        frame = pd.DataFrame(measured.scores)
        frame = frame.assign(study="mine").convert_dtypes()
        alarms, transitions = (
            measured.tables[name].assign(study="mine") for name in ("alarms", "transitions")
        )
        found = evaluation_tables(
            lambda name, frame=frame: frame[frame["detector"] == name],
            alarms,
            transitions,
            ANALYSIS,
        )
        tables.append(found | {"variants": variants_table(traces, ANALYSIS)})
    own, imported = tables
    for name in ("evaluation", "chance", "curves"):
        ours = own[name][own[name]["detector"] != "rank_fall"].reset_index(drop=True)
        assert "rank_fall" not in set(imported[name]["detector"])
        assert len(ours) > 10
        same(ours, imported[name])
    drops = [name for name in own["variants"] if name.endswith("_drop")]
    same(own["variants"], imported["variants"], without=["beta2", *drops])


@pytest.fixture(scope="module")
def sparse(tmp_path_factory):
    """A run of which everything is logged every 50 steps, gradient norms as well."""
    folder = tmp_path_factory.mktemp("sparse")
    frame = curves().assign(grad_norm=np.linspace(2, 1, 21), weight_norm=np.linspace(1, 2, 21))
    frame.to_csv(folder / "run.csv", index=False)
    return one(folder / "run.csv", folder)


def test_a_norm_of_every_50th_step_has_no_second_difference(sparse):
    measured = measure_panel([sparse], ANALYSIS)
    reasons = parse_reasons(measured.tables["runs"]["not_testable"][0])
    assert reasons["gai"] == "gradient norm at every 50th step in these logs, not at every one"
    assert reasons["gradient_peak"] == reasons["gai"]
    assert reasons["rank_fall"] == "no rank of the weights in these logs"
    assert "train_loss" not in reasons
    assert "events" not in reasons
    scored = {row["detector"] for row in measured.scores if row["scores"] is not None}
    assert scored == {"weight_norm_turn", "train_accuracy", "train_loss"} | {
        "test_loss_peak",
        "test_accuracy",
    }
    transitions = measured.tables["transitions"].iloc[0]
    for name in ("grad_peak_step", "lag", "pearson_r", "xcorr", "onset_lag"):
        assert pd.isna(transitions[name]), name
    assert transitions["train_onset_step"] == 100
    assert transitions["test_onset_step"] == 700
    assert transitions["last_step"] == 1000


def test_a_level_counts_until_the_next_value_and_not_before(sparse):
    """An accuracy above its level at every 50th step is one alarm, at the step it was logged."""
    alarms = measure_panel([sparse], ANALYSIS).tables["alarms"]
    assert alarms["detector"].tolist() == ["train_accuracy"]
    assert alarms["step"].tolist() == [100]


def test_steps_at_growing_distances_have_onsets_and_no_differences(tmp_path):
    steps = np.unique(np.geomspace(1, 1000, 200).astype(int))
    curves(steps).assign(grad_norm=1.0).to_csv(tmp_path / "run.csv", index=False)
    trace = one(tmp_path / "run.csv", tmp_path)
    assert trace.spec.column("test_metric").every is None
    tables = measure_panel([trace], ANALYSIS).tables
    reasons = parse_reasons(tables["runs"]["not_testable"][0])
    assert reasons["cusum"].startswith("gradient norm at steps of different distances")
    assert tables["transitions"]["test_onset_step"][0] == steps[steps >= 700][0]
    assert pd.isna(tables["transitions"]["metric_transition_step"][0])


def test_a_log_that_begins_late_is_measured_by_its_own_steps(tmp_path):
    curves(range(300, 1301, 50), memorised=600, onset=900).to_csv(
        tmp_path / "run.csv", index=False
    )
    trace = one(tmp_path / "run.csv", tmp_path)
    tables = measure_panel([trace], ANALYSIS).tables
    assert tables["transitions"]["train_onset_step"][0] == 600
    assert tables["transitions"]["test_onset_step"][0] == 900
    assert tables["phases"]["gap"][0] == 300
    assert tables["runs"]["log_start"][0] == 300


def test_an_onset_before_the_log_begins_is_not_known(tmp_path):
    curves(range(300, 1301, 50)).to_csv(tmp_path / "run.csv", index=False)
    tables = measure_panel([one(tmp_path / "run.csv", tmp_path)], ANALYSIS).tables
    transitions = tables["transitions"]
    assert pd.isna(transitions["train_onset_step"][0])
    assert pd.isna(transitions["train_onset_censored"][0])
    assert transitions["test_onset_step"][0] == 700
    reasons = parse_reasons(tables["runs"]["not_testable"][0])
    assert reasons["events"] == (
        "the training metric is at its threshold already where these logs begin"
    )


def test_without_a_training_metric_nobody_knows_events_or_phases(tmp_path):
    """An alarm of such a run is neither a hit nor false."""
    for seed in range(3):
        frame = curves() if seed else curves().drop(columns="train_acc")
        frame.to_csv(tmp_path / f"s{seed}.csv", index=False)
    study = study_of({"files": f"{tmp_path}/s*.csv", "run": {"path": "s{seed}.csv"}})
    measured = measure_panel(import_all(study, tmp_path), ANALYSIS)
    tables = measured.tables
    assert tables["phases"]["phase"].tolist() == ["unknown", "grokking", "grokking"]
    assert tables["transitions"]["train_onset_censored"].isna().tolist() == [True, False, False]
    scores = pd.DataFrame(measured.scores).convert_dtypes()
    evaluation = evaluation_tables(
        lambda name: scores[scores["detector"] == name],
        tables["alarms"],
        tables["transitions"],
        default_analysis(evaluation={"development_seeds": []}),
    )["evaluation"]
    pooled = evaluation[(evaluation["detector"] == "train_loss") & evaluation["depth"].isna()]
    assert set(pooled["n_runs"]) == {2}
    assert set(pooled["n_events"]) == {2}
    only = tables["transitions"][:1]
    of_first = scores[scores["seed"] == 0]
    nothing = evaluation_tables(
        lambda name: of_first[of_first["detector"] == name], tables["alarms"][:0], only, ANALYSIS
    )
    assert all(table.empty for table in nothing.values())


@pytest.mark.parametrize("claims", ["LL", "GAI", "PD"])
def test_claims_on_logs_without_what_they_are_about(tmp_path, claims):
    kinds = {"LL": "lead_lag", "GAI": "early_warning", "PD": "phase_diagram"}
    curves()[["step", "train_loss", "test_acc"]].to_csv(tmp_path / "run.csv", index=False)
    traces = import_all(study_of({"files": f"{tmp_path}/run.csv"}), tmp_path)
    tables = measure_panel(traces, ANALYSIS).tables
    tables["variants"] = variants_table(traces, ANALYSIS)
    published = read_published(ROOT / "workflow/report/claims.yaml")[claims]
    judged = judge_study("mine", tables, published, kinds[claims], ANALYSIS).claims
    assert set(judged["verdict"]) == {"not testable at this scale"}
    words = {"LL": "no gradient norm", "GAI": "no gradient norm", "PD": "no training metric"}
    assert set(judged["reason"]) == {f"Not testable: {words[claims]} in these logs."}
    assert judged["measured"].isna().all()


def test_a_detector_that_does_not_say_what_it_needs(monkeypatch, sparse):
    from dataclasses import replace

    name = "train_loss"
    monkeypatch.setitem(DETECTORS, name, replace(DETECTORS[name], needs=None))
    measured = measure_panel([sparse], ANALYSIS)
    reasons = parse_reasons(measured.tables["runs"]["not_testable"][0])
    assert "needs" in reasons[name]
    assert all(row["scores"] is None for row in measured.scores if row["detector"] == name)


def test_means_over_steps_are_no_values_of_every_step(tmp_path):
    frame = curves(range(300)).assign(grad_norm=1.0)
    frame.to_csv(tmp_path / "run.csv", index=False)
    column = {"column": "grad_norm", "mean_over": 10}
    trace = one(tmp_path / "run.csv", tmp_path, columns={"grad_norm": column})
    runs = measure_panel([trace], ANALYSIS).tables["runs"]
    assert runs["log_means"][0] == "grad_norm 10"
    assert "mean over steps" in parse_reasons(runs["not_testable"][0])["gai"]


def test_trace_of_a_log_is_sealed_like_any_other(tmp_path, sparse):
    from grokscope.data.trace_reader import TraceError, read_trace

    path = tmp_path / "trace.parquet"
    known = sparse.frame.dropna(subset="test_metric")
    columns = {str(name): values.to_numpy() for name, values in known.items()}
    write_trace(path, sparse.spec, sparse.info, columns)
    again = read_trace(path, sparse.spec)
    pd.testing.assert_frame_equal(again.frame, sparse.frame)
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(TraceError):
        read_trace(path, sparse.spec)
    half = {name: values[::2] for name, values in columns.items()}
    write_trace(path, sparse.spec, sparse.info, {**half, "step": half["step"] + 7})
    with pytest.raises(TraceError, match="first to its last"):
        read_trace(path, sparse.spec)


def test_specification_of_an_imported_run_survives_json(sparse):
    from grokscope.runs.imported import spec_from_values

    assert spec_from_values(json.loads(sparse.spec.to_json())) == sparse.spec
    with pytest.raises(ValueError, match="fields differ"):
        spec_from_values({**json.loads(sparse.spec.to_json()), "more": 1})


def test_key_of_an_imported_run_has_all_columns(sparse):
    assert list(sparse.key.row()) == list(KEY_COLUMNS)
    assert set(MEASURES) & set(DETECTORS) == set()


@pytest.mark.parametrize("claims", ["LL", "GAI", "PD"])
def test_claims_on_runs_whose_logs_name_a_published_task_and_nothing_else(tmp_path, claims):
    """Not the published runs, as far as anyone knows; and no failure."""
    kinds = {"LL": "lead_lag", "GAI": "early_warning", "PD": "phase_diagram"}
    for trace in own_runs():
        logged(trace, tmp_path)
    run = {"path": "s{seed}.csv", "task": "modular_addition"}
    study = study_of({"files": f"{tmp_path}/s*.csv", "run": run}, kinds[claims])
    traces = import_all(study, tmp_path)
    tables = measure_panel(traces, ANALYSIS).tables
    tables["variants"] = variants_table(traces, ANALYSIS)
    published = read_published(ROOT / "workflow/report/claims.yaml")[claims]
    judged = judge_study("mine", tables, published, kinds[claims], ANALYSIS).claims
    assert set(judged["verdict"]) == {"not testable at this scale"}
    assert judged["reason"].str.startswith("There is no run of").all()


def test_named_groups_have_alarms_and_no_order(tmp_path):
    """Which of them is the last layer nobody knows."""
    for trace in own_runs():
        path = logged(trace, tmp_path)
        frame = pd.read_csv(path)
        frame.columns = [
            {"grad_norm_1": "grad_norm/body", "grad_norm_2": "grad_norm/head"}.get(name, name)
            for name in frame
        ]
        frame.to_csv(path, index=False)
    run = {"path": "s{seed}.csv", "task": "modular_addition", "depth": 2}
    traces = import_all(study_of({"files": f"{tmp_path}/s*.csv", "run": run}), tmp_path)
    tables = measure_panel(traces, ANALYSIS).tables
    alarms = tables["alarms"]
    gai = alarms[alarms["detector"] == "gai"]
    assert {"combined", "body", "head"} == set(gai["layer"])
    assert {"grad_peak_step_body", "lag_head"} <= set(tables["transitions"])
    variants = variants_table(traces, ANALYSIS)
    assert variants["alarms"].notna().any()
    for name in ("last_first_lead", "first_first_lead", "tau"):
        assert variants[name].isna().all()
    published = read_published(ROOT / "workflow/report/claims.yaml")["GAI"]
    judged = judge_study(
        "mine", tables | {"variants": variants}, published, "early_warning", ANALYSIS
    ).claims.set_index("claim")
    assert pd.isna(judged.loc["GAI5", "measured"])
