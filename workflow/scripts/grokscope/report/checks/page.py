"""Checks of the report: does every number of the page agree with its table?

Input: HTML, Markdown and the result tables. Output: checks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

import pandas as pd

from grokscope.claims.rows import records
from grokscope.core.formatting import ABSENT
from grokscope.report.checks.check import Check, close, text_of
from grokscope.report.tables.parts import row_id

# A claim is named by its study and its id.
ClaimKey = tuple[str, str]


@dataclass(frozen=True)
class Shown:
    """A value that the page shows: its source, the value it claims, and the text a reader sees."""

    table: str
    row: str
    field: str
    value: str
    text: str


class _Page(HTMLParser):
    """Collects the elements that carry a source."""

    VOID = frozenset({"br", "img", "meta", "link", "hr", "input"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.shown: list[Shown] = []
        self._open: list[dict[str, str | None] | None] = []
        self._texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.VOID:
            return
        values = dict(attrs)
        self._open.append(values if "data-field" in values else None)
        self._texts.append("")

    def handle_data(self, data: str) -> None:
        for i in range(len(self._texts)):
            if self._open[i] is not None:
                self._texts[i] += data

    def handle_endtag(self, tag: str) -> None:
        if tag in self.VOID or not self._open:
            return
        values, text = self._open.pop(), self._texts.pop()
        if values is None:
            return
        self.shown.append(
            Shown(
                table=values.get("data-table") or "",
                row=values.get("data-row") or "",
                field=values.get("data-field") or "",
                value=values.get("data-value") or "",
                text=" ".join(text.split()),
            )
        )


def read_html(page: str) -> list[Shown]:
    """All values of an HTML report that name their source."""
    parser = _Page()
    parser.feed(page)
    parser.close()
    return parser.shown


_NUMBER = re.compile(r"[-−+]?\d[\d,]*(?:\.(\d+))?")


def agrees(text: str, value: float) -> bool:
    """Whether a printed number is the value, rounded to the digits that are printed.

    "< 0.001" is what it says.
    """
    match = _NUMBER.search(text)
    if match is None:
        return False
    printed = float(match[0].replace(",", "").replace("−", "-"))
    if text.startswith("<"):
        return value < printed
    half = 0.5 * 10.0 ** -len(match[1] or "")
    return bool(abs(printed - value) <= half * (1 + 1e-6) + 1e-12 * abs(value))


def check_html(page: str, tables: Mapping[str, pd.DataFrame]) -> Check:
    """Every number of the page agrees with its table, as an attribute and as printed."""
    check = Check("numbers of report.html agree with the tables")
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    seen: set[tuple[str, str]] = set()
    for shown in read_html(page):
        place = f"report.html: {shown.table} {shown.row} {shown.field}"
        if shown.table not in rows:
            frame = tables.get(shown.table, pd.DataFrame())
            rows[shown.table] = {row_id(row, shown.table): row for row in records(frame)}
        row = rows[shown.table].get(shown.row)
        if row is None or shown.field not in row:
            check.expect(False, f"{place} is shown but stands in no table")
            continue
        if shown.table == "claims":
            seen.add((shown.row, shown.field))
        _compare_shown(check, place, row[shown.field], shown)
    for claim in records(tables["claims"]):
        name = row_id(claim, "claims")
        for field in ("measured", "verdict"):
            check.expect((name, field) in seen, f"report.html: claims {name} {field} is missing")
    return check


def _compare_shown(check: Check, place: str, value: Any, shown: Shown) -> None:
    if pd.isna(value):
        right = shown.value == "" and shown.text == ABSENT
        check.expect(right, f"{place} shows {shown.text!r}, the table has null")
        return
    if isinstance(value, str):
        right = shown.value == value and value in shown.text
    else:
        try:
            attribute = float(shown.value)
        except ValueError:
            attribute = float("nan")
        right = bool(close(attribute, float(value)))
        right = right and agrees(shown.text, float(value))
    check.expect(
        right, f"{place} shows {shown.text!r} (data-value {shown.value!r}), the table has {value}"
    )


def read_markdown_claims(text: str) -> dict[ClaimKey, dict[str, str]]:
    """Cells of the claims table of a Markdown report, by study and claim, and by column."""
    claims: dict[ClaimKey, dict[str, str]] = {}
    header: list[str] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            header = []
            continue
        # A bar inside a cell is escaped, and so is an underscore.
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not header:
            header = cells
        elif header[:2] == ["study", "id"] and not set(cells[0]) <= set("-: "):
            name = cells[0].replace("\\_", "_")
            claims[name, cells[1]] = dict(zip(header, cells, strict=False))
    return claims


def check_markdown(text: str, claims: pd.DataFrame) -> Check:
    """The claims table of report.md agrees with the table."""
    check = Check("numbers of report.md agree with the claims table")
    found = read_markdown_claims(text)
    for row in records(claims):
        claim = f"{row['study']} {row['claim']}"
        cells = found.pop((row["study"], row["claim"]), None)
        if cells is None:
            check.expect(False, f"report.md: claim {claim} is missing")
            continue
        ends = cells.get("interval", "").split(" to ")
        texts = {"measured": cells.get("measured", "")}
        texts |= {"low": ends[0], "high": ends[-1]}
        for name, printed in texts.items():
            value = row[name]
            right = printed == ABSENT if pd.isna(value) else agrees(printed, float(value))
            check.expect(
                right,
                f"report.md: {name} of {claim} shows {printed!r}, the table has {text_of(value)}",
            )
        verdict = cells.get("verdict", "")
        check.expect(
            verdict == row["verdict"],
            f"report.md: verdict of {claim} shows {verdict!r}, the table has {row['verdict']!r}",
        )
    for study, name in found:
        check.problems.append(f"report.md: claim {study} {name} stands in no table")
    return check
