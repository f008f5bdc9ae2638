"""Names of the settings that may tell runs apart, and what their values are."""

from __future__ import annotations

# Settings of the network and its training; what is usual is a perceptron by full-batch AdamW.
NETWORK = (
    "model",
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
    "init_scale",
    "optimizer",
    "momentum",
    "nesterov",
    "muon_learning_rate",
    "warmup_steps",
    "schedule",
    "batch_size",
    "gradient_filter",
    "filter_decay",
    "filter_strength",
    "loss",
    "dtype",
)
# Further training settings that a grid may vary. Those that a study's grids name are part of the
# identity of its runs: in the path and as key columns of its tables, between width and seed.
VARIABLE = (
    "p",
    "samples",
    "data_seed",
    "init_seed",
    "encoding",
    "embedding_dim",
    "learning_rate",
    "betas",
    *NETWORK,
)
# What else may tell imported runs apart; no grid can vary it.
LABELS = ("second_learning_rate", "condition")
# Key columns that only some studies have, in the order of paths and tables.
SETTINGS = (*VARIABLE, *LABELS)
# What their values are; whole numbers if none of these.
DECIMALS = (
    "learning_rate",
    "mlp_ratio",
    "init_scale",
    "momentum",
    "muon_learning_rate",
    "filter_decay",
    "filter_strength",
    "second_learning_rate",
)
TRUTHS = ("tied", "equals_token", "positions", "causal", "nesterov")
WORDS = (
    "encoding",
    "betas",
    "model",
    "layer_norm",
    "activation",
    "biases",
    "initialisation",
    "pooling",
    "optimizer",
    "schedule",
    "gradient_filter",
    "loss",
    "dtype",
    "condition",
)
