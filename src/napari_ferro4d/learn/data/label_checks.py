"""Labels to learn from: what is acceptable. Knows no torch."""

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


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)
