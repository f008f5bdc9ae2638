"""Mini-batches: which samples each update sees, told by the run's seed and the update alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Batches:
    """Batches of an epoch in an order of its own; the last of an epoch may be smaller.

    Nothing is carried from one batch to the next, so a resumed training sees the same ones.

    Parameters
    ----------
    n, size
        Samples, and those of a batch.
    seed
        Of the run.
    """

    def __init__(self, n: int, size: int, seed: int) -> None:
        self._n, self._size, self._seed = n, min(size, n), seed
        self._per_epoch = -(-n // self._size)
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def of_update(self, number: int) -> NDArray[np.int64]:
        """Places of the samples that an update sees; the first update has the number 1."""
        epoch, place = divmod(number - 1, self._per_epoch)
        if epoch != self._epoch:
            # Not the seed alone, which drew the data.
            order = np.random.RandomState([self._seed, epoch, 1]).permutation(self._n)
            self._epoch, self._order = epoch, order.astype(np.int64)
        return self._order[place * self._size : (place + 1) * self._size]
