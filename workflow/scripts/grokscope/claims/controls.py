"""Controls: what the spikes, layers and ranks of GAI4-GAI6 are compared with.

Input: arrays and tables of the runs that a claim is about. Output: permutation tests, and the
runs without onset that are nearest to those with one.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from grokscope.data.parts import EMBEDDINGS, has_order, layer_order
from grokscope.evaluate.statistics import p_value
from grokscope.measure.detectors.registry import COMBINED, GAI
from grokscope.runs.spec import cell_columns, key_columns

Array = NDArray[np.float64]


def permuted_correlation(x: Array, y: Array, resamples: int, seed: int) -> float:
    """One-sided p-value of a positive Pearson r: runs' final metrics permuted.

    Exact where there are no more than `resamples` permutations. Arrays of shape ``(n_runs,)``.
    """

    def correlation(values: Array, axis: int) -> Array:
        centred = values - values.mean(axis=axis, keepdims=True)
        return np.asarray((centred * (y - y.mean())).sum(axis=axis))

    # Takes a second to import, and few jobs judge.
    from scipy import stats

    result = stats.permutation_test(
        (x,),
        correlation,
        permutation_type="pairings",
        alternative="greater",
        n_resamples=resamples,
        vectorized=True,
        batch=10_000,
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def layer_alarms(alarms: pd.DataFrame, events: pd.DataFrame) -> Array:
    """Steps of the first alarm of each layer before onset, NaN without one.

    Shape ``(n_events, n_layers)``, the first layer first. Groups of parameters that only the logs
    of imported runs name have no such order, and are left out.
    """
    key = key_columns(events.columns)
    events = events.assign(event=np.arange(len(events)))
    fired = alarms[alarms["detector"] == GAI]
    fired = fired.merge(events[[*key, "event", "test_onset_step"]], on=key)
    before = (fired["step"] < fired["test_onset_step"]).to_numpy(bool)
    fired = fired[before & ~fired["layer"].isin([COMBINED, *EMBEDDINGS]).to_numpy()]
    # Named groups of logs and of users' networks have no order.
    fired = fired[[has_order(layer) for layer in fired["layer"]]]
    layers = sorted(fired["layer"].unique(), key=layer_order)
    found = np.full((len(events), len(layers)), np.inf)
    place = fired["event"].to_numpy(np.int64), fired["layer"].map(layers.index).to_numpy(np.int64)
    np.minimum.at(found, place, fired["step"].to_numpy(np.float64))
    return np.where(np.isinf(found), np.nan, found)


def order_score(steps: Array) -> Array:
    """Kendall's tau-b of layers 1, 2, ... and the steps of their first alarms.

    Parameters
    ----------
    steps
        Shape ``(..., n_layers)``, without NaN.

    Returns
    -------
    ndarray
        Shape ``(...)``; negative if later layers come first, NaN if all come at once.

    References
    ----------
    Kendall 1945, "The treatment of ties in ranking problems", Biometrika 33.
    """
    n_layers = steps.shape[-1]
    one, other = np.triu_indices(n_layers, 1)
    signs = np.sign(steps[..., other] - steps[..., one])
    pairs = len(one)
    with np.errstate(invalid="ignore"):
        # Layers are never tied with each other, steps may be.
        scale = np.sqrt(pairs * np.abs(signs).sum(axis=-1))
        return np.asarray(signs.sum(axis=-1) / scale)


def permuted_order(table: Array, surrogates: int, seed: int) -> tuple[Array, float | None]:
    """tau of each event, and the p-value of their mean when each event's layers are permuted.

    Parameters
    ----------
    table
        Steps of first alarms, shape ``(n_events, n_layers)``; NaN without alarm.

    Returns
    -------
    taus
        Of the events with two layers that alarm at different steps, shape ``(<= n_events,)``.
    p
        One-sided, for the last layer coming first (tau < 0); None without such an event.
    """
    rng, null = np.random.default_rng(seed), np.zeros(surrogates)
    taus: list[float] = []
    for row in table:
        steps = row[~np.isnan(row)]
        if len(np.unique(steps)) < 2:
            continue
        taus.append(float(order_score(steps)))
        null += order_score(rng.permuted(np.tile(steps, (surrogates, 1)), axis=1))
    if not taus:
        return np.empty(0), None
    # The sum orders surrogates as the mean does.
    return np.array(taus), p_value(-sum(taus), -null)


def rank_controls(events: pd.DataFrame, matched: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Matched drops to compare those of events with, and where they come from, in words.

    Runs of the events' own cells that never generalise; without any, those of the same task,
    whatever their depth.
    """
    for names, words in (
        (cell_columns(events.columns), "of the same cells"),
        (["task", "depth"], "of the same tasks and depths"),
        (["task"], "of the same tasks, other depths included, as there are none nearer"),
    ):
        near = matched.merge(events[names].drop_duplicates(), on=names)
        if len(near):
            return near, words
    return matched.head(0), "of the same tasks: there are none"
