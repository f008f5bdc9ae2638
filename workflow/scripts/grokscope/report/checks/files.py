"""Checks of files beside the tables: CSV files and study summaries.

Input: tables, CSV files and summaries. Output: checks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd

from grokscope.claims.export import verdicts_document
from grokscope.core.schemas import read_schema
from grokscope.data.tables import TableError, conform
from grokscope.report.checks.check import Check, close, equal, text_of
from grokscope.report.summary import TABLES as OF_SUMMARY
from grokscope.report.summary import study_facts


def check_csv(tables: Mapping[str, pd.DataFrame], paths: Mapping[str, Path]) -> Check:
    """Each CSV file holds what the parquet file holds."""
    check = Check("CSV files equal the parquet files")
    for name, path in paths.items():
        table = tables[name]
        strings = {c: "string" for c in table if pd.api.types.is_string_dtype(table[c].dtype)}
        try:
            # Only an empty field is a null: a text such as "nan" or "None" is that text.
            written = conform(
                pd.read_csv(path, dtype=strings, keep_default_na=False, na_values=[""]), name
            )
        except (OSError, ValueError, TableError) as error:
            check.expect(False, f"{name}: {error}")
            continue
        same_shape = written.shape == table.shape and list(written) == list(table)
        check.expect(
            same_shape,
            f"{name}: {written.shape[0]} rows and {written.shape[1]} columns as CSV, "
            f"{table.shape[0]} and {table.shape[1]} as parquet",
        )
        if same_shape:
            for column in table.columns:
                _compare_column(check, f"{name}: {column}", table[column], written[column])
    return check


def _compare_column(check: Check, name: str, table: pd.Series, csv: pd.Series) -> None:
    differing = np.flatnonzero(~equal(table, csv))
    problem = f"{name} differs in {len(differing)} rows"
    if len(differing):
        first = int(differing[0])
        problem += f", first in row {first}: {text_of(csv.iloc[first])} as CSV, "
        problem += f"{text_of(table.iloc[first])} as parquet"
    check.expect(not len(differing), problem)


def check_verdicts(claims: pd.DataFrame, document: Mapping[str, Any]) -> Check:
    """The JSON of verdicts holds what the table ``claims`` holds, and has its schema."""
    check = Check("verdicts.json equals the table of claims")
    try:
        jsonschema.validate(document, read_schema("verdicts.schema.json"))
    except jsonschema.ValidationError as error:
        check.expect(False, f"schema: {error.json_path}: {error.message}")
        return check
    studies = {of["study"]: of for of in document["studies"]}
    expected = verdicts_document(claims, studies)["studies"]
    judged = {*claims["study"]}
    check.expect(judged <= {*studies}, f"studies missing: {sorted(judged - {*studies})}")
    for found, want in zip(document["studies"], expected, strict=True):
        check.expect(found == want, f"{want['study']}: differs from the table")
    return check


def check_summaries(
    tables: Mapping[str, pd.DataFrame],
    summaries: Mapping[str, Mapping[str, Any]],
    environments: Mapping[str, Mapping[str, Any]],
    complete: Iterable[str],
) -> Check:
    """Each study's summary follows from the tables, and its versions from the traces.

    Parameters
    ----------
    environments
        What trained the runs of each study, as the traces say.
    complete
        Studies of which all traces can be read: only of these is what trained them known.
    """
    check = Check("summaries recomputed")
    known = set(complete)
    for study, environment in environments.items():
        if study not in summaries:
            check.expect(False, f"{study}: no summary")
            continue
        expected = study_facts(study, {name: tables[name] for name in OF_SUMMARY})
        if study in known:
            expected["training"] = environment
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
        return bool(close(one, other))
    return bool(one == other)
