"""Which probe positions to label next.

References
----------
Hardy et al. (2025), arXiv:2510.00693, Algorithm 1, for sampling at boundaries.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .learner import Task, quick
from .novelty import distances, known_patterns
from .spatial import Grid

Array = npt.NDArray[np.float64]

OWN = 0.02
"""Weight of a position against its edges: what a label tells reaches about 7 positions far."""

CUT_OFF = 0.3
"""Exponent by which positions that are cut off from others count less: a label there tells nothing
of the rest."""

UNLIKE = 0.5
"""Doubt of a pattern twice as far from the labelled ones as is usual."""

ROUGH = 1e-4
"""Slack of the solutions: the best position is not told by their last digits."""

LEAST_GAIN = 0.5
"""Positions' worth of doubt that a label has to take away."""

FLOOR = 0.001
"""Doubt left where the model is sure."""

FIRST_SPACE = 0.5
"""Of the first grid: weight of the distance on the scan against that of the patterns."""


def doubts(task: Task, probability: Array) -> Array:
    """Return how much each position is doubted, ``[y, x]``.

    One minus the probability of its class; where the pattern is unlike all that is labelled, what
    the model says of it does not count.
    """
    assert task.alike is not None
    reference, reach = known_patterns(task.alike, task.labels > 0, probability, task.missing)
    novelty = distances(task.alike, reference) / reach
    return np.asarray(np.maximum(1 - probability.max(axis=-1), UNLIKE * np.clip(novelty - 1, 0, 1)))


def most_informative(
    doubt: Array,
    grid: Grid,
    labelled: npt.NDArray[np.bool_],
    budget: int,
    check: Callable[[], None] | None = None,
    least: float = LEAST_GAIN,
) -> list[tuple[int, int]]:
    """Return where a label would take away most doubt, best first.

    A label takes away the doubt of its own position and, along the grid and up to where it changes
    abruptly, that of the neighbours. Fewer positions than asked for are returned where one more
    label would settle less than `least` positions.
    """
    doubt = doubt + FLOOR
    doubt[labelled] = 0
    alone = grid.own_answer(OWN) ** CUT_OFF
    found: list[tuple[int, int]] = []
    taken = labelled.copy()
    while len(found) < budget and not taken.all():
        if check is not None:
            check()
        worth = grid.solve(OWN, doubt, slack=ROUGH) / alone
        worth[taken] = -1
        best = np.unravel_index(int(worth.argmax()), worth.shape)
        place = int(best[0]), int(best[1])
        taken[place] = True
        one = np.zeros(doubt.shape)
        one[place] = 1
        told = grid.solve(OWN, one, slack=ROUGH)
        told = np.clip(told / told[place], 0, 1)
        if float((doubt * told).sum()) < least:
            return found
        found.append(place)
        doubt = doubt * (1 - told)
    return found


def first_grid(
    features: Array,
    free: npt.NDArray[np.bool_],
    labelled: npt.NDArray[np.bool_],
    budget: int,
    seed: int,
) -> list[tuple[int, int]]:
    """Return positions that stand for the kinds of patterns and for the parts of the scan.

    Positions are clustered by features and place together; of each cluster the middlemost is
    taken: the largest first, or where there are labels those least like them.
    """
    from sklearn.cluster import MiniBatchKMeans

    positions = np.argwhere(free)
    budget = min(budget, len(positions))
    spacing = np.sqrt(len(positions) / budget)
    points = np.concatenate([features[free], FIRST_SPACE * positions / spacing], axis=1)
    some = points[:: -(-len(points) // 8192)]
    count = min(budget, len(some))
    clusters = MiniBatchKMeans(count, n_init=3, batch_size=2048, random_state=seed).fit(some)
    middle = [int(((points - c) ** 2).sum(axis=1).argmin()) for c in clusters.cluster_centers_]
    rank = np.bincount(clusters.labels_, minlength=count).astype(float)
    if labelled.any():
        known = features[labelled]
        rank = np.array(
            [((features[free][i] - known) ** 2).sum(axis=1).min() for i in middle], float
        )
    order = list(dict.fromkeys(middle[i] for i in np.argsort(-rank, kind="stable")))
    # Clusters may share their middlemost position: the farthest from all others follow.
    far = np.full(len(points), np.inf)
    for i in order:
        far = np.minimum(far, ((points - points[i]) ** 2).sum(axis=1))
    while len(order) < budget:
        far[order] = -1
        order.append(int(far.argmax()))
        far = np.minimum(far, ((points - points[order[-1]]) ** 2).sum(axis=1))
    return [(int(positions[i, 0]), int(positions[i, 1])) for i in order]


def at_random(free: npt.NDArray[np.bool_], budget: int, seed: int) -> list[tuple[int, int]]:
    """Return positions drawn evenly."""
    positions = np.random.default_rng(seed).permutation(np.argwhere(free))[:budget]
    return [(int(y), int(x)) for y, x in positions]


def at_boundaries(
    task: Task, step: float, budget: int, *, iterated: bool
) -> tuple[list[tuple[int, int]], str]:
    """Return positions halfway between labels of different classes, and what is to be said of it.

    Of each label the nearest of another class counts, up to sqrt(2) times `step` away; of these
    pairs the widest first. Iterated, the class of a position found is what the model says, and it
    is halved again from there, so that positions close in on the boundary. Where no more are to be
    found, those of which the model is least sure follow.
    """
    classes = np.array(task.classes)
    labels = task.labels.copy()
    closed = labels > 0
    if task.missing is not None:
        closed |= task.missing
    fitted = quick(task)
    probability = fitted.usual
    found: list[tuple[int, int]] = []
    message = ""
    reach, widest = np.sqrt(2) * step, float(np.hypot(*labels.shape))
    while len(found) < budget:
        new = _halfway(labels, closed, reach)[: budget - len(found)]
        if not new and not found and reach < widest:
            reach *= 2
            message = (
                f"no labels of different classes were within sqrt(2) x {step:g} positions; those "
                f"up to {reach:.3g} apart were taken."
            )
            continue
        found += new
        for place in new:
            closed[place] = True
            if iterated:
                labels[place] = classes[probability[place].argmax()]
        if not new or not iterated:
            break
    if len(found) < budget:
        missing = budget - len(found)
        doubt = doubts(task, probability)
        rest = most_informative(doubt, fitted.grid, closed, missing, least=0.0)
        message = (
            f"between labels of different classes there were only {len(found)} positions; the "
            "others are those of which the model is least sure."
        )
        found += rest
    return found, message


def _halfway(
    labels: npt.NDArray[np.int64], closed: npt.NDArray[np.bool_], reach: float
) -> list[tuple[int, int]]:
    from scipy.spatial import cKDTree

    positions = np.argwhere(labels > 0)
    numbers = labels[labels > 0]
    pairs: dict[tuple[int, int], float] = {}
    for number in np.unique(numbers):
        own, others = positions[numbers == number], positions[numbers != number]
        far, which = cKDTree(others).query(own, distance_upper_bound=reach * (1 + 1e-9))
        for place, distance, other in zip(own, far, which, strict=True):
            if np.isfinite(distance):
                middle = (place + others[other]) // 2
                pairs.setdefault((int(middle[0]), int(middle[1])), float(distance))
    open_pairs = [place for place in pairs if not closed[place]]
    return sorted(open_pairs, key=lambda place: -pairs[place])
