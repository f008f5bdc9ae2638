"""Verdicts as one JSON document, for other programs.

Input: the table ``claims`` of all studies and their configuration. Output: a document that the
schema ``workflow/schemas/verdicts.schema.json`` describes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import pandas as pd

import grokscope
from grokscope.claims.rows import select

SCHEMA_VERSION = 1


def verdicts_document(claims: pd.DataFrame, studies: Mapping[str, Any]) -> dict[str, Any]:
    """Verdicts of all studies that published claims are judged on.

    Parameters
    ----------
    claims
        The table ``claims``.
    studies
        Their configuration by name, of which ``kind`` and ``claims`` are used.

    Returns
    -------
    dict
        Values of JSON; what is not known or not bounded is None.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "grokscope": grokscope.__version__,
        "studies": [
            {
                "study": name,
                "kind": study["kind"],
                "claims": study["claims"],
                "verdicts": _rows(select(claims, study=name).drop(columns="study")),
            }
            for name, study in studies.items()
            if study.get("claims")
        ],
    }


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    # By pandas' own writer, which knows its nulls; 15 digits are what it has at most.
    text = table.to_json(orient="records", double_precision=15)
    return cast(list[dict[str, Any]], json.loads(text))
