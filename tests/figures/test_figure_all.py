"""All figures: empty studies, captions, and the scripts with what rules hand them."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from drawing import (
    CAPTIONS,
    CLAIMS_FILE,
    SCRIPTS,
    alarm_row,
    drawn,
    learning_run,
    phases_like,
    rank_rows,
    transition_row,
    transitions_of,
    words_of,
)
from matplotlib.figure import Figure

from grokscope.data.tables import conform, empty, write_table
from grokscope.figures.alarm_leads import alarm_leads
from grokscope.figures.delay_map import delay_map
from grokscope.figures.effects import effects
from grokscope.figures.example_curves import example_curves
from grokscope.figures.gai_trace import gai_trace
from grokscope.figures.lags import lags
from grokscope.figures.outcomes import outcomes
from grokscope.figures.phase_diagram import phase_diagram
from grokscope.figures.rank_at_onset import rank_at_onset
from grokscope.figures.summary_grid import summary_grid
from grokscope.figures.weight_norms import weight_norms
from grokscope.runs.kinds import KINDS
from synthetic import ANALYSIS, write

FIGURES = (
    "overlays",
    "summary_grid",
    "lags",
    "weight_norms",
    "phase_diagram",
    "delay_map",
    "example_curves",
    "effects",
    "gai_trace",
    "alarm_leads",
    "rank_at_onset",
    "outcomes",
)


def empty_figures():
    transitions, phases, alarms = empty("transitions"), empty("phases"), empty("alarms")
    return {
        "summary_grid": summary_grid([], transitions, ANALYSIS.transitions),
        "lags": lags(transitions, {}),
        "weight_norms": weight_norms([]),
        "phase_diagram": phase_diagram(phases),
        "delay_map": delay_map(phases),
        "example_curves": example_curves({}, phases),
        "effects": effects(phases, 0.95),
        "gai_trace": gai_trace(None, transitions, alarms, np.empty(0), 3.5),
        "alarm_leads": alarm_leads(alarms, transitions, {}),
        "outcomes": outcomes(phases, transitions),
    }


def test_empty_studies_are_said_to_be_empty():
    for name, figure in empty_figures().items():
        assert isinstance(figure, Figure)
        assert "no run in this study" in words_of(drawn(figure)), name
    assert "nothing to align" in words_of(drawn(rank_at_onset([], empty("rank"), {})))


# That of detection_curves explains eight marks and stands in test_detection_curves.
CAPTION_FILES = sorted(set(CAPTIONS.glob("*.rst")) - {CAPTIONS / "detection_curves.rst"})


@pytest.mark.parametrize("path", CAPTION_FILES, ids=lambda path: path.stem)
def test_caption_is_two_to_four_plain_sentences(path):
    text = path.read_text(encoding="utf-8")
    sentences = re.findall(r"[.](?:\s|$)", text)
    assert 2 <= len(sentences) <= 4
    # Valid as RST and as Markdown alike: no markup of either.
    assert not re.search(r"[`*_|#<>\\]", text)


@pytest.mark.parametrize("claims", ["set", ""])
@pytest.mark.parametrize("name", FIGURES)
def test_script_writes_both_files_and_the_same_bytes_again(name, claims, tmp_path):
    study = {
        **dict.fromkeys(FIGURES[:4], "lead_lag"),
        **dict.fromkeys(FIGURES[4:8], "phase_diagram"),
        **dict.fromkeys(FIGURES[8:], "gai"),
    }[name]
    claims = claims and {"lead_lag": "LL", "phase_diagram": "PD", "gai": "GAI"}[study]
    encoding = "embedding" if study == "phase_diagram" else "one_hot"
    traces = [
        learning_run(study=study, seed=seed, encoding=encoding, onset=onset)
        for seed, onset in ((0, 700), (1, None))
    ]
    tables = {
        "transitions": transitions_of(
            [transition_row(t, onset=o) for t, o in zip(traces, (700, None), strict=True)]
        ),
        "phases": phases_like(traces, ["grokking", "memorisation"]),
        "alarms": conform(pd.DataFrame([alarm_row(traces[0], 400)]), "alarms"),
        "rank": conform(
            pd.DataFrame(rank_rows(traces[0]) + rank_rows(traces[1], "matched")), "rank"
        ),
        "runs": empty("runs"),
    }
    inputs = {}
    for table, frame in tables.items():
        write_table(frame, tmp_path / f"{table}.parquet", table)
        inputs[table] = str(tmp_path / f"{table}.parquet")
    paths = [str(write(trace, tmp_path)) for trace in traces]
    several = [str(tmp_path / f"{name}{place}") for place in range(len(paths))]
    single = name != "overlays"
    outputs = {
        kind: f"{several[0]}.{kind}" if single else [f"{path}.{kind}" for path in several]
        for kind in ("png", "svg")
    }
    stub = SimpleNamespace(
        input=SimpleNamespace(traces=paths, published=str(CLAIMS_FILE), **inputs),
        output=SimpleNamespace(**outputs),
        params=SimpleNamespace(settings=ANALYSIS.to_json(), claims=claims),
    )
    written = []
    for _ in range(2):
        runpy.run_path(str(SCRIPTS / f"plot_{name}.py"))["main"](stub)
        files = [Path(f"{path}.{kind}") for path in several for kind in ("png", "svg")]
        written.append([path.read_bytes() for path in files if path.exists()])
    assert [len(data) > 5000 for data in written[0]] == [True] * (2 if single else 4)
    assert written[0] == written[1]


def test_every_figure_script_is_tested():
    # Those of the evidence stand in test_detection_curves and test_specification_curves.
    tested = {*FIGURES, "detection_curves", "specification_curves"}
    assert {path.stem for path in SCRIPTS.glob("plot_*.py")} == {f"plot_{n}" for n in tested}


def test_every_figure_of_a_kind_has_a_script_and_a_caption():
    for kind in KINDS.values():
        for name in kind.captions:
            assert (CAPTIONS / f"{name}.rst").exists()
        assert all((SCRIPTS / f"plot_{name}.py").exists() for name in kind.figures)
    captions = {path.stem for path in CAPTIONS.glob("*.rst")}
    assert captions == {name for kind in KINDS.values() for name in kind.captions}
