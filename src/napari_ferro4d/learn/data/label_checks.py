"""Labels to learn from: what is acceptable, and which to hold out. Knows no torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ferro4d.errors import LabelsError

LARGEST = 65_535
"""Highest class number: predictions are uint16 at most."""


def check_labels(labels: npt.ArrayLike, scan_shape: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Return labels as integers ``[y, x]``, or say why they cannot train a classifier.

    Raises
    ------
    LabelsError
        If they have another shape than the scan, are no integers, or negative, or hold fewer than
        two classes.
    """
    array = check_label_image(labels, scan_shape)
    classes = np.unique(array[array > 0])
    if not len(classes):
        raise LabelsError("no position is labelled; paint a few positions of each class.")
    if len(classes) == 1:
        raise LabelsError(
            f"only class {classes[0]} is labelled; paint positions of at least one more class."
        )
    return array


def check_label_image(labels: npt.ArrayLike, scan_shape: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Return labels as integers ``[y, x]``; there may be none.

    Raises
    ------
    LabelsError
        If they have another shape than the scan, are no integers, or negative.
    """
    array: npt.NDArray[Any] = np.asarray(labels)
    if array.shape != scan_shape:
        raise LabelsError(
            f"the labels have shape {_by(array.shape)}, the scan has {_by(scan_shape)} probe "
            "positions; give one label per position."
        )
    if array.dtype.kind not in "ui":
        raise LabelsError(
            f"the labels are {array.dtype}; give integers: 0 for unlabelled, 1, 2, ... for classes."
        )
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > LARGEST:
        raise LabelsError(
            f"the labels run from {low} to {high}; use 0 for unlabelled and classes 1 to {LARGEST}."
        )
    return array.astype(np.int64)


def folds_of(
    positions: npt.NDArray[np.int64], scan_shape: tuple[int, int], folds: int, seed: int
) -> npt.NDArray[np.int64]:
    """Deal labelled positions out to folds, in spatial blocks.

    Neighbouring patterns are nearly the same, so that a neighbour of a training position would be
    no test. The scan is cut into about 8 x 8 tiles; all labels of a tile go to the same fold, the
    tiles with most labels first, each to the fold that has fewest so far.

    Parameters
    ----------
    positions : ndarray
        ``[n, 2]``: y and x.
    scan_shape : tuple of int
        Probe positions ``(y, x)``.
    folds : int
        How many.
    seed : int
        Decides between equal tiles.

    Returns
    -------
    ndarray
        ``[n]`` numbers of the folds.
    """
    side = max(2, -(-max(scan_shape) // 8))
    tile = (positions[:, 0] // side) * (max(scan_shape) // side + 1) + positions[:, 1] // side
    tiles, which, counts = np.unique(tile, return_inverse=True, return_counts=True)
    shuffled = np.random.default_rng(seed).permutation(len(tiles))
    order = shuffled[np.argsort(-counts[shuffled], kind="stable")]
    filled = np.zeros(folds, np.int64)
    fold_of_tile = np.empty(len(tiles), np.int64)
    for number in order:
        fold_of_tile[number] = filled.argmin()
        filled[fold_of_tile[number]] += counts[number]
    return fold_of_tile[which]


def held_out(
    fold: npt.NDArray[np.int64], targets: npt.NDArray[np.int64], folds: int
) -> npt.NDArray[np.bool_]:
    """Return which labels each fold's network must not see, ``[fold, n]``.

    A class that has all its labels in one fold is not held out of it: a network that has never
    seen a class tells nothing about it.
    """
    held: npt.NDArray[np.bool_] = fold[None, :] == np.arange(folds)[:, None]
    for target in np.unique(targets):
        own = targets == target
        # Never all of them, and at least two to learn from where there are two.
        scarce = (own & ~held).sum(axis=1) < min(2, own.sum())
        held[np.ix_(scarce, own)] = False
    return held


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)
