"""What p-values against null models say, in words; rows of tables by value."""

from __future__ import annotations

import pandas as pd
import pytest

from grokscope.claims.rows import select
from grokscope.claims.wording import NULLS, beaten, knowledge, p_values, sentence


@pytest.mark.parametrize(
    ("wins", "words"),
    [
        ("ABCD", "this run"),
        ("AB", "such runs grok, not when this one"),
        ("ABC", "such runs grok, not when this one"),
        ("A", "which runs grok, not when"),
        ("", "not shown to be better than chance"),
        ("CD", "not shown to be better than chance"),
    ],
)
def test_what_beating_null_models_means(wins: str, words: str) -> None:
    letters = dict(zip("ABCD", NULLS, strict=True))
    p = dict.fromkeys(NULLS, 0.5) | {letters[letter]: 0.01 for letter in wins}
    assert words in knowledge(p, 0.05)


def test_null_models_in_words() -> None:
    assert (
        beaten({"random": 0.01, "constant_time": 0.05}, 0.05)
        == "beats chance but not a constant time"
    )
    assert beaten({"random": 0.2}, 0.05) == "does not beat chance"
    assert beaten(dict.fromkeys(("random", "shifted", "swapped"), 0.01), 0.05) == (
        "beats chance, shifted alarms and other seeds' alarms"
    )
    assert sentence({}, 0.05) == "has nothing to compare with chance"
    assert "nothing to tell" in knowledge({"random": 0.01, "shifted": 0.01}, 0.05)


def test_a_null_model_that_a_perfect_detector_could_not_beat_is_no_evidence() -> None:
    rows = {
        "random": {"p": 0.01, "p_best": 0.01},
        "shifted": {"p": 0.5, "p_best": 0.3},
        "swapped": {"p": 0.5, "p_best": float("nan")},
    }
    assert p_values(rows, 0.05) == {"random": 0.01}


def test_select_finds_nulls_and_values() -> None:
    frame = pd.DataFrame({"depth": pd.array([2, None, 3], "Int64"), "rule": ["a", "a", "b"]})
    assert select(frame, depth=None)["rule"].tolist() == ["a"]
    assert select(frame, depth=3, rule="a").empty
    assert len(select(frame, rule="a")) == 2
