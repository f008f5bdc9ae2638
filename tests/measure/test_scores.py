"""Scores: blocks of steps, warm-up, files and their damage."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from grokscope.core.errors import BadFileError
from grokscope.measure.detectors.registry import COMBINED, DETECTORS
from grokscope.measure.detectors.scores import (
    block_maxima,
    first_score,
    read_scores,
    score_run,
    write_scores,
)
from grokscope.measure.panel import measure_panel
from grokscope.runs.config import default_analysis
from grokscope.runs.spec import KEY_COLUMNS, key_columns
from synthetic import noisy_trace

ANALYSIS = default_analysis(alarms={"sigma_window": 100}, detectors={"window": 100})
OWN = ["detector", "layer", "warm_up", "scores"]


def test_block_maxima():
    values = [5, 1, 3, 2, np.nan, np.nan, np.nan, np.nan, 7, 0, 9, 9]
    found = block_maxima(values, 3)
    # Step 0, 1-3, 4-6, 7-9; steps 10 and 11 are no whole block.
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [5, 3, np.nan, 7])


@pytest.mark.parametrize("n_steps", range(8))
def test_number_of_blocks(n_steps):
    expected = (n_steps - 1) // 3 + 1 if n_steps else 0
    assert len(block_maxima(np.zeros(n_steps), 3)) == expected


def test_first_score():
    assert first_score(np.array([np.nan, np.nan, -1.0, np.nan, 2.0])) == 2
    assert first_score(np.full(3, np.nan)) is first_score(np.empty(0)) is None


def test_warm_up_is_the_first_step_with_a_score():
    trace = noisy_trace()
    warm_up = {
        (row["detector"], row["layer"]): row["warm_up"] for row in score_run(trace, ANALYSIS)
    }
    assert warm_up["train_loss", COMBINED] == 0
    # 20 steps of smoothing, 1 for the second difference, 100 of baseline.
    assert warm_up["gai", COMBINED] == warm_up["gai", "2"] == 121
    assert warm_up["grad_norm_peak", COMBINED] == 19
    for (detector, layer), step in warm_up.items():
        known = np.isfinite(DETECTORS[detector].signal(trace, ANALYSIS)[layer])
        assert known[step] and not known[:step].any()


def panel_rows(**spec):
    """Scores of two runs, the second shorter."""
    traces = [noisy_trace(301, seed=0, **spec), noisy_trace(151, seed=1, **spec)]
    return [row for trace in traces for row in score_run(trace, ANALYSIS)]


def check_rows(found, rows, names):
    """Whether a table holds the rows, told apart by the columns `names`."""
    assert len(found) == len(rows)
    names = [*names, "seed", "detector", "layer"]
    by_name = {tuple(row[name] for name in names): row for row in rows}
    for row in found.to_dict("records"):
        expected = by_name[tuple(row[name] for name in names)]
        assert (row["task"], row["depth"], row["train_fraction"]) == ("modular_addition", 3, 0.6)
        if expected["warm_up"] is None:
            assert row["warm_up"] is pd.NA
        else:
            assert row["warm_up"] == expected["warm_up"]
        assert row["scores"].dtype == np.float32
        np.testing.assert_array_equal(row["scores"], expected["scores"])


def test_scores_return_as_written(tmp_path, monkeypatch):
    rows = panel_rows()
    # A relative path of folders that look like columns, as in the workflow, with others' values.
    monkeypatch.chdir(tmp_path)
    path = Path("task=other", "depth=99", "scores.parquet")
    write_scores(rows, path)
    assert [file.name for file in path.parent.iterdir()] == ["scores.parquet"]
    found = read_scores([path])
    assert list(found.columns) == [*KEY_COLUMNS, *OWN]
    check_rows(found, rows, [])


def test_scores_carry_the_settings_that_their_study_varies(tmp_path):
    varied = ("p", "learning_rate", "betas")
    one = panel_rows(p=59, varied=varied)
    other = panel_rows(p=97, betas=(0.9, 0.999), varied=varied)
    # A task that does not use p, and a panel without runs, are of the same study.
    unused = panel_rows(p=None, varied=varied)
    paths = [tmp_path / f"{i}.parquet" for i in range(4)]
    for rows, path in zip((one, other, unused, []), paths, strict=True):
        write_scores(rows, path)
    found = read_scores(paths)
    assert list(found.columns) == [*key_columns(varied), *OWN]
    assert found.dtypes[list(varied)].astype(str).tolist() == ["Int64", "Float64", "string"]
    check_rows(found[found["p"].notna()], one + other, ["p", "learning_rate", "betas"])
    assert found["p"].isna().sum() == len(unused)
    assert set(found["betas"]) == {"0.9,0.98", "0.9,0.999"}


def test_one_detector_of_several_panels(tmp_path):
    rows = panel_rows()
    paths = [tmp_path / "one.parquet", tmp_path / "two.parquet"]
    for path in paths:
        write_scores(rows, path)
    found = read_scores(paths, "cusum")
    assert set(found["detector"]) == {"cusum"} and found["seed"].tolist() == [0, 1, 0, 1]
    everything = read_scores(paths)
    assert len(everything) == 2 * len(rows)
    pd.testing.assert_frame_equal(
        found, everything[everything["detector"] == "cusum"].reset_index(drop=True)
    )


def test_panels_without_runs_have_no_scores(tmp_path):
    write_scores([], tmp_path / "none.parquet")
    for found in (read_scores([tmp_path / "none.parquet"]), read_scores([])):
        assert len(found) == 0
        assert list(found.columns) == [*KEY_COLUMNS, *OWN]


def test_scores_merge_with_tables(tmp_path):
    measured = measure_panel([noisy_trace(301, varied=("p",))], ANALYSIS)
    write_scores(measured.scores, tmp_path / "scores.parquet")
    transitions = measured.tables["transitions"]
    found = read_scores([tmp_path / "scores.parquet"])
    keys = key_columns(found.columns)
    assert keys == key_columns(transitions.columns) and "p" in keys
    assert len(found.merge(transitions, on=keys, validate="many_to_one")) == len(found)


def test_files_that_are_no_scores(tmp_path):
    path = tmp_path / "scores.parquet"
    with pytest.raises(BadFileError, match=r"scores\.parquet: no such scores"):
        read_scores([path])
    path.write_bytes(b"PAR1 damaged")
    with pytest.raises(BadFileError, match=r"scores\.parquet: not a readable file of scores"):
        read_scores([path])
    pq.write_table(pa.table({"study": ["gai"]}), path)
    with pytest.raises(BadFileError, match=r"scores\.parquet: columns differ"):
        read_scores([path])


@pytest.mark.parametrize("place", np.linspace(0.02, 0.9, 12))
def test_a_damaged_file_is_named_in_one_line(tmp_path, place):
    path = tmp_path / "scores.parquet"
    write_scores(panel_rows(), path)
    data = bytearray(path.read_bytes())
    start = int(place * len(data))
    for i in range(start, start + 40):
        data[i] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(BadFileError, match=r"scores\.parquet: ") as caught:
        read_scores([path])
    assert "\n" not in str(caught.value)
    path.write_bytes(data[:start])
    with pytest.raises(BadFileError, match=r"scores\.parquet: "):
        read_scores([path])
