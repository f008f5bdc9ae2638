"""Checks of the report: does every number of it agree with the tables?

Input: HTML, Markdown, the result tables and what was counted once more. Output: checks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from grokscope.claims.rows import records
from grokscope.core.formatting import ABSENT, words
from grokscope.report.checks.check import Check, close, text_of
from grokscope.report.checks.printed import Printed, PrintedTable, Shown
from grokscope.report.checks.recount import Expected
from grokscope.report.tables.parts import row_id

# What is printed for null: nothing, or an end that the data do not bound.
NULL_TEXTS = (ABSENT, "−∞", "∞")
# A number, unless it is part of a name.
_NUMBER = re.compile(r"(?<![\w.])[-−+]?\d[\d,]*(?:\.(\d+))?(?:e([-+]\d+))?(?!\w)")


def agrees(text: str, *values: float) -> bool:
    """Whether the numbers of a text are the values, each rounded to the digits that are printed.

    "< 0.001" is what it says.
    """
    matches = list(_NUMBER.finditer(text))
    if len(matches) != len(values):
        return False
    if text.startswith("<"):
        return values[0] < _printed(matches[0])
    return all(_rounds(match, value) for match, value in zip(matches, values, strict=True))


def _printed(match: re.Match[str]) -> float:
    return float(match[0].replace(",", "").replace("−", "-"))


def _rounds(match: re.Match[str], value: float) -> bool:
    half = 0.5 * 10.0 ** (int(match[2] or 0) - len(match[1] or ""))
    return bool(abs(_printed(match) - value) <= half * (1 + 1e-6) + 1e-12 * abs(value))


def check_sources(printed: Printed, tables: Mapping[str, pd.DataFrame]) -> Check:
    """Every value with a source agrees with its table, as an attribute and as printed."""
    check = Check("numbers of report.html agree with the tables")
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    seen: set[tuple[str, str]] = set()
    for shown in printed.shown:
        place = f"report.html: {shown.table} {shown.row} {shown.field}"
        if shown.table not in rows:
            frame = tables.get(shown.table, pd.DataFrame())
            rows[shown.table] = {row_id(row, shown.table): row for row in records(frame)}
        row = rows[shown.table].get(shown.row)
        fields = shown.field.split(",")
        if row is None or not set(fields) <= set(row):
            check.expect(False, f"{place} is shown but stands in no table")
            continue
        if shown.table == "claims":
            seen.add((shown.row, shown.field))
        _compare_shown(check, place, [row[name] for name in fields], shown)
    for claim in records(tables["claims"]):
        name = row_id(claim, "claims")
        for field in ("measured", "verdict", "rule", "reason"):
            check.expect((name, field) in seen, f"report.html: claims {name} {field} is missing")
    return check


def _compare_shown(check: Check, place: str, values: Sequence[Any], shown: Shown) -> None:
    first = values[0]
    if any(pd.isna(value) for value in values):
        right = not shown.value and shown.text in NULL_TEXTS
        check.expect(right, f"{place} shows {shown.text!r}, the table has null")
        return
    if isinstance(first, str):
        flat = " ".join(first.split())
        right = shown.text == flat
        if shown.value is not None:
            right = shown.value == first and (flat in shown.text or words(first) == shown.text)
    else:
        try:
            attributes = [float(part) for part in (shown.value or "").split(",")]
        except ValueError:
            attributes = []
        known = [float(value) for value in values]
        right = len(attributes) == len(known) and bool(all(map(close, attributes, known)))
        right = right and agrees(shown.text, *known)
    has = ", ".join(map(text_of, values))
    check.expect(
        right, f"{place} shows {shown.text!r} (data-value {shown.value!r}), the table has {has}"
    )


def check_counted(printed: Printed, expected: Expected) -> Check:
    """Every number without a source is what was counted once more, and nothing is left out."""
    check = Check("what report.html counts is counted again")
    for place, rows in expected.tables.items():
        name = f"report.html: {': '.join(place)}"
        if place not in printed.tables:
            check.expect(not rows, f"{name} is missing")
        else:
            _compare_table(check, name, printed.tables[place], rows)
    for (chapter, title), table in printed.tables.items():
        rows = expected.tables.get((chapter, title), [])
        counted = set().union(*rows)
        for row in table.rows:
            for head, cell in zip(table.header, row, strict=False):
                check.expect(
                    not cell.bare or head in counted,
                    f"report.html: {chapter}: {title}: {head} shows {cell.text!r}, a number "
                    "without a source",
                )
    for place, numbers in expected.numbers.items():
        text = printed.sentences.get(place, "")
        check.expect(
            agrees(text, *numbers),
            f"report.html: {' '.join(place)} shows {text!r}, counted {_listed(numbers)}",
        )
    return check


def _compare_table(
    check: Check, name: str, table: PrintedTable, rows: Sequence[Mapping[str, Any]]
) -> None:
    right = len(table.rows) == len(rows) or not rows
    check.expect(right, f"{name} has {len(table.rows)} rows, counted {len(rows)}")
    for cells, row in zip(table.rows, rows, strict=False):
        for head, value in row.items():
            if head not in table.header:
                check.expect(False, f"{name} has no column {head!r}")
                continue
            text = cells[table.header.index(head)].text
            where = f"{name}: {head} of {cells[0].text}"
            check.expect(_same(text, value), f"{where} shows {text!r}, counted {_listed(value)}")


def _same(text: str, value: Any) -> bool:
    if isinstance(value, str):
        return text == value
    if isinstance(value, tuple):
        return agrees(text, *map(float, value))
    return text == ABSENT if pd.isna(value) else agrees(text, float(value))


def _listed(value: Any) -> str:
    several = isinstance(value, (tuple, list))
    return " and ".join(map(text_of, value)) if several else text_of(value)


def check_markdown(
    printed: Printed, html: Printed, claims: pd.DataFrame, tally: Sequence[float]
) -> Check:
    """report.md says what report.html says, and its claims table what the table says.

    Parameters
    ----------
    printed, html
        What was read of the two.
    tally
        Numbers of claims by verdict.
    """
    check = Check("report.md agrees with report.html and the claims table")
    _check_markdown_claims(check, printed, claims)
    for place, table in html.tables.items():
        theirs = printed.tables.get(place)
        right = theirs is not None and theirs.texts() == table.texts()
        check.expect(right, f"report.md: {': '.join(place)} differs from report.html")
    for (chapter, name), sentence in html.sentences.items():
        lines = printed.lines.get(chapter, [])
        if (chapter, name) in printed.sentences:
            right = _numbers(printed.sentences[chapter, name]) == _numbers(sentence)
        elif name == "tally":
            right = any(_numbers(line) == list(map(str, tally)) for line in lines)
        elif name.startswith("choices of "):
            continue  # Part of the claim's sentence.
        else:
            right = sentence in lines
        check.expect(right, f"report.md: {chapter} {name} differs from report.html")
    return check


def _numbers(text: str) -> list[str]:
    return [match[0].rstrip(",") for match in _NUMBER.finditer(text)]


def _check_markdown_claims(check: Check, printed: Printed, claims: pd.DataFrame) -> None:
    table = printed.tables.get(("Claims", "Claims"), PrintedTable())
    found = {}
    for printed_row in table.rows:
        texts = [cell.text for cell in printed_row]
        named = dict(zip(table.header, texts, strict=False))
        found[named["study"], named["id"]] = named
    for row in records(claims):
        claim = f"{row['study']} {row['claim']}"
        cells = found.pop((row["study"], row["claim"]), {})
        if not cells:
            check.expect(False, f"report.md: claim {claim} is missing")
            continue
        ends = cells.get("interval", "").split(" to ")
        numbers = {"measured": cells.get("measured", ""), "low": ends[0], "high": ends[-1]}
        for name, shown in numbers.items():
            value = row[name]
            right = shown in NULL_TEXTS if pd.isna(value) else agrees(shown, float(value))
            check.expect(
                right,
                f"report.md: {name} of {claim} shows {shown!r}, the table has {text_of(value)}",
            )
        for name in ("verdict", "rule", "statement", "published"):
            check.expect(
                cells.get(name) == " ".join(str(row[name]).split()),
                f"report.md: {name} of {claim} shows {cells.get(name)!r}, the table has "
                f"{row[name]!r}",
            )
        reason = " ".join(str(row["reason"]).split())
        check.expect(
            reason in cells.get("reason", ""),
            f"report.md: reason of {claim} shows {cells.get('reason')!r}, the table has "
            f"{reason!r}",
        )
    for study, name in found:
        check.expect(False, f"report.md: claim {study} {name} stands in no table")
