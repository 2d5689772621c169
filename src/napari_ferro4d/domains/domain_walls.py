"""Label maps to walls and tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from napari_ferro4d.errors import LabelsError


@dataclass(frozen=True)
class DomainRow:
    """One connected domain.

    Parameters
    ----------
    class_number : int
        The class it belongs to.
    class_name : str
        The name of that class.
    positions : int
        Number of probe positions.
    area_nm2 : float or None
        Area in square nm; None where the scan step is unknown.
    centre : tuple of float
        Mean probe position ``(y, x)``.
    touches_edge : bool
        The domain reaches the edge of the scan, so that it may be larger.
    """

    class_number: int
    class_name: str
    positions: int
    area_nm2: float | None
    centre: tuple[float, float]
    touches_edge: bool


def _checked(labels: np.ndarray) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.dtype.kind not in "uib":
        raise LabelsError(
            f"the labels have shape {labels.shape} and type {labels.dtype}; "
            "labels are one integer image [y, x]."
        )
    return labels


def walls(labels: np.ndarray) -> np.ndarray:
    """Mark the probe positions on both sides of a border between two classes.

    Parameters
    ----------
    labels : array
        Integer ``[y, x]``; 0 = unlabelled makes no wall.

    Returns
    -------
    array
        bool ``[y, x]``.

    Raises
    ------
    LabelsError
        If it is no label image.

    Examples
    --------
    >>> walls(np.array([[1, 1, 2, 2]])).tolist()
    [[False, True, True, False]]
    """
    labels = _checked(labels)
    wall = np.zeros(labels.shape, bool)
    for one, other in (
        (np.s_[1:, :], np.s_[:-1, :]),
        (np.s_[:, 1:], np.s_[:, :-1]),
    ):
        differ = (labels[one] != labels[other]) & (labels[one] != 0) & (labels[other] != 0)
        wall[one] |= differ
        wall[other] |= differ
    return wall


def domain_table(
    labels: np.ndarray,
    scan_step: tuple[float, float] | None = None,
    classes: Mapping[int, str] | None = None,
) -> list[DomainRow]:
    """List the connected domains of a label map, largest first.

    Parameters
    ----------
    labels : array
        Integer ``[y, x]``, 0 = unlabelled.
    scan_step : tuple of float, optional
        Distance between probe positions ``(y, x)`` in nm.
    classes : mapping of int to str, optional
        Class names.

    Returns
    -------
    list of DomainRow
        Positions that touch along an edge (not only at a corner) belong together.

    Raises
    ------
    LabelsError
        If it is no label image.
    """
    from skimage.measure import label, regionprops

    labels = _checked(labels)
    rows = []
    for region in regionprops(label(labels, background=0, connectivity=1)):
        y, x = region.coords[0]
        number = int(labels[y, x])
        top, left, bottom, right = region.bbox
        rows.append(
            DomainRow(
                class_number=number,
                class_name=(classes or {}).get(number, str(number)),
                positions=int(region.num_pixels),
                area_nm2=None
                if scan_step is None
                else region.num_pixels * scan_step[0] * scan_step[1],
                centre=(float(region.centroid[0]), float(region.centroid[1])),
                touches_edge=top == 0
                or left == 0
                or bottom == labels.shape[0]
                or right == labels.shape[1],
            )
        )
    return sorted(rows, key=lambda row: -row.positions)
