"""Classes of probe positions that lie together in the space of the channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Report, Steps
from napari_ferro4d.learn import active_channels

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

MOST_CLASSES = 8
"""Tried at most, where their number is left to the data."""

DIRECTIONS = 6
"""Principal components that are kept: a covariance in many more needs more positions than there
are, and distances in many more are all alike."""

FITTED = 5_000
"""Positions that a model is fitted to, at most; it then says the class of all."""

LEAST = 5
"""Positions in a dense region."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """Classes found in an embedding.

    Parameters
    ----------
    labels : ndarray
        uint16 ``[y, x]``: 1 for the largest class, 2, ...; 0 for none.
    probability : ndarray
        float32 ``[y, x]`` of belonging to that class, 0 where there is none.
    classes : int
        How many.
    """

    labels: npt.NDArray[np.uint16]
    probability: npt.NDArray[np.float32]
    classes: int


def cluster(
    channels: npt.ArrayLike,
    *,
    method: Literal["gaussian", "hdbscan"] = "gaussian",
    classes: int | None = None,
    seed: int = 0,
    report: Report | None = None,
) -> Clusters:
    """Divide the probe positions into classes, by the active channels of an embedding.

    Parameters
    ----------
    channels : array
        ``[channel, y, x]``; positions with NaN belong to no class. To leave channels out, give the
        others: those that only follow thickness or tilt, say, which would else be divided too.
    method : str
        ``"gaussian"``, a mixture of Gaussians; or ``"hdbscan"``, which looks for dense regions and
        leaves what lies between them without a class.
    classes : int, optional
        Of the mixture; by default as the Bayesian information criterion says, at most 8; see
        Notes. HDBSCAN finds their number itself.
    seed : int
        Of the random numbers; the same seed gives the same classes.
    report : callable, optional
        Receives a `Progress` per model that is fitted; may raise `Cancelled`.

    Returns
    -------
    Clusters
        The largest class is number 1.

    Raises
    ------
    ScanError
        If the channels are no stack of maps or hold nothing to divide, or an option is unknown.

    Notes
    -----
    Active channels are brought to mean 0 and variance 1 and, if there are more than six, to their
    first six principal components. Models are fitted to at most 5,000 positions, drawn at random.
    The number of classes is that of least information criterion, if more classes than that make it
    worse. What varies smoothly is no cluster, but a mixture of several Gaussians all the same: the
    criterion then falls on, up to 7 or 8, and the number is that of its elbow, where it lies lowest
    below the straight line from 1 to 8 classes. Merge classes, or say how many there are.

    Examples
    --------
    >>> y, x = np.indices((32, 32))
    >>> noise = np.random.default_rng(0).normal(0, 0.1, (2, 32, 32))
    >>> found = cluster(noise + [x > 11, y > 15])
    >>> found.classes, int(found.labels[0, 31] == found.labels[15, 12])
    (4, 1)
    """
    stack = np.asarray(channels, np.float32)
    if stack.ndim != 3 or 0 in stack.shape:
        raise ScanError(f"channels have shape {stack.shape}; a stack of maps is [channel, y, x].")
    if method not in ("gaussian", "hdbscan"):
        raise ScanError(f"the method is gaussian or hdbscan, not {method!r}.")
    if classes is not None and method == "hdbscan":
        raise ScanError("hdbscan finds the number of classes itself; leave it out.")
    known: Bools = np.asarray(np.isfinite(stack).all(axis=0))
    points = _directions(stack, known)
    if classes is not None and not 1 <= classes <= len(points):
        raise ScanError(
            f"{classes} classes are not possible for {len(points)} probe positions; ask for 1 or "
            "more."
        )
    if method == "gaussian":
        number, probability = _gaussian(points, classes, seed, report)
    else:
        number, probability = _hdbscan(points, seed, report)
    return _numbered(known, number, probability)


def _directions(stack: npt.NDArray[np.float32], known: Bools) -> Floats:
    """Return float64 ``[position, direction]``: what the active channels say of each position."""
    active = active_channels(np.where(known, stack, np.nan)) if known.any() else ()
    points = stack[list(active)][:, known].T.astype(np.float64)
    if points.size == 0 or len(points) < 2:
        raise ScanError("the channels are constant or not known: there is nothing to divide.")
    points = (points - points.mean(axis=0)) / points.std(axis=0)
    if points.shape[1] <= DIRECTIONS:
        return np.asarray(points)
    _, vectors = np.linalg.eigh(points.T @ points)
    return np.asarray(points @ vectors[:, : -DIRECTIONS - 1 : -1])


def _gaussian(
    points: Floats, classes: int | None, seed: int, report: Report | None
) -> tuple[npt.NDArray[np.intp], Floats]:
    from sklearn.mixture import GaussianMixture

    some = points[_drawn(len(points), seed)]
    # Ten positions at least for every number that describes a Gaussian.
    most = len(some) // (10 * (some.shape[1] + 1) * (some.shape[1] + 2) // 2)
    tried = range(1, min(MOST_CLASSES, max(1, most)) + 1) if classes is None else (classes,)
    steps = Steps(report, len(tried), "fitting classes")
    models = []
    for n in tried:
        models.append(
            GaussianMixture(n, random_state=seed, reg_covar=1e-4, max_iter=1000).fit(some)
        )
        steps.add()
    best = models[_chosen(np.array([model.bic(some) for model in models]))]
    share = best.predict_proba(points)
    return share.argmax(axis=1), share.max(axis=1)


def _chosen(criterion: Floats) -> int:
    """Return which of the models with 1, 2, ... classes to take.

    Examples
    --------
    >>> _chosen(np.array([9.0, 4.0, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5]))
    2
    >>> _chosen(np.array([9.0, 4.0, 3.0, 2.5, 2.0, 1.5, 1.0, 0.5]))
    1
    """
    least = int(criterion.argmin())
    if least < MOST_CLASSES - 2:
        return least
    fallen = (criterion - criterion[least]) / np.ptp(criterion)
    return int((fallen + np.linspace(0, 1, len(fallen))).argmin())


def _hdbscan(
    points: Floats, seed: int, report: Report | None
) -> tuple[npt.NDArray[np.intp], Floats]:
    from scipy.spatial import KDTree
    from sklearn.cluster import HDBSCAN

    steps = Steps(report, 1, "looking for dense regions")
    if len(points) < LEAST:
        raise ScanError(
            f"hdbscan needs {LEAST} probe positions or more, not {len(points)}; choose gaussian."
        )
    some = points[_drawn(len(points), seed)]
    found = HDBSCAN(min_cluster_size=max(LEAST, len(some) // 100), copy=True).fit(some)
    # A position that was not drawn is what the nearest one is that was.
    _, nearest = KDTree(some).query(points)
    steps.add()
    return found.labels_[nearest], found.probabilities_[nearest]


def _drawn(count: int, seed: int) -> npt.NDArray[np.intp]:
    if count <= FITTED:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, FITTED, replace=False))


def _numbered(known: Bools, number: npt.NDArray[np.intp], probability: Floats) -> Clusters:
    found, sizes = np.unique(number[number >= 0], return_counts=True)
    order = found[np.argsort(-sizes, kind="stable")]
    new = np.zeros(int(number.max(initial=-1)) + 2, np.uint16)  # the last is for -1, no class
    new[order] = np.arange(1, len(order) + 1)
    labels = np.zeros(known.shape, np.uint16)
    labels[known] = new[number]
    shown = np.zeros(known.shape, np.float32)
    shown[known] = np.where(number >= 0, probability, 0.0)
    return Clusters(labels, shown, len(order))
