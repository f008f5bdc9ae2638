"""Causes: what else happened when an alarm was raised.

Input: a trace, the steps of its alarms and the settings ``analysis.causes``. Output: one label per
alarm. Labels explain with hindsight, so they look both ways from an alarm; no detector uses them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grokscope.data.trace import Trace
from grokscope.measure.onsets import reached
from grokscope.runs.settings import CauseSettings

# In the order in which a cause is taken where several are visible.
CAUSES = ("memorisation", "loss_spike", "softmax_collapse", "none")


def loss_spikes(loss: ArrayLike, window: int, factor: float) -> NDArray[np.bool_]:
    """Steps at which the loss is above `factor` times its smallest value of the last steps.

    The slingshots of Thilakan et al. 2022 are such spikes.

    Parameters
    ----------
    loss
        Training loss, shape ``(n_steps,)``, not negative.
    window
        Steps before that are looked at.

    Returns
    -------
    ndarray
        Shape ``(n_steps,)``.
    """
    loss = np.asarray(loss, np.float64)
    # The filter's window of 2 w + 1 steps, moved to end at each step; ahead of the first is +inf.
    from scipy import ndimage  # a fifth of a second to import

    smallest = ndimage.minimum_filter1d(
        loss, window + 1, origin=window - (window + 1) // 2, mode="constant", cval=np.inf
    )
    return loss > factor * smallest


def alarm_causes(
    trace: Trace, steps: Sequence[int], memorised: int | None, settings: CauseSettings
) -> list[str]:
    """What is visible around each alarm of a run.

    ``memorisation``: the train onset is within ``window`` steps of the alarm. ``loss_spike``:
    a step of :func:`loss_spikes` is. ``softmax_collapse``: an evaluation is at which at least
    the share ``collapse_share`` of the training samples has no gradient on its class (Prieto et
    al. 2025). ``none``: nothing of these. The first that applies is taken.

    Parameters
    ----------
    steps
        Steps of the alarms.
    memorised
        Train onset (step), None if it was not reached.
    """
    if not steps:
        return []
    window = settings.window
    frame = trace.frame
    # Of an imported run only what its log has is visible.
    unknown = np.full(len(frame), np.nan)
    collapse, loss = (
        frame[name].to_numpy() if name in frame else unknown
        for name in ("softmax_collapse", "train_loss")
    )
    collapsed = reached(collapse, settings.collapse_share)
    spikes = loss_spikes(np.where(np.isnan(loss), np.inf, loss), window, settings.spike_factor)
    spikes &= np.isfinite(loss)
    visible = {
        "memorisation": np.array([] if memorised is None else [memorised]),
        "loss_spike": np.flatnonzero(spikes),
        "softmax_collapse": np.flatnonzero(collapsed),
    }
    labels = np.full(len(steps), "none", object)
    # The last ones first, so that the first of the list overwrites them.
    for name in reversed(visible):
        labels[_near(np.asarray(steps), visible[name], window)] = name
    return labels.tolist()


def _near(steps: NDArray[np.int64], places: NDArray[np.int64], window: int) -> NDArray[np.bool_]:
    """Whether each step has one of the places, which ascend, within `window` steps."""
    first, beyond = (
        np.searchsorted(places, steps - window, side="left"),
        np.searchsorted(places, steps + window, side="right"),
    )
    return np.asarray(beyond > first)
