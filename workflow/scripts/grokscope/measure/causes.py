"""Causes: what else happened when an alarm was raised.

Input: a trace, the steps of its alarms and the config section ``analysis.causes``. Output: a
label an alarm. Labels explain with hindsight, so they look both ways from an alarm; no detector
uses them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from grokscope.data.trace import Trace
from grokscope.measure.onsets import metric_onset, reached

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
    smallest = ndimage.minimum_filter1d(
        loss, window + 1, origin=window - (window + 1) // 2, mode="constant", cval=np.inf
    )
    return loss > factor * smallest


def alarm_causes(
    trace: Trace, steps: Sequence[int], onset: Mapping[str, Any], settings: Mapping[str, Any]
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
    onset
        ``train_threshold``, ``evaluations``.
    settings
        ``window``, ``spike_factor``, ``collapse_share``.
    """
    window = settings["window"]
    frame = trace.frame
    memorised = metric_onset(trace, "train", onset["train_threshold"], onset["evaluations"])
    collapsed = reached(frame["softmax_collapse"], settings["collapse_share"])
    spikes = loss_spikes(frame["train_loss"], window, settings["spike_factor"])
    visible = {
        "memorisation": np.array([] if memorised is None else [memorised]),
        "loss_spike": np.flatnonzero(spikes),
        "softmax_collapse": np.flatnonzero(collapsed),
    }
    labels = []
    for step in steps:
        seen = [name for name, at in visible.items() if (np.abs(at - step) <= window).any()]
        labels.append(seen[0] if seen else "none")
    return labels
