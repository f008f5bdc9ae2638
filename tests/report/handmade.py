"""Result tables made by hand, and report tables as their texts."""

from __future__ import annotations

from typing import Any

import pandas as pd

from grokscope.core.formatting import ABSENT
from grokscope.report.tables.parts import Table


def key(**of: Any) -> dict[str, Any]:
    values = {"study": "gai", "task": "modular_addition", "depth": 2, "train_fraction": 0.5}
    return values | {"weight_decay": 1.0, "width": 128, "seed": 0} | of


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows).convert_dtypes()


def texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def cells(text: str) -> list[str]:
    """ "a | b" as the texts of a row; "-" is an absent value."""
    return [ABSENT if part == "-" else part for part in text.split(" | ")]


def column(table: Table, name: str) -> list[str]:
    place = list(table.header).index(name)
    return [row[place].text for row in table.rows]


def onsets(train: int | None, test: int | None, **of: Any) -> dict[str, Any]:
    reached = {"train_onset_step": train, "test_onset_step": test}
    censored = {"train_onset_censored": train is None, "test_onset_censored": test is None}
    return key(last_step=3000) | reached | censored | of
