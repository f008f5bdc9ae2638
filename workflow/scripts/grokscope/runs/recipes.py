"""Recipes: which settings of a network and its training a run uses.

A setting that a run does not use is null in its specification, so that changing it trains nothing
again and its values give one run, not several.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grokscope.runs.spec import RunSpec

TRANSFORMER = (
    "heads",
    "mlp_ratio",
    "layer_norm",
    "activation",
    "biases",
    "initialisation",
    "tied",
    "equals_token",
    "positions",
    "causal",
    "pooling",
)
# Encoding of a pair of symbols that enters the network as it is: a sequence of tokens.
TOKENS = "tokens"
ADAPTIVE = ("adamw", "adam", "muon")


def used_settings(setting: Mapping[str, Any], symbolic: bool) -> dict[str, Any]:
    """Values of the variable settings that are the run's own, the others null or usual.

    Parameters
    ----------
    setting
        Value of each of :data:`grokscope.runs.names.VARIABLE` in the configuration.
    symbolic
        Whether the task's inputs are symbols.
    """
    used = dict(setting)
    model, optimizer = used["model"], used["optimizer"]
    if not symbolic:
        # A scalar input has no symbols to encode, and no classes.
        used |= {"encoding": "scalar", "loss": "standard"}
    elif model != "mlp":
        used["encoding"] = TOKENS
    if used["encoding"] != "embedding":
        used["embedding_dim"] = None
    if model != "transformer":
        used |= dict.fromkeys(TRANSFORMER)
    if optimizer not in ADAPTIVE:
        used["betas"] = None
    if optimizer not in ("sgd", "muon"):
        used |= {"momentum": None, "nesterov": None}
    if optimizer != "muon":
        used["muon_learning_rate"] = None
    if used["gradient_filter"] == "without":
        used |= {"filter_decay": None, "filter_strength": None}
    return used


def by_hand(spec: RunSpec) -> bool:
    """Whether the engines with hand-derived gradients train the run.

    They know multilayer perceptrons by full-batch AdamW in float32 alone; automatic
    differentiation trains the others.
    """
    return (
        spec.model == "mlp"
        and spec.optimizer == "adamw"
        and spec.batch_size is None
        and spec.gradient_filter == "without"
        and spec.loss == "standard"
        and spec.schedule == "constant"
        and spec.warmup_steps == 0
        and spec.init_scale == 1
        and spec.dtype == "float32"
    )
