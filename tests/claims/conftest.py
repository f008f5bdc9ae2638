"""Chance that is set by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from grokscope.claims import samples


@pytest.fixture
def against(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets what the alarms are compared with: a p-value per null model, and its mean."""
    rows: list[dict[str, Any]] = []
    monkeypatch.setattr(samples, "chance_rows", lambda *_: rows)

    def add(
        p: dict[str, float],
        score: str = "precision",
        depth: int | None = None,
        *,
        p_best: float = 0.001,
        mean: float = 0.1,
    ) -> None:
        row = {"depth": depth, "score": score, "null_mean": mean}
        row |= {"p_best": p_best, "events_needed": 3}
        rows.extend(row | {"null_model": model, "p": value} for model, value in p.items())

    return add
