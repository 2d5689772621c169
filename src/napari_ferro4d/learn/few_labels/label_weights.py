"""How much labels tell: a brush stroke is one observation, and not one per position."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

REACH = 3.0
"""Positions over which labels of one class tell the same (standard deviation of a bell curve)."""


def evidence(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return how many independent observations each label is worth, ``[y, x]``, 0 to 1.

    A label far from all others of its class counts 1; of labels close together each counts as much
    less as there are more of them within `REACH`. So a stroke of 60 positions counts a few, and a
    painted area counts by its size in units of the reach.

    Examples
    --------
    >>> alone, stroke = np.zeros((40, 40), int), np.zeros((40, 40), int)
    >>> alone[5, 5] = 1
    >>> stroke[20, 10:30] = 1
    >>> float(evidence(alone).sum()), round(float(evidence(stroke).sum()), 1)
    (1.0, 3.1)
    """
    from scipy.ndimage import gaussian_filter

    weights = np.zeros(labels.shape)
    # So that a label alone finds exactly itself.
    alone = np.zeros([2 * int(4 * REACH) + 1] * 2)
    alone[tuple(n // 2 for n in alone.shape)] = 1
    unit = float(gaussian_filter(alone, REACH, mode="constant").max())
    for number in np.unique(labels[labels > 0]):
        here = labels == number
        near = gaussian_filter(here.astype(float), REACH, mode="constant") / unit
        weights[here] = 1 / np.maximum(near[here], 1)
    return weights
