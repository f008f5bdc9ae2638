"""Evidence: the tables of one study that its claims are judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from grokscope.claims.samples import Samples
from grokscope.runs.settings import Analysis
from grokscope.runs.spec import key_columns

# Of the runs, what tells those that a claim is about from others, and how they ended.
FACTS = ("max_steps", "n_train", "n_test", "final_test_metric")


@dataclass(frozen=True)
class Evidence:
    """The tables that claims are judged by, each of the same one study.

    Attributes
    ----------
    samples
        Its runs under every analysis choice; None for a kind of study without variants.
    analysis
        Used are ``evaluation`` and ``phases.gap``.
    p_holm
        Adjusted p-values of the study's other claims, by id; for a claim about them all.
    """

    runs: pd.DataFrame
    transitions: pd.DataFrame
    alarms: pd.DataFrame
    rank: pd.DataFrame
    phases: pd.DataFrame
    samples: Samples | None
    analysis: Analysis
    p_holm: Mapping[str, float] = field(default_factory=dict)

    @property
    def alpha(self) -> float:
        """Level below which a p-value counts."""
        return self.analysis.evaluation.alpha

    @property
    def confidence(self) -> float:
        """Confidence of the intervals."""
        return self.analysis.evaluation.confidence

    def of(self, table: str) -> pd.DataFrame:
        """A table of the study, with the sizes and final metrics of its runs."""
        frame: pd.DataFrame = getattr(self, table)
        key = key_columns(self.runs.columns)
        return frame.merge(self.runs[[*key, *FACTS]], on=key, validate="many_to_one")
