"""What labels say that a model has not seen, nor any label near them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FOLDS = 5
"""One fifth of the labels is held out at a time, as in the paper."""

LEAST_APART = 3.0
"""Probe positions: a label held out is never nearer to one trained on."""

ENOUGH = 25
"""Labels held out from which a figure is worth stating."""

ENOUGH_EFFECTIVE = 8.0
"""How many labels of equal area they have to be worth."""

ENOUGH_PER_CLASS = 2
"""Labels of every class held out: a class that is never tested has no figure."""

BINS = 5
"""Of the reliability diagram, by the probability given to the predicted class: of a few dozen
labels, more bins would mostly show chance."""

TOO_FEW = "too few labels apart from each other to tell: label more positions, spread over the scan"


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Labels, and what models said that saw neither them nor any label near them.

    Parameters
    ----------
    positions : ndarray
        ``[n, 2]``: y and x.
    labels, predicted : ndarray
        ``[n]`` class numbers.
    probability : ndarray
        float32 ``[n, class]``, at the temperature that suits these labels best.
    weights : ndarray
        ``[n]``: for how much of the map each label stands, see `areas`; their sum is how many
        labels of equal area tell as much.
    classes : tuple of int
        Class numbers.
    apart : float
        Probe positions between a label held out and the nearest one trained on.
    """

    positions: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    probability: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float64]
    classes: tuple[int, ...]
    apart: float

    @property
    def accuracy(self) -> float:
        """Share of the map predicted right, as the labels tell it."""
        return float(np.average(self.predicted == self.labels, weights=self.weights))

    @property
    def accuracy_range(self) -> tuple[float, float]:
        """Between which shares the true one lies, at 95 % confidence (Wilson, 1927)."""
        n, share = max(float(self.weights.sum()), 1.0), self.accuracy
        middle = (share + 1.92 / n) / (1 + 3.84 / n)
        half = 1.96 / (1 + 3.84 / n) * np.sqrt(share * (1 - share) / n + 0.96 / n**2)
        return max(0.0, float(middle - half)), min(1.0, float(middle + half))

    @property
    def balanced_accuracy(self) -> float:
        """Mean of that share over the classes."""
        right = self.predicted == self.labels
        each = [
            np.average(right[self.labels == c], weights=self.weights[self.labels == c])
            for c in self.classes
            if np.any(self.labels == c)
        ]
        return float(np.mean(each))

    @property
    def confusion(self) -> npt.NDArray[np.int64]:
        """Labels ``[class, class]``: rows by what they are, columns by what was predicted."""
        table = np.zeros((len(self.classes), len(self.classes)), np.int64)
        places = [np.searchsorted(self.classes, one) for one in (self.labels, self.predicted)]
        np.add.at(table, tuple(places), 1)
        return table

    @property
    def reliability(self) -> tuple[npt.NDArray[np.float64], ...]:
        """Mean probability of the predicted class, share that is right, and evidence, per bin.

        Bins without labels are left out.
        """
        sure = self.probability.max(axis=1).astype(np.float64)
        right = (self.predicted == self.labels).astype(np.float64)
        return reliability(sure, right, self.weights)

    @property
    def calibration_error(self) -> float:
        """Expected calibration error: mean distance of probability and share, by evidence."""
        sure, right, weight = self.reliability
        return float(np.average(np.abs(sure - right), weights=weight))


def reliability(
    sure: npt.NDArray[np.float64], right: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], ...]:
    """Return mean probability, share right and weight of equal bins of probability."""
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    weight = np.bincount(place, weights, BINS).astype(np.float64)
    there = weight > 0
    mean = np.bincount(place, weights * sure, BINS)[there] / weight[there]
    share = np.bincount(place, weights * right, BINS)[there] / weight[there]
    return mean, share, weight[there]


@dataclass(frozen=True, eq=False)
class Fold:
    """Labels to train on and labels to test with; those between are used for neither.

    Parameters
    ----------
    train, test : ndarray
        bool ``[n]``.
    """

    train: npt.NDArray[np.bool_]
    test: npt.NDArray[np.bool_]


def distance_apart(
    labels: npt.NDArray[np.int64], missing: npt.NDArray[np.bool_] | None = None
) -> float:
    """Return how far from the nearest label half of the unlabelled positions lie.

    As far as that a label held out is kept from those trained on: then it is about as hard to
    predict as the map is.
    """
    from scipy.ndimage import distance_transform_edt

    unlabelled = distance_transform_edt(labels == 0)[_open(labels, missing)]
    usual = float(np.median(unlabelled)) if unlabelled.size else LEAST_APART
    return float(max(LEAST_APART, min(usual, max(labels.shape) / 8)))


def _open(
    labels: npt.NDArray[np.int64], missing: npt.NDArray[np.bool_] | None
) -> npt.NDArray[np.bool_]:
    """Return which positions have a pattern and no label."""
    unlabelled: npt.NDArray[np.bool_] = labels == 0
    return unlabelled if missing is None else unlabelled & ~missing


def split(
    labels: npt.NDArray[np.int64], seed: int, missing: npt.NDArray[np.bool_] | None = None
) -> tuple[list[Fold], float]:
    """Deal the labels of ``[y, x]`` out to folds, in spatial blocks and apart by a distance.

    Blocks are as wide as the distance. A class of which fewer than two labels would be left to
    train on is not tested in that fold: all its labels are trained on, and those of other classes
    near them are not tested either.

    Returns
    -------
    folds : list of Fold
        Over the labelled positions in scan order; without those in which nothing can be tested.
    apart : float
        Least distance in probe positions.
    """
    from scipy.spatial import cKDTree

    positions = np.argwhere(labels > 0)
    targets = labels[labels > 0]
    apart = distance_apart(labels, missing)
    number = _blocks(positions, int(np.ceil(apart)), seed)
    folds = []
    for one in range(FOLDS):
        test = number == one
        if not test.any():
            continue
        far = cKDTree(positions[test]).query(positions, distance_upper_bound=apart)[0] > apart
        train = far & ~test
        for target in np.unique(targets):
            own = targets == target
            if int((train & own).sum()) < min(2, int(own.sum())):
                test &= ~own
                train |= own
        near = cKDTree(positions[train]).query(positions, distance_upper_bound=apart)[0] <= apart
        test &= ~near
        if test.any():
            folds.append(Fold(train, test))
    return folds, apart


def _blocks(positions: npt.NDArray[np.int64], side: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the fold of each position ``[n, 2]``; all of a block are in the same.

    Blocks with most labels first, each to the fold that has fewest so far.
    """
    _, which, counts = np.unique(positions // side, axis=0, return_inverse=True, return_counts=True)
    shuffled = np.random.default_rng(seed).permutation(len(counts))
    filled = np.zeros(FOLDS, np.int64)
    fold = np.empty(len(counts), np.int64)
    for number in shuffled[np.argsort(-counts[shuffled], kind="stable")]:
        fold[number] = filled.argmin()
        filled[fold[number]] += counts[number]
    return np.asarray(fold[which.ravel()])


def areas(
    labels: npt.NDArray[np.int64], missing: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.float64]:
    """Return for how many unlabelled positions each label ``[n]`` stands: it is the nearest.

    Labels crowd where a person or the sampler doubts, for instance along a wall. The share of
    *positions* that is right, which is what a figure is read as, counts each by its area.
    """
    from scipy.ndimage import distance_transform_edt

    nearest = distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    number = np.cumsum(labels > 0).reshape(labels.shape) - 1
    owner = number[tuple(nearest)][_open(labels, missing)]
    return np.bincount(owner, minlength=int(np.count_nonzero(labels))).astype(np.float64)


def effective(weights: npt.NDArray[np.float64]) -> float:
    """Return how many labels of equal weight tell as much (Kish, 1965)."""
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def why_too_few(labels: npt.NDArray[np.int64], pieces: float, classes: tuple[int, ...]) -> str:
    """Return why the tested labels ``[n]``, worth so many pieces of evidence, allow no figure.

    An empty text where they do.
    """
    scarce = any(np.count_nonzero(labels == c) < ENOUGH_PER_CLASS for c in classes)
    few = len(labels) < ENOUGH or pieces < ENOUGH_EFFECTIVE
    return TOO_FEW if few or scarce else ""
