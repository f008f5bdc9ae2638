"""What a large grid says beyond its report: halves of its seeds, what it could have detected.

Reads the results of a configuration, and writes tables into docs/evidence/README.md, or those that
another page has room for:

    python -m benchmarks.evidence RESULTS --before CLAIMS_CSV
    python -m benchmarks.evidence RESULTS --study early_warning --page PAGE

- ``cells``: what was run, and when the runs of each cell generalise.
- ``verdicts``: every claim, with the number and the interval that its verdict rests on.
- ``ranking``: the detectors by the area under sensitivity against time in warning, with what their
  alarms come to at a threshold chosen on other seeds, over all and by depth.
- ``halves``: the same verdicts from each half of the seeds that are judged. Seeds that thresholds
  are chosen on belong to both.
- ``before``: measured now, against the interval of an earlier table of claims. A nominal interval
  of 95% holds the new value less often than that: the new value has an error of its own.
- ``power``: the smallest precision above chance that the alarms of the Gradient Acceleration Index
  could have been seen to have. The alarms of the held-out runs are put at random steps at risk,
  each of a run with an event with a certain probability into the published window instead; it
  is detected where the interval of claim GAI8 lies above 0.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from benchmarks.common import Table, markdown, write_section
from grokscope.claims.judge import judge_study
from grokscope.claims.measures import MEASURES, corrected_excess
from grokscope.claims.published import ClaimSet, read_published
from grokscope.claims.rows import groups, records, select
from grokscope.claims.samples import Samples, outcomes
from grokscope.core.formatting import number, signed, steps
from grokscope.data.tables import read_table, read_tables
from grokscope.evaluate import nulls
from grokscope.evaluate.matching import Cohort, held_out
from grokscope.measure.detectors.registry import COMBINED
from grokscope.report.tables.ranking import rank_detectors
from grokscope.report.verdicts import UNBOUNDED
from grokscope.report.verdicts import shown as shown_number
from grokscope.runs.config import check_config
from grokscope.runs.kinds import KINDS
from grokscope.runs.paths import PANEL_TABLES
from grokscope.runs.settings import Analysis, EvaluationSettings
from grokscope.runs.spec import cell_columns, key_columns

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "evidence" / "README.md"
SIMULATIONS = 100
POWER = 0.8
PLANTED = (0.0, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)

Tables = dict[str, pd.DataFrame]


def tables_of(results: Path, study: str, kind: str) -> Tables:
    """Tables that a study is judged by."""
    folder = results / "studies" / study
    tables = {name: read_table(folder / f"{name}.parquet", name) for name in PANEL_TABLES}
    if KINDS[kind].has_variants:
        paths = sorted((results / "panels" / study).glob("**/variants.parquet"))
        tables["variants"] = read_tables(paths, "variants")
    return tables


def cells(runs: pd.DataFrame, transitions: pd.DataFrame) -> Table:
    """A row per cell: runs, events, onsets and, if it differs, what they were trained on."""
    key = key_columns(runs.columns)
    both = runs.merge(transitions[[*key, "train_onset_step", "test_onset_step"]], on=key)
    first = both.iloc[0]
    varied = [name for name in cell_columns(runs.columns) if (both[name] != first[name]).any()]
    columns = varied or ["task"]
    mixed = bool((both["processor"] != first["processor"]).any())
    rows = []
    for values, of in groups(both, columns):
        onset = of["test_onset_step"].dropna().astype(float)
        train = of["train_onset_step"].dropna().astype(float)
        ends = onset.quantile([0.25, 0.5, 0.75]).dropna()
        quartiles = [steps(round(float(end))) for end in ends]
        rows.append(
            [
                *map(str, values),
                str(len(of)),
                str(len(onset)),
                steps(round(float(train.median()))) if len(train) else "–",
                "{1} ({0}–{2})".format(*quartiles) if quartiles else "–",
            ]
        )
        if mixed:
            kinds = of["processor"].value_counts().items()
            rows[-1].append(", ".join(f"{n} {kind}" for kind, n in kinds))
    header = [*columns, "runs", "reach 95%", "median train onset", "test onset (quartiles)"]
    return Table([*header, "trained on"] if mixed else header, rows, None)


def verdicts(claims: pd.DataFrame) -> Table:
    """A row per claim."""
    rows = [
        [row["claim"], row["statement"], row["published"], row["quantity"], shown(row)]
        for row in claims.to_dict("records")
    ]
    return Table(["claim", "statement", "published", "quantity", "verdict"], rows, None)


def _share(row: Mapping[str, Any] | None, name: str) -> str:
    """A share with its interval."""
    if row is None or pd.isna(row[name]):
        return "–"
    low, high = (row[f"{name}_{end}"] for end in ("low", "high"))
    if pd.isna([low, high]).any():
        return number(row[name])
    return f"{number(row[name])} [{number(low)}, {number(high)}]"


def ranking(chance: pd.DataFrame, evaluation: pd.DataFrame, settings: EvaluationSettings) -> Table:
    """A row per detector, by falling area."""
    low, high = settings.primary_window
    depths = sorted(
        int(depth) for depth in evaluation[evaluation["n_events"] > 0]["depth"].dropna().unique()
    )
    # Of one depth a column would say the same again.
    depths = depths if len(depths) > 1 else []
    ranks = rank_detectors(chance, settings.alpha)
    rows = []
    for rank in ranks:
        where: dict[str, Any] = {"detector": rank.detector, "layer": COMBINED, "rule": "first"}
        where |= {"lead_min": low, "lead_max": high, "task": None}
        mine = select(evaluation, **where)
        mine = mine[mine["threshold_source"] != "published"]
        by_depth = {
            None if pd.isna(row["depth"]) else int(row["depth"]): row for row in records(mine)
        }
        note = " (sees the test set)" if rank.uses_test_data else ""
        beats = [name for name, p in rank.p.items() if p < settings.alpha]
        pooled = by_depth.get(None)
        rows.append(
            [
                rank.detector + note,
                number(rank.area),
                ", ".join(beats) or "none",
                _share(pooled, "precision"),
                _share(pooled, "recall"),
                *(_share(by_depth.get(depth), "precision") for depth in depths),
            ]
        )
    header = ["detector", "area", "null models beaten", "precision", "recall"]
    return Table([*header, *(f"precision, depth {depth}" for depth in depths)], rows, None)


def half(runs: pd.DataFrame, which: int, development: tuple[int, ...]) -> pd.DataFrame:
    """Keys of the runs of a half: of each cell the first (0) or the second (1) of its seeds."""
    key = key_columns(runs.columns)
    judged = held_out(runs["seed"], development)
    seeds = runs[judged].groupby(cell_columns(runs.columns), dropna=False)["seed"]
    later = seeds.rank() > seeds.transform("size") / 2
    kept = pd.Series(True, index=runs.index)
    kept[later.index] = later == bool(which)
    return runs.loc[kept, key]


def shown(row: Mapping[str, Any]) -> str:
    """Verdict, number and interval of a row of the table ``claims``."""
    if pd.isna(row["measured"]):
        return str(row["verdict"])
    low, high = (
        UNBOUNDED[end] if pd.isna(row[end]) else shown_number(row[end], row["unit"])
        for end in ("low", "high")
    )
    return f"{row['verdict']}: {shown_number(row['measured'], row['unit'])} [{low}, {high}]"


def halves(
    results: Path,
    studies: Mapping[str, Any],
    published: Mapping[str, ClaimSet],
    analysis: Analysis,
) -> Table:
    """A row per claim: all seeds, the first half, the second half."""
    rows = []
    for name, study in studies.items():
        if study.claims is None:
            continue
        claims = published[study.claims]
        tables = tables_of(results, name, study.kind)
        # Of other kinds nothing is chosen on any seed.
        chosen = analysis.evaluation.development_seeds if "variants" in tables else ()
        found = [judge_study(name, tables, claims, study.kind, analysis).claims]
        for which in (0, 1):
            keys = half(tables["runs"], which, chosen)
            part = {of: table.merge(keys, on=[*keys]) for of, table in tables.items()}
            found.append(judge_study(name, part, claims, study.kind, analysis).claims)
        for of in zip(*(table.to_dict("records") for table in found), strict=True):
            rows.append([str(of[0]["claim"]), *map(shown, of)])
    return Table(["claim", "all seeds", "first half", "second half"], rows, None)


def against_before(now: pd.DataFrame, before: pd.DataFrame) -> Table:
    """A row per claim: number and verdict before and now, and whether the interval held."""
    old = before.set_index("claim")
    rows = []
    for row in now.to_dict("records"):
        if row["claim"] not in old.index:
            continue
        was = old.loc[row["claim"]].to_dict()
        held = "–"
        if not pd.isna([row["measured"], was["measured"]]).any():
            low = -np.inf if pd.isna(was["low"]) else was["low"]
            high = np.inf if pd.isna(was["high"]) else was["high"]
            held = "yes" if low <= row["measured"] <= high else "no"
        rows.append([str(row["claim"]), shown(was), shown(row), held])
    return Table(["claim", "before", "now", "old interval holds the new value"], rows, None)


def planted(
    cohort: Cohort,
    n_alarms: np.ndarray[Any, Any],
    first: np.ndarray[Any, Any],
    window: tuple[int, int],
    share: float,
    rng: np.random.Generator,
) -> Iterator[str]:
    """Alarm steps of each run as text: at random, a share of them in the window."""
    low, high = window
    for run, n in enumerate(n_alarms):
        begin, end = int(first[run]), int(cohort.risk_end[run])
        at = rng.integers(begin, max(end, begin + 1), int(n))
        if cohort.event[run]:
            ahead = cohort.onset[run] - rng.integers(low, high + 1, int(n))
            good = (rng.random(int(n)) < share) & (ahead >= begin)
            at = np.where(good, ahead, at)
        yield " ".join(str(int(step)) for step in sorted(set(at)))


def power(tables: Tables, analysis: Analysis, family: int) -> tuple[Table, float | None]:
    """Power by precision above chance; the smallest that is detected with power 0.8."""
    samples = Samples(tables["variants"], tables["transitions"], tables["runs"], analysis, family)
    rows = samples.configured(MEASURES["corrected_excess"], samples.rows).rows
    cohort = Cohort.from_transitions(rows, analysis.phases.gap)
    first = rows["warm_up"].fillna(0).to_numpy(np.int64)
    counts = rows["n_alarms"].to_numpy(np.int64)
    lines, curve = [], []
    for share in PLANTED:
        rng = nulls.stream(0, "evidence", str(share))
        excess, seen = [], []
        for _ in range(SIMULATIONS):
            texts = planted(cohort, counts, first, analysis.evaluation.lead_window, share, rng)
            headline = corrected_excess(
                outcomes(rows.assign(alarms=list(texts)), analysis, family)
            )
            excess.append(headline.measured)
            low = headline.interval.low
            seen.append(low is not None and not np.isnan(low) and low > 0)
        curve.append((float(np.nanmean(excess)), float(np.mean(seen))))
        lines.append([number(share), signed(curve[-1][0]), number(curve[-1][1])])
        print(*lines[-1], flush=True)
    above = [place for place, (_, detected) in enumerate(curve) if detected >= POWER]
    smallest = None
    if above and above[0] > 0:
        (x0, y0), (x1, y1) = curve[above[0] - 1], curve[above[0]]
        smallest = x0 + (POWER - y0) / (y1 - y0) * (x1 - x0)
    elif above:
        smallest = curve[0][0]
    header = ["share planted", "precision minus chance, mean", "detected"]
    return Table(header, lines, None), smallest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="folder results/ of a finished workflow")
    parser.add_argument("--before", type=Path, help="an earlier tables/claims.csv")
    parser.add_argument("--study", default="gai", help="of cells, ranking and power")
    parser.add_argument(
        "--page", type=Path, default=PAGE, help="gets the tables that it has room for"
    )
    given = parser.parse_args()
    values = yaml.safe_load((given.results / "configuration.yaml").read_text(encoding="utf-8"))
    config = check_config(values)
    published = read_published(ROOT / "workflow" / "report" / "claims.yaml")
    tables = {
        name: read_table(given.results / "tables" / f"{name}.parquet", name)
        for name in ("runs", "transitions", "claims", "chance", "evaluation")
    }
    of = {name: select(table, study=given.study) for name, table in tables.items()}

    def power_section() -> str:
        study = config.studies[given.study]
        claims = published[study.claims or ""]
        family = next(int(of.values["family"]) for of in claims.claims if "family" in of.values)
        judged = tables_of(given.results, given.study, study.kind)
        table, smallest = power(judged, config.analysis, family)
        found = "none of these is" if smallest is None else f"{signed(smallest)} is"
        return f"{markdown(table)}\n\nWith power {POWER} {found} the smallest that is detected."

    sections: dict[str, Callable[[], str]] = {
        "cells": lambda: markdown(cells(of["runs"], of["transitions"])),
        "verdicts": lambda: markdown(verdicts(tables["claims"])),
        "ranking": lambda: markdown(
            ranking(of["chance"], of["evaluation"], config.analysis.evaluation)
        ),
        "halves": lambda: markdown(
            halves(given.results, config.studies, published, config.analysis)
        ),
        "power": power_section,
    }
    if given.before:
        before = pd.read_csv(given.before)
        sections["before"] = lambda: markdown(against_before(tables["claims"], before))
    page = given.page.read_text(encoding="utf-8")
    for name, make in sections.items():
        if f"<!-- {name} -->" in page:
            write_section(given.page, name, make())


if __name__ == "__main__":
    main()
