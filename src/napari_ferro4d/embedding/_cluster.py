"""Classes of probe positions that lie together in the space of the channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_ferro4d.errors import ScanError
from napari_ferro4d.learn.structure import active_channels

__all__ = ["Clusters", "cluster"]

Floats = npt.NDArray[np.float64]

MOST_CLASSES = 12
"""Tried at most, where their number is left to the data."""

FITTED = 10_000
"""Positions that a model is fitted to, at most; it then says the class of all."""


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
) -> Clusters:
    """Divide the probe positions into classes, by the active channels of an embedding.

    Parameters
    ----------
    channels : array
        ``[channel, y, x]``; positions with NaN belong to no class. To leave a channel out, give
        the others: those that only follow the thickness, say.
    method : str
        ``"gaussian"``, a mixture of Gaussians; or ``"hdbscan"``, which looks for dense regions and
        leaves what lies between them without a class.
    classes : int, optional
        Of the mixture; by default the number of least Bayesian information criterion, at most 12.
        HDBSCAN finds their number itself.
    seed : int
        Of the random numbers; the same seed gives the same classes.

    Returns
    -------
    Clusters
        The largest class is number 1.

    Raises
    ------
    ScanError
        If the channels are no stack of maps or hold nothing to divide, or an option is unknown.
    """
    stack = np.asarray(channels, np.float32)
    if stack.ndim != 3 or 0 in stack.shape:
        raise ScanError(f"channels have shape {stack.shape}; a stack of maps is [channel, y, x].")
    if method not in ("gaussian", "hdbscan"):
        raise ScanError(f"the method is gaussian or hdbscan, not {method!r}.")
    if classes is not None and method == "hdbscan":
        raise ScanError("hdbscan finds the number of classes itself; leave it out.")
    if classes is not None and classes < 1:
        raise ScanError(f"{classes} classes divide nothing; ask for 1 or more.")
    known: npt.NDArray[np.bool_] = np.asarray(np.isfinite(stack).all(axis=0))
    points = _standardised(stack, known)
    find = _gaussian if method == "gaussian" else _hdbscan
    number, probability = find(points, classes, seed)
    return _numbered(known, number, probability)


def _standardised(stack: npt.NDArray[np.float32], known: npt.NDArray[np.bool_]) -> Floats:
    active = active_channels(stack)
    points = stack[list(active)][:, known].T.astype(np.float64)
    if points.size == 0 or len(points) < 2:
        raise ScanError("the channels are constant or not known: there is nothing to divide.")
    return np.asarray((points - points.mean(axis=0)) / points.std(axis=0))


def _gaussian(
    points: Floats, classes: int | None, seed: int
) -> tuple[npt.NDArray[np.intp], Floats]:
    from sklearn.mixture import GaussianMixture

    some = _sample(points, seed)

    def fitted(n: int) -> GaussianMixture:
        return GaussianMixture(n, random_state=seed, n_init=3, reg_covar=1e-4).fit(some)

    most = min(MOST_CLASSES, max(1, len(some) // (10 * some.shape[1])))
    if classes is not None:
        best = fitted(min(classes, len(some)))
    else:
        best = min((fitted(n) for n in range(1, most + 1)), key=lambda one: one.bic(some))
    share = best.predict_proba(points)
    return share.argmax(axis=1), share.max(axis=1)


def _hdbscan(points: Floats, classes: int | None, seed: int) -> tuple[npt.NDArray[np.intp], Floats]:
    from sklearn.cluster import HDBSCAN
    from sklearn.neighbors import KNeighborsClassifier

    some = _sample(points, seed)
    least = max(5, len(some) // 100)
    found = HDBSCAN(min_cluster_size=least, copy=True).fit(some)
    nearest = KNeighborsClassifier(1).fit(some, np.arange(len(some))).predict(points)
    return found.labels_[nearest], found.probabilities_[nearest]


def _sample(points: Floats, seed: int) -> Floats:
    if len(points) <= FITTED:
        return points
    return points[np.random.default_rng(seed).choice(len(points), FITTED, replace=False)]


def _numbered(
    known: npt.NDArray[np.bool_], number: npt.NDArray[np.intp], probability: Floats
) -> Clusters:
    found, sizes = np.unique(number[number >= 0], return_counts=True)
    order = found[np.argsort(-sizes, kind="stable")]
    labels = np.zeros(known.shape, np.uint16)
    new = np.zeros(int(number.max(initial=-1)) + 2, np.uint16)  # the last is for -1
    new[order] = np.arange(1, len(order) + 1)
    labels[known] = new[number]
    shown = np.zeros(known.shape, np.float32)
    shown[known] = np.where(number >= 0, probability, 0.0)
    return Clusters(labels, shown, len(order))
