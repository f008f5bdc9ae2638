"""Specifications of small networks that automatic differentiation trains."""

from grokscope.runs.recipes import TRANSFORMER
from grokscope.runs.spec import RunSpec
from synthetic import make_spec

NANDA = {
    "heads": 2,
    "mlp_ratio": 2.0,
    "layer_norm": "without",
    "activation": "relu",
    "biases": "mlp",
    "initialisation": "sqrt_width",
    "tied": False,
    "equals_token": True,
    "positions": True,
    "causal": True,
    "pooling": "last",
}
assert set(NANDA) == set(TRANSFORMER)


def spec_of(**overrides) -> RunSpec:
    """A run of a transformer with one block, p = 7; other models without its settings."""
    model = overrides.get("model", "transformer")
    values = {
        "model": model,
        "p": 7,
        "width": 8,
        "depth": 1,
        "train_fraction": "0.6",
        "learning_rate": 1e-2,
        "steps": 50,
        "test_every": 5,
        "rank_every": 25,
        "encoding": "one_hot" if model == "mlp" else "tokens",
    }
    return make_spec(**values | (NANDA if model == "transformer" else {}) | overrides)
