"""Losses: what is minimised, and what is logged of outputs."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from grokscope.runs.spec import RunSpec


class Score(NamedTuple):
    """Sums over samples.

    Attributes
    ----------
    loss
        With a graph, where the outputs have one.
    metric
        Correct predictions; in regression the squared errors.
    collapse
        Samples whose gradient on the target's output is exactly zero (Prieto et al. 2025); NaN in
        regression.
    """

    loss: Tensor
    metric: Tensor
    collapse: Tensor


def score(spec: RunSpec, outputs: Tensor, targets: Tensor) -> Score:
    """Loss and metric of outputs ``(n, n_outputs)``, summed over the samples.

    Parameters
    ----------
    targets
        Classes ``(n,)`` int64, or numbers ``(n, n_outputs)``.

    Notes
    -----
    The squared error to one-hot targets is the mean over classes. A prediction is correct if the
    target's output is strictly the largest: a tie counts as wrong.
    """
    if targets.is_floating_point():
        squares = (outputs - targets).square()
        return Score(squares.sum(), squares.detach().sum(), outputs.new_full((), torch.nan))
    place = targets.unsqueeze(1)
    values = outputs.detach()
    of_target = values.gather(1, place)
    others = values.scatter(1, place, -torch.inf).amax(1, keepdim=True)
    correct = (of_target > others).sum()
    if spec.loss == "squared_error":
        hot = functional.one_hot(targets, outputs.shape[1]).to(outputs.dtype)
        loss = (outputs - hot).square().mean(1).sum()
        return Score(loss, correct, (of_target == 1).sum())
    wide = outputs.double() if spec.loss == "cross_entropy_float64" else outputs
    logs = wide.log_softmax(1).gather(1, place)
    return Score(-logs.sum(), correct, (logs.detach().exp() == 1).sum())
