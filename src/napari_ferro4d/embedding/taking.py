"""Which proposed classes become labels: areas, regions, a few positions spread out over them.

What is labelled already stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from napari_ferro4d.errors import LabelsError

from .histograms import Bools
from .proposals import Labels, plane

_INSIDE = 2.0
"""Positions away from the edge of its area that a single label is looked for, if there is room."""


def without_small(proposals: npt.ArrayLike, least: int) -> Labels:
    """Return proposals without connected areas of fewer positions: noise that crossed a threshold.

    Parameters
    ----------
    proposals : array
        Integer ``[y, x]``, 0 = none.
    least : int
        Positions that an area has to have.

    Examples
    --------
    >>> without_small(np.array([[1, 1, 2, 1]], np.uint8), 2).tolist()
    [[1, 1, 0, 0]]
    """
    from skimage.measure import label

    image = np.asarray(proposals)
    if least <= 1:
        return image
    area = label(image, connectivity=1)
    sizes = np.bincount(area.ravel())
    return np.where(sizes[area] >= least, image, np.zeros_like(image))


def area_at(proposals: npt.ArrayLike, y: int, x: int) -> Bools:
    """Return the connected area of one class at a position: bool ``[y, x]``, none where none is.

    Positions are connected up, down, left and right. Nothing is outside the scan.

    Examples
    --------
    >>> area_at([[1, 1, 2], [2, 1, 1]], 0, 0).tolist()
    [[True, True, False], [False, True, True]]
    """
    from skimage.segmentation import flood

    image = np.asarray(proposals)
    there = 0 <= y < image.shape[0] and 0 <= x < image.shape[1]
    if not there or image[y, x] == 0:
        return np.zeros(image.shape, bool)
    area: Bools = flood(image, (y, x), connectivity=1)
    return area


def in_polygons(shape: tuple[int, int], polygons: Sequence[npt.ArrayLike]) -> Bools:
    """Return the positions inside any of some polygons, bool ``[y, x]``.

    Parameters
    ----------
    shape : tuple of int
        Of the scan, ``(y, x)``.
    polygons : sequence of array
        Corners ``[corner, 2]`` in positions ``(y, x)``, each closed by itself.

    Examples
    --------
    >>> in_polygons((2, 4), [[(-0.5, 0.5), (-0.5, 2.5), (0.5, 2.5), (0.5, 0.5)]]).astype(int)
    array([[0, 1, 1, 0],
           [0, 0, 0, 0]])
    """
    from skimage.draw import polygon2mask

    inside = np.zeros(shape, bool)
    for corners in polygons:
        if len(np.asarray(corners)) >= 3:
            inside |= polygon2mask(shape, np.asarray(corners, float))
    return inside


def taken(
    proposals: npt.ArrayLike,
    labels: npt.ArrayLike,
    where: npt.ArrayLike,
    most: int | None = None,
) -> Bools:
    """Return the positions that become labels when proposals are taken somewhere.

    Parameters
    ----------
    proposals, labels : array
        Integer ``[y, x]`` each, 0 = none. What is labelled stays as it is.
    where : array
        Bool ``[y, x]``: where proposals are taken.
    most : int, optional
        Of each class, spread out over where it is proposed, and away from its edges where there is
        room; by default all.

    Returns
    -------
    ndarray
        Bool ``[y, x]``.

    Raises
    ------
    LabelsError
        If the arrays differ in shape.

    Examples
    --------
    >>> proposals = np.repeat([[1] * 9 + [2] * 9], 3, axis=0)
    >>> labels = np.zeros_like(proposals)
    >>> labels[:, 0] = 2
    >>> np.argwhere(taken(proposals, labels, proposals == 1, most=2)).tolist()
    [[1, 2], [1, 6]]
    """
    image, known, place = plane(proposals), plane(labels), np.asarray(where, bool)
    if not image.shape == known.shape == place.shape:
        raise LabelsError("proposals, labels and where have to be of one scan: of one shape.")
    free: Bools = place & (image > 0) & (known == 0)
    if most is None:
        return free
    chosen: Bools = np.zeros(free.shape, bool)
    for number in np.unique(image[free]):
        for y, x in _spread(free & (image == number), image == number, most):
            chosen[y, x] = True
    return chosen


def _spread(free: Bools, area: Bools, most: int) -> list[tuple[int, int]]:
    """Return one position from each of `most` pieces, of equal size, of the free ones."""
    from scipy.ndimage import distance_transform_edt

    # An area that fills the scan has no edge.
    depth = distance_transform_edt(area) if not area.all() else np.full(area.shape, _INSIDE)
    points = np.argwhere(free)
    found = []
    for piece in _pieces(points, min(most, len(points))):
        off = np.hypot(*(piece - piece.mean(axis=0)).T)
        shallow = -np.minimum(depth[tuple(piece.T)], _INSIDE)
        y, x = piece[np.lexsort([off, shallow])[0]]
        found.append((int(y), int(x)))
    return found


def _pieces(points: npt.NDArray[np.intp], count: int) -> list[npt.NDArray[np.intp]]:
    """Cut points into compact pieces of equal size, along the longer side each time."""
    if count <= 1:
        return [points] if count else []
    longer = np.ptp(points, axis=0).argmax()
    ordered = points[np.argsort(points[:, longer], kind="stable")]
    first = count // 2
    cut = len(points) * first // count
    return _pieces(ordered[:cut], first) + _pieces(ordered[cut:], count - first)
