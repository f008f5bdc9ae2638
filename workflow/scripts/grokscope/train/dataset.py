"""Data sets: the samples of a run and their split into a training and a test set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grokscope.runs.spec import RunSpec
from grokscope.runs.tasks import TASKS, Samples, n_train, parameters_of


@dataclass(frozen=True)
class Dataset:
    """Samples of one run and its split: indices of training and test samples."""

    samples: Samples
    train: NDArray[np.int64]
    test: NDArray[np.int64]


def make_dataset(spec: RunSpec) -> Dataset:
    """Samples and split of a run, by the published recipe (Du & Ji 2026).

    ``RandomState(data_seed)`` draws the samples (if they are random), then one permutation of
    them; the first ``int(n * train_fraction)`` train, the others test.
    """
    task = TASKS[spec.task]
    rng = np.random.RandomState(spec.data_seed)
    samples = task.draw(rng, **parameters_of(spec, task))
    size = task.size(**parameters_of(spec, task))
    order = rng.permutation(size).astype(np.int64)
    split = n_train(size, spec.train_fraction)
    return Dataset(samples, order[:split], order[split:])
