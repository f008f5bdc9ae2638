"""Samples: the runs of a study under each combination of analysis choices.

Input: the tables ``variants`` (:mod:`grokscope.measure.variants`), ``transitions`` and ``runs`` of
one study. Output: what :mod:`grokscope.claims.measures` measures. The configured choice is one of
those of ``variants``; the claims are judged under it.

What comes of alarms is counted by the functions that make the tables ``evaluation`` and
``chance``, with the same surrogates: where a claim is about all runs of the study, it has their
numbers.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from grokscope.claims.measures import NULL, Chance, Measure, Sample
from grokscope.evaluate import nulls
from grokscope.evaluate.chance_table import chance_rows
from grokscope.evaluate.matching import AtRisk, alarms_of, floats
from grokscope.evaluate.study import Study, first_steps
from grokscope.evaluate.tables import within
from grokscope.evaluate.thresholds import Policy, Subject
from grokscope.measure.detectors.registry import COMBINED, GAI
from grokscope.measure.variants import configured, parse_steps
from grokscope.runs.settings import Analysis
from grokscope.runs.spec import key_columns

ALARM_CHOICES = ["smoothing", "sigma", "sign", "norm", "window", "beta2", "onset_threshold"]
"""Choices that a number made of alarms depends on."""
RANK_CHOICES = ["beta2", "onset_threshold"]
"""Those of them that a number made of ranks depends on, besides the measure."""
CHOICES = [*ALARM_CHOICES, "rank_measure"]

Choice = dict[str, Hashable]


def default_choices(analysis: Analysis) -> Choice:
    """The choice of each kind that the claims are judged under; of beta2, all pooled."""
    return configured(analysis.alarms)._asdict() | {
        "onset_threshold": analysis.onset.event_threshold,
        "rank_measure": "effective",
    }


def plain_rows(
    variants: pd.DataFrame, transitions: pd.DataFrame, runs: pd.DataFrame
) -> pd.DataFrame:
    """Variants with what is known of each run besides, sorted by the runs' key.

    ``test_onset_step`` is the variant's own onset. Columns are NumPy's, with NaN for null, and
    categories for words: rows are chosen hundreds of times, which takes pandas' own types ten
    times as long.
    """
    key = key_columns(runs.columns)
    facts = runs[[*key, "max_steps", "n_train", "n_test", "final_test_metric"]].merge(
        transitions[[*key, "train_onset_step", "last_step"]], on=key, validate="one_to_one"
    )
    frame = variants.merge(facts, on=key, validate="many_to_one")
    frame = frame.assign(test_onset_step=frame["onset"]).sort_values(key, ignore_index=True)
    return pd.DataFrame({name: _plain(column) for name, column in frame.items()})


def _plain(column: pd.Series) -> pd.Series | NDArray[Any]:
    if isinstance(column.dtype, pd.StringDtype):
        return column.astype("category")
    if pd.api.types.is_bool_dtype(column):
        return column.to_numpy(bool)
    if pd.api.types.is_integer_dtype(column) and column.notna().all():
        return column.to_numpy(np.int64)
    return floats(column)


def outcomes(
    rows: pd.DataFrame, analysis: Analysis, family: int, models: Iterable[str] = (NULL,)
) -> Sample:
    """What comes of the alarms of held-out runs, and what null models would reach.

    Parameters
    ----------
    rows
        Of :func:`plain_rows`, one per run, in their order.
    family
        See :class:`grokscope.claims.measures.Sample`.
    models
        Null models to set the alarms against.
    """
    settings = analysis.evaluation
    if rows.empty:
        return Sample(rows, settings, family)
    study = Study(rows, analysis)
    cohort, held_out = study.cohort.take(study.held_out), study.runs.iloc[study.held_out]
    first = first_steps(held_out["warm_up"].to_numpy(np.float64), cohort)
    alarms = held_out["alarms"].astype(object).fillna("")
    policy = Policy(
        subject=Subject(GAI, COMBINED, False),
        threshold=float(analysis.alarms.threshold),
        source="published",
        tasks=[("every", settings.lead_window)],
        alarms=alarms_of([parse_steps(text) for text in alarms]),
        grid=nulls.Grid(1, first),
    )
    pooled = [of for of in within(study.scopes, study.held_out) if of.task is None]
    chance = {
        (row["null_model"], row["depth"], row["score"]): Chance(
            row["null_mean"], row["p"], row["p_best"], row["events_needed"]
        )
        for row in chance_rows(study, policy, study.held_out, pooled, tuple(models))
        if row["p"] is not None
    }
    fired = AtRisk(policy.alarms, cohort)
    verdict, start = fired.judge(*policy.tasks[0]), fired.first[0]
    counted = held_out.assign(
        first_lead=np.where(cohort.event & np.isfinite(start), cohort.onset - start, np.nan),
        n_alarms=fired.counts[0],
        n_judged=verdict.judged[0],
        n_hits=verdict.hits[0].astype(np.int64),
    )
    return Sample(counted, settings, family, chance, fired)


class Samples:
    """The samples of a study, each made once.

    Parameters
    ----------
    variants, transitions, runs
        Tables of these names, of one study.
    analysis
        Used are ``evaluation``, ``phases``, ``alarms``, ``detectors`` and ``onset``.
    family
        See :class:`grokscope.claims.measures.Sample`.
    """

    def __init__(
        self,
        variants: pd.DataFrame,
        transitions: pd.DataFrame,
        runs: pd.DataFrame,
        analysis: Analysis,
        family: int,
    ) -> None:
        self.rows = plain_rows(variants, transitions, runs)
        self.analysis, self.family = analysis, family
        self.default = default_choices(analysis)
        self._made: dict[tuple[Any, ...], Sample] = {}

    def configured(self, measure: Measure, rows: pd.DataFrame) -> Sample:
        """The sample of a measure that its claim is judged by.

        Parameters
        ----------
        rows
            Those of :attr:`rows` that are of the runs the claim is about.
        """
        names = [name for name in self.default if name != "rank_measure"]
        same = [(rows[name] == self.default[name]).to_numpy(bool) for name in names]
        return self._sample(measure, rows[np.all(same, axis=0)], nulls.MODELS)

    def each(self, measure: Measure, rows: pd.DataFrame) -> Iterator[tuple[Choice, Sample, bool]]:
        """Every choice that a measure depends on, its sample, and whether it is the configured.

        Where runs have several beta2, each is a choice, and so is to pool them (null), which is
        what claims do.
        """
        names = RANK_CHOICES if measure.ranks else ALARM_CHOICES
        others = [name for name in names if name != "beta2"]
        if measure.ranks:  # the same under every choice that alarms are made by
            rows = rows.drop_duplicates([*key_columns(rows.columns), *names])
        for values, group in rows.groupby(others, sort=False):
            choice: Choice = dict(zip(others, values, strict=True))
            default = all(self.default[name] == value for name, value in choice.items())
            betas = sorted(group["beta2"].dropna().unique())
            # Optimisers without a second beta are pooled with the others, or alone.
            pooled = betas[0] if len(group["beta2"].unique()) == 1 and betas else None
            yield choice | {"beta2": pooled}, self._sample(measure, group), default
            for beta2 in betas if pooled is None else ():
                part = group[group["beta2"] == beta2]
                yield choice | {"beta2": beta2}, self._sample(measure, part), False

    def _sample(
        self, measure: Measure, rows: pd.DataFrame, models: tuple[str, ...] = (NULL,)
    ) -> Sample:
        if not measure.held_out:
            return Sample(rows, self.analysis.evaluation, self.family)
        # Measures share the outcomes of the same rows: of all that is made here they cost most.
        place = (rows.index.to_numpy().tobytes(), models)
        if place not in self._made:
            self._made[place] = outcomes(rows, self.analysis, self.family, models)
        return self._made[place]
