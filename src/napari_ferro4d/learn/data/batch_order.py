"""In which order the patterns are learnt. Knows no torch."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

BANDS = 16
"""Equal parts of all patterns in a row, from which every batch takes as many."""


def batches(total: int, size: int, seed: int, epoch: int) -> list[npt.NDArray[np.int64]]:
    """Return the numbers of the patterns in every batch of an epoch.

    The order depends on seed and epoch alone, so that a checkpoint needs no random state. Every
    batch takes as many from each of 16 bands, in random order within a band: it covers the scan,
    and processes that hold a part of the patterns each have as much to do.

    Examples
    --------
    >>> sorted(int(n) for batch in batches(40, 16, seed=0, epoch=3) for n in batch) == [*range(40)]
    True
    """
    rng = np.random.default_rng([seed, epoch])
    edges = [total * band // BANDS for band in range(BANDS + 1)]
    table = np.full((max(1, -(-total // BANDS)), BANDS), -1)
    for band, (begin, end) in enumerate(pairwise(edges)):
        table[: end - begin, band] = begin + rng.permutation(end - begin)
    order = table[table >= 0]
    return [order[i : i + size] for i in range(0, total, size)]


def seed_of(*numbers: int) -> int:
    """Return a seed for torch that differs for every series of `numbers`."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
