"""The workflow as a whole: what it makes, and that a change recomputes what depends on it."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import yaml

from grokscope.data.trace_reader import read_trace
from grokscope.runs.jobs import estimated_seconds
from grokscope.runs.paths import STUDY_TABLES
from project import TINY, copy_checkout, finished_jobs, run_tool

pytestmark = pytest.mark.slow

OF_TINY = ("--configfile", str(TINY))
REPORT = {"write_report": 1, "validate_results": 1, "check_validation": 1}


def snakemake(folder: Path, *arguments: str, config=OF_TINY, targets=("all",)) -> Counter:
    """Run the workflow; number of finished jobs by rule."""
    return finished_jobs(folder, *targets, "--cores", "2", *arguments, *config)


def planned(folder: Path, *arguments: str, config=OF_TINY, targets=("all",)) -> Counter:
    """What the workflow would compute: number of jobs by rule, without running them.

    What is run is what is planned: that jobs then end well is not of these tests, and each takes
    seconds to start.
    """
    result = run_tool(["snakemake", *targets, "--dry-run", *arguments, *config], folder)
    assert result.returncode == 0, result.stdout + result.stderr
    said = result.stdout + result.stderr
    table = re.findall(r"^ (\w[\w ]*?) +(\d+) *$", said, re.M)
    jobs = Counter({name.replace(" ", "_"): int(number) for name, number in table})
    # A table that is not found is no plan of nothing.
    assert ("total" in jobs) != ("Nothing to be done" in said), said
    assert jobs.pop("total", 0) == jobs.total()
    jobs.pop("all", None)
    return jobs


@pytest.fixture
def again(finished, tmp_path):
    """A copy of it, file times included."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_everything_is_there_and_valid(finished):
    results = finished / "results"
    assert len(traces_of(finished)) == 5
    assert json.loads((results / "validation.json").read_text())["status"] == "ok"
    for table in STUDY_TABLES:
        parquet = pd.read_parquet(results / f"tables/{table}.parquet")
        csv = pd.read_csv(results / f"tables/{table}.csv")
        assert list(parquet.columns) == list(csv.columns)
        assert len(parquet) == len(csv)
    claims = pd.read_parquet(results / "tables/claims.parquet")
    assert len(claims) == 20
    assert set(claims["verdict"]) <= {"holds", "fails", "not testable at this scale"}
    html = (results / "report.html").read_text()
    assert not re.search(r"""(src|href)=["']?https?:""", html)
    assert (results / "phase_diagram.png").stat().st_size > 10_000
    # No temporary files; the log of every job mirrors its output.
    assert not list(results.rglob("*.tmp"))
    trace = next(results.glob("traces/gai/**/*.parquet"))
    log = results / "logs" / trace.relative_to(results).with_suffix(".log")
    assert re.search(r"completed after 80 updates .* steps per second", log.read_text())
    assert "100%" in log.read_text()


def test_a_second_call_computes_nothing(again):
    assert snakemake(again) == {}


def test_traces_of_another_machine_are_taken_as_they_are(finished, checkout):
    """By the steps of docs/cluster.md."""
    shutil.copytree(finished / "results/traces", checkout / "results/traces")
    assert planned(checkout, targets=["traces"]) == {"train_run": 5, "traces": 1}
    touch = ["snakemake", "traces", "--cores", "1", "--touch", *OF_TINY]
    assert run_tool(touch, checkout).returncode == 0
    jobs = planned(checkout)
    assert jobs["train_run"] == 0
    assert jobs["measure_panel"] == 3


def test_a_new_seed_trains_one_run(again):
    config = again / "config/new.yaml"
    text = TINY.read_text()
    config.write_text(text.replace("seeds: [0, 1]", "seeds: [0, 1, 2]"))
    jobs = planned(again, config=("--configfile", str(config)))
    assert jobs["train_run"] == 1
    assert jobs["measure_panel"] == 1
    assert jobs["plot_alarm_leads"] == 1
    assert jobs["plot_phase_diagram"] == 0


def test_a_threshold_detects_again_and_trains_nothing(again):
    changed = ("--config", "analysis={alarms: {threshold: 2.5}}")
    jobs = planned(again, *changed)
    assert jobs["measure_panel"] == 3
    assert jobs["plot_gai_trace"] == 1
    assert jobs["plot_specification_curves"] == 1
    assert jobs["train_run"] == 0
    table = "results/studies/gai/alarms.parquet"
    assert snakemake(again, *changed, targets=[table]) == {"measure_panel": 1, "collect_study": 1}
    assert pd.read_parquet(again / table)["score"].min() < 3.5
    assert planned(again, *changed, targets=[table]) == {}


def test_an_edited_detector_detects_again_and_trains_nothing(again):
    with (again / "workflow/scripts/grokscope/measure/alarms.py").open("a") as module:
        module.write("\n_EDITED = True\n")
    jobs = planned(again)
    assert jobs["measure_panel"] == 3
    assert jobs["train_run"] == 0


def test_an_edited_predictor_scores_again_and_trains_nothing(again):
    with (again / "workflow/scripts/grokscope/measure/detectors/registry.py").open("a") as module:
        module.write("\n_EDITED = True\n")
    jobs = planned(again)
    assert jobs["measure_panel"] == 3
    assert jobs["evaluate_alarms"] == 3
    assert jobs["train_run"] == 0


def test_a_choice_of_the_multiverse_measures_no_panel_again(again):
    jobs = planned(again, "--config", "analysis={multiverse: {windows: [20]}}")
    assert jobs["vary_analysis"] == 1
    assert jobs["judge_study"] == 1
    for rule in ("train_run", "measure_panel", "evaluate_alarms", "plot_lags"):
        assert jobs[rule] == 0


def test_an_edited_rule_of_claims_judges_again_and_measures_nothing(again):
    with (again / "workflow/scripts/grokscope/claims/rules.py").open("a") as module:
        module.write("\n_EDITED = True\n")
    jobs = planned(again)
    assert jobs["judge_study"] == 3
    for rule in ("train_run", "measure_panel", "vary_analysis", "evaluate_alarms", "plot_lags"):
        assert jobs[rule] == 0


def test_a_figure_by_its_path_needs_no_other_words(again):
    (again / "results/phase_diagram.png").unlink()
    result = run_tool(["snakemake", "results/phase_diagram.png", *OF_TINY], again)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (again / "results/phase_diagram.png").exists()


def test_a_target_of_a_study_that_there_is_not(again):
    result = run_tool(["snakemake", "results/my_sweep.png", "--dry-run", *OF_TINY], again)
    assert result.returncode != 0
    said = result.stdout + result.stderr
    assert "target results/my_sweep.png: the configuration has no study 'my_sweep'; it has" in said
    assert "Traceback" not in said


def test_a_touch_a_comment_and_a_docstring_compute_nothing(again):
    package = again / "workflow/scripts/grokscope"
    for name in ("train/loop", "train/models", "measure/alarms", "data/tables", "figures/style"):
        (package / f"{name}.py").touch()
    with (package / "train/loop.py").open("a") as module:
        module.write("\n# One more comment.\n")
    edit(package / "train/models.py", '"""The networks', '"""Some networks')
    for script in (again / "workflow/scripts").glob("*.py"):
        script.touch()
    assert snakemake(again) == {}


def test_an_edited_trainer_trains_again(again):
    with (again / "workflow/scripts/grokscope/train/loop.py").open("a") as module:
        module.write("\n_EDITED = True\n")
    assert snakemake(again, targets=list(traces_of(again))) == {"train_run": 5}


def test_a_deleted_trace_is_trained_again(again):
    trace = sorted(again.glob("results/traces/gai/**/*.parquet"))[0]
    before = read_trace(trace).frame
    trace.unlink()
    jobs = planned(again)
    assert jobs["train_run"] == 1 and jobs["write_report"] == 1
    assert snakemake(again, targets=[str(trace.relative_to(again))]) == {"train_run": 1}
    pd.testing.assert_frame_equal(read_trace(trace).frame, before)


def test_an_edited_figure_script_redraws_that_figure_and_the_report(again):
    with (again / "workflow/scripts/plot_lags.py").open("a") as script:
        script.write("\n_EDITED = True\n")
    assert planned(again) == {"plot_lags": 1} | REPORT
    # And so it is: nothing is left to do.
    assert snakemake(again) == {"plot_lags": 1} | REPORT
    assert planned(again) == {}


def test_a_fresh_clone_with_results_computes_nothing(finished, checkout):
    shutil.copytree(finished / "results", checkout / "results")
    assert not (checkout / ".snakemake").exists()
    assert snakemake(checkout) == {}


def test_tables_are_the_same_bytes_whatever_the_cores(finished, checkout):
    tables = [
        f"results/tables/{table}.csv"
        for table in STUDY_TABLES
        if table != "runs"  # holds the seconds of each training
    ]
    assert snakemake(checkout, "--cores", "1", targets=tables)["train_run"] == 5
    for name in tables:
        assert (checkout / name).read_bytes() == (finished / name).read_bytes(), name
    # Long trainings came first: they would keep others waiting at the end.
    traces = sorted(
        checkout.glob("results/traces/**/*.parquet"), key=lambda path: path.stat().st_mtime_ns
    )
    seconds = [estimated_seconds(read_trace(path).spec) for path in traces]
    assert seconds == sorted(seconds, reverse=True) and seconds[0] > seconds[-1]


def test_one_study_alone(checkout):
    target = run_tool(["snakemake", "lead_lag", "--cores", "2", *OF_TINY], checkout)
    assert target.returncode == 0, target.stdout + target.stderr
    assert len(list(checkout.glob("results/traces/*/**/*.parquet"))) == 1
    assert list(checkout.glob("results/figures/lead_lag/*.svg"))
    assert not (checkout / "results/report.html").exists()


def test_a_diverging_run_breaks_nothing(checkout):
    settings = "studies={gai: {learning_rate: 10, betas: [0, 0]}}"
    decay = TINY.read_text().replace("decays: [1.0]", "decays: [30.0]")
    wild = yaml.safe_load(decay)
    # Nor do studies that are left out.
    del wild["studies"]["lead_lag"], wild["studies"]["phase_diagram"]
    config = checkout / "config/wild.yaml"
    config.write_text(yaml.safe_dump(wild))
    snakemake(checkout, "--config", settings, config=("--configfile", str(config)))
    phases = pd.read_parquet(checkout / "results/tables/phases.parquet")
    wild = phases[phases["study"] == "gai"]
    assert set(wild["phase"]) == {"diverged"}
    runs = pd.read_parquet(checkout / "results/tables/runs.parquet")
    assert runs.loc[runs["study"] == "gai", "diverged_step"].notna().all()
    assert "diverged" in (checkout / "results/report.md").read_text()


def traces_of(folder: Path) -> dict[str, Path]:
    return {
        str(path.relative_to(folder)): path
        for path in sorted(folder.glob("results/traces/**/*.parquet"))
    }


def logs_of(folder: Path) -> str:
    logs = sorted(folder.glob("results/logs/traces/**/*.log"))
    return "".join(log.read_text() for log in logs)


def test_a_second_checkout_takes_its_traces_from_the_store(finished, tmp_path):
    names = list(traces_of(finished))[:2]
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    for folder in (first, second, third):
        folder.mkdir()
        copy_checkout(folder)
    with_store = ("--config", f"store={tmp_path / 'store'}")
    with_store += ("runs_per_job=1",)
    assert snakemake(first, *with_store, targets=names)["train_run"] == 2
    assert logs_of(first).count("updates in") == 2
    # A comment does not change the code; an expression does.
    with (second / "workflow/scripts/grokscope/train/models.py").open("a") as module:
        module.write("\n# One more comment.\n")
    with (third / "workflow/scripts/grokscope/train/models.py").open("a") as module:
        module.write("\n_EDITED = True\n")
    snakemake(second, *with_store, targets=names)
    assert logs_of(second).count("taken from the trace store") == 2
    for name, path in traces_of(first).items():
        assert (second / name).read_bytes() == path.read_bytes(), name
    snakemake(third, *with_store, targets=names[:1])
    assert logs_of(third).count("updates in") == 1
    # A trace from the store is as new as one that was trained.
    assert snakemake(second, *with_store, targets=names) == {}
    assert (
        snakemake(second, *with_store, "--forcerun", "train_run", targets=names)["train_run"] == 2
    )
    assert "updates in" not in logs_of(second)


def test_a_block_of_runs_makes_the_same_traces_and_trains_none_twice(finished, checkout):
    names = list(traces_of(finished))[:2]
    with_store = ("--config", f"store={checkout / 'store'}")
    assert snakemake(checkout, *with_store, targets=names) == {"train_block_1": 1}
    for name in names:
        pd.testing.assert_frame_equal(
            read_trace(checkout / name).frame, read_trace(finished / name).frame
        )
    # State after a killed job: no trace, one of its runs in the store.
    for name in names:
        (checkout / name).unlink()
    next(iter(checkout.glob("store/*/*.parquet"))).unlink()
    assert snakemake(checkout, *with_store, targets=names) == {"train_block_1": 1}
    assert logs_of(checkout).count("updates in") == 1
    assert logs_of(checkout).count("taken from the trace store") == 1
    # Another size of blocks, another seed.
    shutil.rmtree(checkout / "results/logs")
    assert snakemake(checkout, *with_store, "runs_per_job=1", targets=names) == {"train_run": 2}
    assert "updates in" not in logs_of(checkout)
    config = checkout / "config/new.yaml"
    text = TINY.read_text()
    config.write_text(text.replace("seeds: [0, 1]", "seeds: [0, 1, 2]"))
    more = [*names, names[0].replace("seed=0", "seed=2")]
    jobs = snakemake(checkout, *with_store, config=("--configfile", str(config)), targets=more)
    assert jobs == {"train_block_1": 1}
    assert logs_of(checkout).count("updates in") == 1
    assert not (checkout / "results/checkpoints").exists()


def test_a_bad_entry_of_the_store_is_trained_again(finished, checkout):
    name = next(iter(traces_of(finished)))
    with_store = ("--config", f"store={checkout / 'store'}", "runs_per_job=1")
    snakemake(checkout, *with_store, targets=[name])
    (entry,) = checkout.glob("store/*/*.parquet")
    entry.write_bytes(entry.read_bytes()[:-1])
    (checkout / name).unlink()
    snakemake(checkout, *with_store, targets=[name])
    assert f"warning: bad entry of the trace store, not used: {entry}" in logs_of(checkout)
    assert read_trace(checkout / name).info.stopped == "completed"
