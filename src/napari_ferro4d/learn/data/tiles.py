"""A sample of scans that keeps neighbours together. Knows no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

TILE = 24
"""Side of a tile in probe positions: walls have room in it, and what lies on both sides."""

Places = tuple[npt.NDArray[np.int64], ...]


def sample_tiles(places: Sequence[npt.NDArray[np.int64]], most: int) -> Places:
    """Return all of the scans, or square tiles on a regular grid with at most `most` positions.

    Parameters
    ----------
    places : sequence of ndarray
        Of each scan ``[y, x]``: the number of the pattern, -1 where there is none.
    most : int
        Positions at most; one tile of each scan is always taken.

    Returns
    -------
    tuple of ndarray
        Parts of `places`.

    Examples
    --------
    >>> place = np.arange(96 * 96).reshape(96, 96)
    >>> [tile.shape for tile in sample_tiles([place], 4 * 24 * 24)]
    [(24, 24), (24, 24), (24, 24), (24, 24)]
    """
    total = sum(place.size for place in places)
    if total <= most:
        return tuple(places)
    tiles: list[npt.NDArray[np.int64]] = []
    for place in places:
        sides = [_begins(length, math.sqrt(most / total)) for length in place.shape]
        tiles += [
            place[y : y + TILE, x : x + TILE] for y in sides[0].tolist() for x in sides[1].tolist()
        ]
    return tuple(tiles)


def _begins(length: int, share: float) -> npt.NDArray[np.int64]:
    """Return where tiles begin on an axis of which they are to cover a share."""
    count = max(1, int(length * share) // TILE)
    # Each in the middle of an equal part of the axis, so that no two overlap.
    middles = (np.arange(count) + 0.5) * (length / count)
    return np.asarray(np.maximum(middles - TILE / 2, 0), np.int64)


def numbered_anew(tiles: Places) -> tuple[Places, npt.NDArray[np.int64]]:
    """Return the tiles with their patterns numbered from 0, and the numbers that they had."""
    before = np.concatenate([tile[tile >= 0] for tile in tiles])
    renumbered, count = [], 0
    for tile in tiles:
        there = tile >= 0
        renumbered.append(np.where(there, count + np.cumsum(there).reshape(there.shape) - 1, -1))
        count += int(np.count_nonzero(there))
    return tuple(renumbered), before
