"""Checks: questions asked of the results, and the answers that are wrong.

Input: comparisons. Output: the content of ``validation.json``. A claim that fails is a result and
no problem here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

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

    def add(self, other: Check) -> None:
        """Take over what another check of the same question found."""
        self.n_checked += other.n_checked
        self.problems += other.problems


def close(one: Any, other: Any) -> Any:
    """Which numbers agree within a relative :data:`TOLERANCE`; NaN agrees with NaN."""
    return np.isclose(one, other, rtol=TOLERANCE, atol=1e-12, equal_nan=True)


def equal(one: pd.Series, other: pd.Series) -> np.ndarray:
    """Which rows of two columns agree, shape ``(n_rows,)``; nulls agree with nulls."""
    nulls = one.isna().to_numpy(), other.isna().to_numpy()
    if pd.api.types.is_float_dtype(one.dtype):
        a = one.to_numpy(dtype=float, na_value=np.nan)
        b = other.to_numpy(dtype=float, na_value=np.nan)
        return np.asarray(close(a, b))
    same = (one == other).fillna(False).to_numpy(bool)
    return np.asarray(same | (nulls[0] & nulls[1]))


def text_of(value: Any) -> str:
    """A value in a message."""
    return "null" if pd.isna(value) else str(value)


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
    """Problems of a ``validation.json``, one line each; empty if it is ok.

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
