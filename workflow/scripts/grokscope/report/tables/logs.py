"""Report tables of imported runs: what their logs say, and what they cannot tell.

Input: the table ``runs`` of one study. Output: two tables, none for a study of trained runs.
"""

from __future__ import annotations

from collections import Counter

import pandas as pd

from grokscope.claims.rows import groups
from grokscope.core.formatting import ABSENT, detector_words, words
from grokscope.measure.detectors.registry import DETECTORS
from grokscope.measure.lacking import parse_reasons
from grokscope.report.tables.parts import Cell, Table, computed

COLUMNS = {
    "log_format": "format",
    "log_row": "a row is",
    "log_every": "steps between values",
    "log_means": "means over steps",
}


def tables(runs: pd.DataFrame) -> list[Table]:
    """What the logs are, and what is not testable on them."""
    if "log" not in runs or runs["log"].isna().all():
        return []
    logged = runs[runs["log"].notna()]
    rows = [
        [*(Cell(ABSENT if pd.isna(value) else str(value)) for value in values), computed(len(of))]
        for values, of in groups(logged, list(COLUMNS))
    ]
    note = (
        "Read from logs, not trained here. A row is the state after its number of updates "
        "(after_update), that before the last of them (before_update), or nobody said (unknown). "
        "Onsets are no finer than the steps between values."
    )
    found = [Table("Imported logs", [*COLUMNS.values(), "runs"], rows, note)]
    lacking = Counter(
        pair for text in logged["not_testable"] for pair in parse_reasons(text).items()
    )
    if lacking:
        rows = [
            [Cell(_named(name)), Cell(reason), computed(number)]
            for (name, reason), number in sorted(lacking.items())
        ]
        note = (
            "What needs a column that was not logged, or at every step, is not testable: it is "
            "left out of all tables and figures of the runs in question, and no claim about it "
            "is judged."
        )
        found.append(Table("Not testable on these logs", ["what", "why", "runs"], rows, note))
    return found


def _named(name: str) -> str:
    return detector_words(name) if name in DETECTORS else words(name)
