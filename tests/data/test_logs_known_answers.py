"""Public logs of others: the counts that were made of them without this code come out of ours."""

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from foreign_logs import import_all
from grokscope.measure.onsets import is_event, onsets
from grokscope.measure.phases import phase
from grokscope.runs.config import check_config
from project import ROOT

EXAMPLES = ROOT / "examples/logs"
# Runs, rows, steps between them; then runs that memorise, that generalise, that do so late; and
# the (upper) median onset of generalisation.
NORM_CAP = {
    "s5_mech": (30, 8357, 50, 30, 6, 6, 5350),
    "group_complexity": (108, 13792, 100, 77, 44, 21, 400),
    "s5_normctl": (40, 1587, 50, 40, 39, 26, 450),
}
PHASE_GRIDS = {
    "fig5a": {"confusion": 12, "memorisation": 64, "grokking": 10, "comprehension": 14},
    "fig5b": {"confusion": 31, "memorisation": 49, "grokking": 18, "comprehension": 12},
    "fig5c": {"confusion": 26, "memorisation": 60, "grokking": 5, "comprehension": 19},
}


def configuration(name: str):
    """A shipped example."""
    return check_config(yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text()))


def published(folder: Path) -> None:
    """The copies of this checkout as the archive has them: JSON lines, a file a run."""
    for name in NORM_CAP:
        table = pq.ParquetFile(EXAMPLES / f"data/norm_cap_{name}.parquet").read().to_pandas()
        (folder / "norm-cap" / name).mkdir(parents=True)
        logged = [c for c in table if c == "step" or c[:5] in ("train", "test_", "wn_to")]
        logged.remove("train_frac")
        for run, rows in table.groupby("run", observed=True):
            meta = rows.iloc[0].drop(["run", *logged]).to_dict()
            lines = [{"_meta": meta}, *rows[logged].to_dict("records")]
            lines.append({"_summary": meta | {"stopped_step": int(rows["step"].max())}})
            text = "".join(json.dumps(line, default=float) + "\n" for line in lines)
            (folder / "norm-cap" / name / f"{run}.jsonl").write_text(text)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A working directory that has the examples, as a checkout does."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["norm_cap", "norm_cap_jsonl"])
def test_onsets_of_public_logs(name, tmp_path):
    if name == "norm_cap_jsonl":
        published(tmp_path)
    config = configuration(name)
    for study, expected in NORM_CAP.items():
        traces = import_all(config.studies[study], tmp_path)
        rows = sum(len(trace.frame["test_metric"].dropna()) for trace in traces)
        cadences = {column.every for trace in traces for column in trace.spec.columns}
        found = pd.DataFrame([onsets(trace, config.analysis.onset) for trace in traces])
        late = is_event(found, config.analysis.phases.gap).sum()
        generalised = sorted(found["test_onset_step"].dropna())
        memorised = found["train_onset_step"].notna().sum()
        median = generalised[len(generalised) // 2]
        counted = (len(traces), rows, *cadences, memorised, len(generalised), late, median)
        assert counted == expected, study


def test_both_examples_of_norm_cap_name_the_same_runs(tmp_path):
    published(tmp_path)
    of_jsonl = configuration("norm_cap_jsonl").studies["s5_normctl"]
    keys = {trace.key for trace in import_all(of_jsonl, tmp_path)}
    of_copy = configuration("norm_cap").studies["s5_normctl"]
    assert {trace.key for trace in import_all(of_copy, tmp_path)} == keys


def test_phases_of_grids_without_curves(tmp_path):
    config = configuration("grokking_squared")
    for study, expected in PHASE_GRIDS.items():
        traces = import_all(config.studies[study], tmp_path)
        labels = pd.Series(
            [phase(trace, config.analysis.phases, lost=False)["phase"] for trace in traces]
        )
        assert labels.value_counts().to_dict() == expected, study
