"""Layout: which parameters distinguish the runs of a table, for figures and report tables.

What a grid varies decides how its runs are laid out: a map has its first two varying parameters
as axes and the others as panels.
"""

from __future__ import annotations

import pandas as pd

from grokscope.runs.names import NETWORK

# The order in which parameters are taken as axes.
ORDER = (
    "train_fraction",
    "weight_decay",
    "learning_rate",
    "width",
    "depth",
    "p",
    "betas",
    *NETWORK,
    "second_learning_rate",
    "condition",
    "samples",
    "encoding",
    "embedding_dim",
    "data_seed",
    "init_seed",
    "task",
)
_WORDS = {
    "p": "modulus p",
    "width": "width (hidden units)",
    "samples": "samples of data",
    "betas": "AdamW betas",
    "embedding_dim": "embedding dimensions",
    "data_seed": "seed of the data",
    "init_seed": "seed of the initial weights",
}


def varying(table: pd.DataFrame) -> list[str]:
    """Key columns, other than study and seed, with more than one value (null is one), in order."""
    present = [name for name in ORDER if name in table.columns]
    return [name for name in present if len(table[name].unique()) > 1]


def axis_words(name: str) -> str:
    """A parameter as the label of an axis."""
    return _WORDS.get(name, name.replace("_", " "))
