"""Classes that maps and label images propose for probe positions.

A proposal is a class number per position, 0 for none. It is not a label: somebody has to take it,
see `taking`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ferro4d.errors import LabelsError

from .histograms import gate, within

Labels = npt.NDArray[np.unsignedinteger[Any]]
Corners = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Sector:
    """Directions of a vector field that speak for one class.

    Parameters
    ----------
    direction : float
        Of its middle, in degrees from x (right) towards y (down).
    width : float
        From its first to its last direction, in degrees, above 0 and at most 360.
    """

    direction: float
    width: float


def propose_matches(values: npt.ArrayLike, classes: Mapping[int, int]) -> Labels:
    """Propose classes from a label image: clusters, gates, a prediction, another program's image.

    Parameters
    ----------
    values : array
        Integer ``[y, x]``.
    classes : mapping
        Class number by value; values that are not in it propose nothing.

    Returns
    -------
    ndarray
        uint8 or uint16 ``[y, x]``, 0 = none.

    Raises
    ------
    LabelsError
        If a class number is none.

    Examples
    --------
    >>> propose_matches([[0, 1, 2, 3]], {1: 2, 3: 2}).tolist()
    [[0, 2, 0, 2]]
    """
    image = plane(values)
    return _exclusive({n: np.isin(image, _sources(classes, n)) for n in classes.values()}, image)


def propose_ranges(values: npt.ArrayLike, ranges: Mapping[int, tuple[float, float]]) -> Labels:
    """Propose classes from a map: one range of its values for each class.

    With images of virtual detectors, these are the thresholds of the manual analysis in Hardy et
    al. (2025).

    Parameters
    ----------
    values : array
        ``[y, x]``; NaN proposes nothing.
    ranges : mapping
        Ends ``(low, high)``, both included, by class number.

    Returns
    -------
    ndarray
        uint8 or uint16 ``[y, x]``, 0 = none: also for a value in the ranges of two classes.

    Raises
    ------
    LabelsError
        If a class number is none.

    References
    ----------
    Hardy et al. (2025), arXiv:2510.00693.

    Examples
    --------
    >>> propose_ranges([[0.0, 1.0, 2.0, 3.0]], {1: (0, 1), 2: (1, 2)}).tolist()
    [[1, 0, 2, 0]]
    """
    image = plane(values)
    return _exclusive({n: within(image, *ends) for n, ends in ranges.items()}, image)


def propose_gates(
    map_a: npt.ArrayLike, map_b: npt.ArrayLike, gates: Mapping[int, Sequence[Corners]]
) -> Labels:
    """Propose classes from two maps: polygons in the plane of their values for each class.

    Parameters
    ----------
    map_a, map_b : array
        ``[y, x]`` each; NaN proposes nothing.
    gates : mapping
        Polygons by class number, each three corners ``(a, b)`` or more.

    Returns
    -------
    ndarray
        uint8 or uint16 ``[y, x]``, 0 = none: also inside polygons of two classes.

    Raises
    ------
    ScanError
        If the maps differ in shape, a polygon is none, or a class number is none.

    Examples
    --------
    >>> square = [(0, 0), (1, 0), (1, 1), (0, 1)]
    >>> propose_gates([[0.5, 2.0]], [[0.5, 0.5]], {3: [square]}).tolist()
    [[3, 0]]
    """
    a, b = plane(map_a), plane(map_b)
    masks = {
        number: np.any([gate(a, b, polygon) for polygon in polygons], axis=0)
        for number, polygons in gates.items()
        if polygons
    }
    return _exclusive(masks, a)


def propose_directions(
    down: npt.ArrayLike, right: npt.ArrayLike, sectors: Mapping[int, Sector], least: float = 0.0
) -> Labels:
    """Propose classes from a vector field, such as the centre of mass: directions for each class.

    Parameters
    ----------
    down, right : array
        ``[y, x]`` each, the components of the field, as drawn; NaN proposes nothing.
    sectors : mapping
        A `Sector` by class number.
    least : float
        Length that a vector has to have to propose anything, in units of the field.

    Returns
    -------
    ndarray
        uint8 or uint16 ``[y, x]``, 0 = none: also in the sectors of two classes, and where the
        field is zero.

    Raises
    ------
    LabelsError
        If the components differ in shape, or a class number is none.

    Examples
    --------
    >>> down, left = Sector(90, 60), Sector(180, 60)
    >>> propose_directions([[1.0, 0.0, -1.0]], [[0.0, -1.0, 0.0]], {1: down, 2: left}).tolist()
    [[1, 2, 0]]
    """
    y, x = plane(down).astype(np.float64), plane(right).astype(np.float64)
    if y.shape != x.shape:
        raise LabelsError(f"the components have shapes {y.shape} and {x.shape}; take those of one.")
    angle, length = np.degrees(np.arctan2(y, x)), np.hypot(y, x)
    long = (length >= least) & (length > 0)  # False for NaN
    masks = {
        number: long & (np.abs((angle - s.direction + 180) % 360 - 180) <= s.width / 2)
        for number, s in sectors.items()
    }
    return _exclusive(masks, y)


def likely_matches(values: npt.ArrayLike, labels: npt.ArrayLike) -> dict[int, int]:
    """Return which class each value of a label image means, by the positions labelled already.

    Parameters
    ----------
    values, labels : array
        Integer ``[y, x]`` each, 0 = none.

    Returns
    -------
    dict
        For each value, the class with which it shares most positions; without the values that
        share none.

    Examples
    --------
    >>> likely_matches([[1, 1, 1, 2]], [[4, 4, 3, 0]])
    {1: 4}
    """
    image, classes = plane(values), plane(labels)
    if image.shape != classes.shape:
        return {}
    both = (image > 0) & (classes > 0)
    pairs, counts = np.unique([image[both], classes[both]], axis=1, return_counts=True)
    rising = np.argsort(counts, kind="stable")
    return {int(value): int(number) for value, number in pairs[:, rising].T}


def plane(values: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return a map or label image as an array; LabelsError if it is none."""
    image = np.asarray(values)
    if image.ndim != 2:
        raise LabelsError(f"a map or a label image is [y, x], not of {image.ndim} dimensions.")
    return image


def _sources(classes: Mapping[int, int], number: int) -> list[int]:
    return [value for value, one in classes.items() if one == number]


def _exclusive(masks: Mapping[int, npt.ArrayLike], like: npt.NDArray[Any]) -> Labels:
    """Return the number of the mask that a position is in, 0 where it is in none or in several."""
    most = max(masks, default=1)
    if not all(0 < number <= np.iinfo(np.uint16).max for number in masks):
        raise LabelsError(f"class numbers go from 1 to 65535; there is {min(masks)} or {most}.")
    found = np.zeros(like.shape, np.uint8 if most <= np.iinfo(np.uint8).max else np.uint16)
    times = np.zeros(like.shape, np.uint16)
    for number, mask in masks.items():
        found[np.asarray(mask)] = number
        times += np.asarray(mask)
    found[times > 1] = 0
    return found
