"""Validation: are the results complete, and do they agree with the traces they come from?

Input: the traces, the tables (parquet and CSV), the summaries and the report. Output: one list
of checks, each with what it looked at and the problems it found. All tables but the claims are
computed again from the traces, one trace in memory at a time. A claim that fails is a result
and no problem here.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from grokscope.claims.multiverse import multiverse_table
from grokscope.claims.registry import records
from grokscope.data.tables import TableError, columns_of, concatenate, conform, key_of
from grokscope.data.trace import Trace, TraceError, TraceInfo, read_trace
from grokscope.evaluate.study import evaluation_tables
from grokscope.measure.alarms import find_alarms
from grokscope.measure.detectors import read_scores, score_run, write_scores
from grokscope.measure.phases import PHASES, phases_table
from grokscope.measure.rank import rank_rows, rank_run, reference_of
from grokscope.measure.summary import summary
from grokscope.measure.transitions import transitions
from grokscope.measure.variants import variant_rows
from grokscope.report.summary import study_facts, training_environment
from grokscope.report.tables import ABSENT, ROW_COLUMNS, row_id
from grokscope.runs.spec import KEY_COLUMNS, RunKey, RunSpec, panels

KEY = list(KEY_COLUMNS)
PER_RUN = ("runs", "transitions", "phases")
# Rows of a run in the tables that have several a run.
WITHIN_RUN = {"alarms": ["detector", "layer", "step"], "rank": ["layer", "measure"]}
OF_SUMMARY = ("runs", "transitions", "phases", "claims")
OF_STUDIES = ("evaluation", "chance", "curves")
# The study whose analysis choices are varied, and what comes of that.
VARIED = "gai"
OF_VARIANTS = ("variants", "multiverse")
# Another machine's rounding; far below anything that a table is read for.
TOLERANCE = 1e-6
REPORTED_PROBLEMS = 20


@dataclass
class Check:
    """One question, what it was asked of, and the answers that are wrong."""

    name: str
    n_checked: int = 0
    problems: list[str] = field(default_factory=list)

    def expect(self, right: bool, problem: str) -> None:
        """Count one comparison, and note the problem if it is not right."""
        self.n_checked += 1
        if not right:
            self.problems.append(problem)


# ---------------------------------------------------------------- completeness


def check_completeness(tables: Mapping[str, pd.DataFrame], keys: Iterable[RunKey]) -> Check:
    """Every run of the grid once in each table with a row a run, and no other run anywhere."""
    check = Check("every run of the grid is present once")
    wanted = {row_id(key.row(), "runs") for key in keys}
    for name in (*PER_RUN, *WITHIN_RUN):
        found = _ids(tables[name])
        counts = found.value_counts()
        for run in sorted(set(counts.index) - wanted):
            check.problems.append(f"{name}: run not in the grid: {run}")
        if name in PER_RUN:
            for run in sorted(wanted):
                number = int(counts.get(run, 0))
                check.expect(number == 1, f"{name}: {number} rows of run {run}")
    return check


def _ids(frame: pd.DataFrame) -> pd.Series:
    ids = [row_id(row, "runs") for row in records(frame[KEY])]
    return pd.Series(ids, dtype=str)


def check_labels(phases: pd.DataFrame) -> Check:
    """Every run has one of the phases, and so has every vote."""
    check = Check("phase labels are total")
    for row in records(phases):
        for name in ("phase", "vote"):
            check.expect(
                row[name] in PHASES,
                f"{name} {row[name]!r} of {row_id(row, 'phases')}; allowed: {', '.join(PHASES)}",
            )
    return check


# -------------------------------------------------------------------- traces


def read_traces(
    paths: Mapping[RunKey, Path], specs: Mapping[RunKey, RunSpec], check: Check
) -> Iterator[Trace]:
    """Traces that are what they should be; the others become problems of `check`."""
    for key, spec in specs.items():
        try:
            trace = read_trace(paths[key], expected=spec)
        except KeyError:
            check.expect(False, f"no trace of run {key}")
            continue
        except TraceError as error:
            check.expect(False, str(error))
            continue
        check.expect(True, "")
        yield trace


def recompute(
    traces: Iterable[Trace], settings: Mapping[str, Any], scores: Path
) -> tuple[dict[str, pd.DataFrame], list[TraceInfo]]:
    """Tables of one panel from its traces, and how the traces were made.

    One trace is in memory at a time, and of those before only what phases, ranks and scores
    need.

    Parameters
    ----------
    scores
        File for the scores of all detectors.
    """
    rows: dict[str, list[dict[str, Any]]] = {"runs": [], "transitions": [], "variants": []}
    fired, light, ranks, infos = [], [], [], []
    scored: list[dict[str, Any]] = []
    for trace in traces:
        key = trace.key.row()
        rows["runs"].append(key | summary(trace))
        rows["transitions"].append(
            key | transitions(trace, settings["transitions"], settings["onset"])
        )
        if trace.key.study == VARIED:
            rows["variants"] += variant_rows(trace, settings)
        fired.append(find_alarms(trace, settings))
        scored += score_run(trace, settings)
        light.append(replace(trace, frame=trace.evaluated()))
        ranks.append(rank_run(trace, settings["onset"]))
        infos.append(trace.info)
    write_scores(scored, scores)
    tables = {name: concatenate([pd.DataFrame(of)], name) for name, of in rows.items()}
    tables["alarms"] = concatenate(fired, "alarms")
    tables["phases"] = phases_table(light, settings["phases"])
    drops = [
        row for run in ranks for row in rank_rows(run, reference_of(run, ranks), settings["rank"])
    ]
    tables["rank"] = concatenate([pd.DataFrame(drops)], "rank")
    return tables, infos


@dataclass
class Recomputed:
    """What the traces say: tables, and what trained each study."""

    tables: dict[str, pd.DataFrame]
    environments: dict[str, dict[str, Any]]
    reading: Check


def recompute_all(
    paths: Mapping[RunKey, Path],
    specs: Mapping[RunKey, RunSpec],
    settings: Mapping[str, Any],
    published: Sequence[Mapping[str, Any]],
) -> Recomputed:
    """Read every trace, and make from them all tables but the claims.

    The tables that need all runs of a study are left out if a trace cannot be read.
    """
    reading = Check("each trace matches its schema and its specification")
    infos: dict[str, list[TraceInfo]] = {}
    parts: dict[str, list[pd.DataFrame]] = {}
    with tempfile.TemporaryDirectory() as folder:
        scores: dict[str, list[Path]] = {}
        for number, (panel, keys) in enumerate(panels(specs).items()):
            wanted = {key: specs[key] for key in keys}
            file = Path(folder, f"{number}.parquet")
            made, info = recompute(read_traces(paths, wanted, reading), settings, file)
            scores.setdefault(panel.study, []).append(file)
            infos.setdefault(panel.study, []).extend(info)
            for name, table in made.items():
                parts.setdefault(name, []).append(table)
        tables = {name: concatenate(part, name) for name, part in parts.items()}
        if not reading.problems:
            tables |= evaluate_all(scores, tables, settings, published)
    environments = {study: training_environment(made) for study, made in infos.items()}
    return Recomputed(tables, environments, reading)


def evaluate_all(
    scores: Mapping[str, Sequence[Path]],
    tables: Mapping[str, pd.DataFrame],
    settings: Mapping[str, Any],
    published: Sequence[Mapping[str, Any]],
) -> dict[str, pd.DataFrame]:
    """The tables that need all runs of a study.

    Parameters
    ----------
    scores
        Files of each study's panels.
    tables
        ``transitions``, ``runs`` and ``variants``.
    """
    parts = []
    for study, files in scores.items():
        mine = tables["transitions"][tables["transitions"]["study"] == study]
        parts.append(evaluation_tables(partial(read_scores, files), mine, settings))
    made = {name: concatenate([part[name] for part in parts], name) for name in OF_STUDIES}
    runs = tables["runs"][tables["runs"]["study"] == VARIED]
    return made | {"multiverse": multiverse_table(tables["variants"], runs, published, settings)}


def compare(check: Check, table: str, written: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Compare a table with a recomputed one, row by row and column by column.

    Numbers agree within a relative :data:`TOLERANCE`; all else must be equal.
    """
    index = [*key_of(table), *WITHIN_RUN.get(table, []), *ROW_COLUMNS.get(table, [])]
    twice = written[written.duplicated(index)]
    for row in records(twice[index]):
        name = ", ".join(f"{n}={row[n]}" for n in index)
        check.expect(False, f"{table}: row {name} is in the table twice")
    merged = expected.merge(
        written, on=index, how="outer", suffixes=("", " (table)"), indicator=True
    )
    merged = merged.sort_values(index, kind="stable").reset_index(drop=True)
    names = [", ".join(f"{n}={row[n]}" for n in index) for row in records(merged[index])]
    sides = {"left_only": "is missing", "right_only": "is in the table, not in the traces"}
    for name, side in zip(names, merged["_merge"], strict=True):
        check.expect(side == "both", f"{table}: row {name} {sides.get(side, '')}")
    both = (merged["_merge"] == "both").to_numpy()
    for column in expected.columns:
        if column in index:
            continue
        if f"{column} (table)" not in merged:
            check.problems.append(f"{table}: no column {column}")
            continue
        ours, theirs = merged[column], merged[f"{column} (table)"]
        differing = both & ~_equal(ours, theirs)
        for i in np.flatnonzero(differing):
            check.problems.append(
                f"{table}: {column} of {names[i]} is {_text(theirs[i])}, "
                f"recomputed {_text(ours[i])}"
            )


def _equal(one: pd.Series, other: pd.Series) -> np.ndarray:
    nulls = one.isna().to_numpy(), other.isna().to_numpy()
    if pd.api.types.is_float_dtype(one.dtype):
        a = one.to_numpy(dtype=float, na_value=np.nan)
        b = other.to_numpy(dtype=float, na_value=np.nan)
        return np.asarray(np.isclose(a, b, rtol=TOLERANCE, atol=1e-12, equal_nan=True))
    same = (one == other).fillna(False).to_numpy(bool)
    return np.asarray(same | (nulls[0] & nulls[1]))


def _text(value: Any) -> str:
    return "null" if pd.isna(value) else str(value)


def check_tables(
    tables: Mapping[str, pd.DataFrame],
    expected: Mapping[str, pd.DataFrame],
    specs: Iterable[RunKey],
) -> list[Check]:
    """A check a table: is it what the traces say?

    Runs whose trace cannot be read are a problem of the trace, not of the tables: their rows
    are left out, and tables that need all runs are not compared then.
    """
    lost = {row_id(key.row(), "runs") for key in specs} - set(_ids(expected["runs"]))
    checks = []
    for name in (*PER_RUN, *WITHIN_RUN):
        check = Check(f"{name} recomputed from the traces")
        table = tables[name]
        compare(check, name, table[~_ids(table).isin(lost).to_numpy()], expected[name])
        checks.append(check)
    for name in (*OF_STUDIES, *OF_VARIANTS):
        if name in tables and name in expected and not lost:
            checks.append(Check(f"{name} recomputed from the traces"))
            compare(checks[-1], name, tables[name], expected[name])
    return checks


# ------------------------------------------------------------- files of tables


def check_csv(tables: Mapping[str, pd.DataFrame], paths: Mapping[str, Path]) -> Check:
    """Each CSV file holds what the parquet file holds."""
    check = Check("CSV files equal the parquet files")
    for name, path in paths.items():
        table = tables[name]
        try:
            columns = columns_of(name)
            # Text such as "nan" or "null" in a string column is text.
            text = {
                column: "string"
                for column in table.columns
                if columns.get(column, {}).get("type") == "string"
            }
            written = pd.read_csv(path, dtype=text)
            written = conform(written, name)
        except (OSError, ValueError, TableError) as error:
            check.expect(False, f"{name}: {error}")
            continue
        same_shape = written.shape == table.shape and list(written) == list(table)
        check.expect(
            same_shape,
            f"{name}: {written.shape[0]} rows and {written.shape[1]} columns as CSV, "
            f"{table.shape[0]} and {table.shape[1]} as parquet",
        )
        if not same_shape:
            continue
        for column in table.columns:
            differing = np.flatnonzero(~_equal(table[column], written[column]))
            first = int(differing[0]) if len(differing) else 0
            check.expect(
                not len(differing),
                f"{name}: {column} differs in {len(differing)} rows"
                + (
                    f", first in row {first}: {_text(written[column].iloc[first])} as CSV, "
                    f"{_text(table[column].iloc[first])} as parquet"
                    if len(differing)
                    else ""
                ),
            )
    return check


def check_summaries(
    tables: Mapping[str, pd.DataFrame],
    summaries: Mapping[str, Mapping[str, Any]],
    environments: Mapping[str, Mapping[str, Any]],
) -> Check:
    """Each study's summary follows from the tables, and its versions from the traces."""
    check = Check("summaries recomputed")
    for study, environment in environments.items():
        if study not in summaries:
            check.expect(False, f"{study}: no summary")
            continue
        facts = study_facts(study, {name: tables[name] for name in OF_SUMMARY})
        expected = facts | {"training": environment}
        # Through JSON, as the summary went: tuples become lists, numpy numbers plain ones.
        for name, value in json.loads(json.dumps(expected)).items():
            written = summaries[study].get(name)
            check.expect(
                _alike(written, value),
                f"{study}: {name} is {json.dumps(written)}, recomputed {json.dumps(value)}",
            )
    return check


def _alike(one: Any, other: Any) -> bool:
    """Equality of JSON values, numbers within the tolerance."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, float) and isinstance(other, (int, float)):
        return bool(np.isclose(one, other, rtol=TOLERANCE, atol=1e-12))
    return bool(one == other)


# -------------------------------------------------------------------- report


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
        claim = values.get("data-claim")
        self.shown.append(
            Shown(
                table="claims" if claim else values.get("data-table") or "",
                row=f"claim={claim}" if claim else values.get("data-row") or "",
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
    for claim in tables["claims"]["claim"]:
        for name in ("measured", "verdict"):
            check.expect(
                (f"claim={claim}", name) in seen, f"report.html: claims {claim} {name} is missing"
            )
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
        right = bool(np.isclose(attribute, float(value), rtol=TOLERANCE, atol=1e-12))
        right = right and agrees(shown.text, float(value))
    check.expect(
        right, f"{place} shows {shown.text!r} (data-value {shown.value!r}), the table has {value}"
    )


def read_markdown_claims(text: str) -> dict[str, dict[str, str]]:
    """Cells of the claims table of a Markdown report, by claim and column."""
    claims: dict[str, dict[str, str]] = {}
    header: list[str] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            header = []
            continue
        # A bar inside a cell is escaped.
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not header:
            header = cells
        elif header[0] == "id" and "verdict" in header and not set(cells[0]) <= set("-: "):
            claims[cells[0]] = dict(zip(header, cells, strict=False))
    return claims


def check_markdown(text: str, claims: pd.DataFrame) -> Check:
    """The claims table of report.md agrees with the table."""
    check = Check("numbers of report.md agree with the claims table")
    found = read_markdown_claims(text)
    for row in records(claims):
        cells = found.pop(row["claim"], None)
        if cells is None:
            check.expect(False, f"report.md: claim {row['claim']} is missing")
            continue
        ends = cells.get("interval", "").split(" to ")
        texts = {"measured": cells.get("measured", "")}
        texts |= {"low": ends[0], "high": ends[-1]}
        for name, printed in texts.items():
            value = row[name]
            right = printed == ABSENT if pd.isna(value) else agrees(printed, float(value))
            check.expect(
                right,
                f"report.md: {name} of {row['claim']} shows {printed!r}, "
                f"the table has {_text(value)}",
            )
        verdict = cells.get("verdict", "")
        check.expect(
            verdict == row["verdict"],
            f"report.md: verdict of {row['claim']} shows {verdict!r}, "
            f"the table has {row['verdict']!r}",
        )
    for claim in found:
        check.problems.append(f"report.md: claim {claim} stands in no table")
    return check


# -------------------------------------------------------------------- outcome


def validate(
    *,
    tables: Mapping[str, pd.DataFrame],
    csv: Mapping[str, Path],
    traces: Mapping[RunKey, Path],
    specs: Mapping[RunKey, RunSpec],
    settings: Mapping[str, Any],
    published: Sequence[Mapping[str, Any]],
    summaries: Mapping[str, Mapping[str, Any]],
    html: str,
    markdown: str,
) -> list[Check]:
    """All checks of the results.

    Parameters
    ----------
    tables
        Result tables, by name; ``variants`` may be missing.
    csv
        CSV files of the tables that have one, by name.
    traces, specs
        Trace file and specification of every run that the configuration asks for.
    settings
        Config section ``analysis``.
    published
        Entries of ``claims.yaml``.
    summaries
        Contents of the study summaries, by study.
    html, markdown
        The report.
    """
    recomputed = recompute_all(traces, specs, settings, published)
    return [
        check_completeness(tables, specs),
        recomputed.reading,
        *check_tables(tables, recomputed.tables, specs),
        check_labels(tables["phases"]),
        *check_files(tables, csv, html, markdown),
        check_summaries(tables, summaries, recomputed.environments),
    ]


def check_files(
    tables: Mapping[str, pd.DataFrame], csv: Mapping[str, Path], html: str, markdown: str
) -> list[Check]:
    """The checks that need no trace: CSV files and report."""
    return [
        check_csv(tables, csv),
        check_html(html, tables),
        check_markdown(markdown, tables["claims"]),
    ]


def outcome(checks: Sequence[Check]) -> dict[str, Any]:
    """Contents of ``validation.json``: ``status`` and the checks, with their first problems."""
    listed = []
    for check in checks:
        entry = asdict(check)
        more = len(check.problems) - REPORTED_PROBLEMS
        if more > 0:
            entry["problems"] = [*check.problems[:REPORTED_PROBLEMS], f"and {more} more"]
        listed.append(entry)
    failed = any(check.problems for check in checks)
    return {"status": "failed" if failed else "ok", "checks": listed}


def failures(result: Mapping[str, Any]) -> list[str]:
    """Problems of a ``validation.json``, a line each; empty if it is ok.

    Raises
    ------
    ValueError
        If it is neither ok nor names a problem.
    """
    lines = [
        f"{check['name']}: {problem}"
        for check in result["checks"]
        for problem in check["problems"]
    ]
    if (result["status"] == "ok") == bool(lines):
        raise ValueError(f"validation status {result['status']!r} with {len(lines)} problems")
    return lines
