"""What all engines share: logged columns, interface, ranks of weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from grokscope.data.parts import Parts
from grokscope.data.trace import known_parts
from grokscope.runs.spec import RunSpec

ADAM_EPS = 1e-8
# Rows that an engine can hold before they are fetched.
MAX_ROWS = 100


class Columns:
    """Names of the logged columns and the places of each kind.

    Attributes
    ----------
    names : list of str
    layers : tuple of str
        Layers with norms.
    grad_norms, weight_norms, tested, ranks : slice
        The first two columns are train loss and metric. ``tested`` holds test loss, test
        metric and softmax collapse; ``ranks`` the matrices, each with the measures of
        :data:`grokscope.data.parts.RANK_MEASURES`, then the entropies of attention.
    """

    def __init__(self, spec: RunSpec, parts: Parts | None = None) -> None:
        parts = known_parts(spec, parts)
        self.layers = parts.layers
        n = len(self.layers)
        norms, others = parts.columns[: 2 * n], parts.columns[2 * n :]
        self.names = ["train_loss", "train_metric", *norms]
        self.names += ["test_loss", "test_metric", "softmax_collapse", *others]
        self.grad_norms = slice(2, 2 + n)
        self.weight_norms = slice(2 + n, 2 + 2 * n)
        self.tested = slice(2 + 2 * n, 5 + 2 * n)
        self.ranks = slice(5 + 2 * n, len(self.names))


class Engine(Protocol):
    """Trains R runs of one shape side by side and logs every state.

    Attributes
    ----------
    n_parameters : int
        Parameters of one run.
    """

    n_parameters: int

    def step(self, row: int, *, tested: bool, ranked: bool, update: bool) -> None:
        """Log the current state, then make one update.

        Parameters
        ----------
        row : int
            Place of the logged row, below :data:`MAX_ROWS`.
        tested
            Evaluate the test set, and count softmax collapse; else null.
        ranked
            Measure ranks; else null.
        update
            False for the last state.
        """

    def rows(self, n: int) -> NDArray[np.float32]:
        """The first `n` logged rows, shape ``(R, n, n_columns)``, NaN where not measured."""

    def keep(self, places: Sequence[int]) -> Engine:
        """An engine of these runs alone, in this order, in their current state."""

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Everything the next steps depend on besides the data, on the host.

        ``parameters`` ``(R, n_parameters)``, what the optimiser keeps (of AdamW by hand ``mean``
        and ``square``), each with a row per run, and ``updates``, the number made.
        """

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from a state, bit for bit like the engine that it was taken from."""


def select_runs(
    state: Mapping[str, NDArray[np.generic]], places: Sequence[int]
) -> dict[str, NDArray[np.generic]]:
    """The part of an :meth:`Engine.state` that belongs to some runs, in this order."""
    # The number of updates is the same for all.
    return {
        name: values if name == "updates" else values[list(places)]
        for name, values in state.items()
    }


def cut_rows(n: int, most: int) -> list[tuple[int, int]]:
    """First and last-plus-one row of tiles of nearly equal size, of at most `most` rows."""
    edges = np.linspace(0, n, -(-n // most) + 1).astype(int).tolist()
    return list(pairwise(edges))


def ranks_of(singular_values: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    """Effective, stable and numerical rank of matrices.

    Parameters
    ----------
    singular_values : (R, k)
        Descending; NaN for a matrix with a non-finite entry.
    tolerance : float
        Numerical rank counts the singular values above ``tolerance`` times the largest.

    Returns
    -------
    (3, R)
        Effective rank ``exp(-Σ p ln p)``, ``p = σ / Σσ`` (Roy & Vetterli 2007); stable rank
        ``||W||_F² / ||W||_2²``; numerical rank. NaN where the singular values are, and for
        effective and stable rank where W is zero.
    """
    sigma, largest = singular_values, singular_values[:, :1]
    with np.errstate(invalid="ignore"):
        share = sigma / sigma.sum(axis=1, keepdims=True)
        stable = np.square(sigma / largest).sum(axis=1)
    surprise = np.log(share, where=share > 0, out=np.zeros_like(share))
    effective = np.exp(-(share * surprise).sum(axis=1))
    numerical = np.where(
        np.isnan(largest[:, 0]), np.nan, (sigma > tolerance * largest).sum(axis=1)
    )
    return np.stack([effective, stable, numerical])


def weight_ranks(weight: NDArray[np.floating], tolerance: float) -> NDArray[np.float64]:
    """Ranks of matrices (R, m, n), see :func:`ranks_of`.

    In float64, so that what a library rounds otherwise does not show in a trace's float32.
    """
    finite = np.isfinite(weight).all(axis=(1, 2))
    wide = np.where(finite[:, None, None], weight, 0).astype(np.float64)
    sigma = np.linalg.svd(wide, compute_uv=False)
    return ranks_of(np.where(finite[:, None], sigma, np.nan), tolerance)
