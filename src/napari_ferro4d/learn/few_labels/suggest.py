"""Which probe positions to label next.

References
----------
Hardy et al. (2025), arXiv:2510.00693, Algorithm 1, for sampling at boundaries.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .spatial import Grid

Array = npt.NDArray[np.float64]

OWN = 0.02
"""Weight of a position against its edges, where what a label tells is spread: about 14 positions."""

CUT_OFF = 0.3
"""Exponent by which positions that are cut off from others count less: a label there tells nothing
of the rest."""

FLOOR = 0.003
"""Doubt left where the model is sure."""

FIRST_SPACE = 0.5
"""Of the first grid: weight of the distance on the scan against that of the patterns."""


def most_informative(
    probability: Array, grid: Grid, labelled: npt.NDArray[np.bool_], budget: int
) -> list[tuple[int, int]]:
    """Return where a label would take away most doubt, best first.

    The doubt of a position is one minus the probability of its class. A label takes away that of
    its own position and, along the grid and up to where it changes abruptly, that of the
    neighbours.
    """
    doubt = 1 - probability.max(axis=-1) + FLOOR
    doubt[labelled] = 0
    alone = grid.own_answer(OWN) ** CUT_OFF
    found: list[tuple[int, int]] = []
    taken = labelled.copy()
    while len(found) < budget and not taken.all():
        worth = grid.solve(OWN, doubt) / alone
        worth[taken] = -1
        best = np.unravel_index(int(worth.argmax()), worth.shape)
        place = int(best[0]), int(best[1])
        found.append(place)
        taken[place] = True
        one = np.zeros(doubt.shape)
        one[place] = 1
        told = grid.solve(OWN, one)
        doubt = doubt * (1 - np.clip(told / told[place], 0, 1))
    return found


def first_grid(
    features: Array, there: npt.NDArray[np.bool_], budget: int, seed: int
) -> list[tuple[int, int]]:
    """Return positions that stand for the kinds of patterns and for the parts of the scan.

    Positions are clustered by features and place together; of each cluster the middlemost is
    taken, the largest first.
    """
    from sklearn.cluster import MiniBatchKMeans

    positions = np.argwhere(there)
    spacing = np.sqrt(len(positions) / budget)
    points = np.concatenate([features[there], FIRST_SPACE * positions / spacing], axis=1)
    some = points[:: -(-len(points) // 8192)]
    clusters = MiniBatchKMeans(budget, n_init=3, batch_size=2048, random_state=seed).fit(some)
    middle = [int(((points - c) ** 2).sum(axis=1).argmin()) for c in clusters.cluster_centers_]
    size = np.bincount(clusters.labels_, minlength=budget)
    order = dict.fromkeys(middle[i] for i in np.argsort(-size, kind="stable"))
    return [(int(positions[i, 0]), int(positions[i, 1])) for i in order]
