"""Virtual detectors cut into the rectangles that the compiled loops add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

ROWS = 8
"""Detector rows that are added together."""

_LANES = 8
"""Columns come in multiples of this, so that no loop ends with odd ones."""

_GAP = 32
"""Columns outside the mask that are cheaper to read than to step over."""


@dataclass(frozen=True, eq=False)
class Segments:
    """Rectangles of up to eight detector rows that cover masks, from the top down.

    Parameters
    ----------
    table : array
        int64 ``[segment, 6]``: detector, first row, rows, first column, columns, and where its
        weights begin.
    weights : array
        The weight of every pixel of every segment, one rectangle after the other; zero where the
        mask leaves pixels out.
    """

    table: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, masks: Sequence[np.ndarray], kind: np.dtype[Any]) -> Segments:
        """Cut masks ``[ky, kx]`` of numbers into segments with weights of type `kind`."""
        found = sorted(
            ((number, *place) for number, mask in enumerate(masks) for place in _rectangles(mask)),
            key=lambda segment: segment[1],
        )
        table = np.zeros((len(found), 6), np.int64)
        weights, start = [], 0
        for row, (number, ky, rows, kx, width) in zip(table, found, strict=True):
            row[:] = number, ky, rows, kx, width, start
            part = masks[number][ky : ky + rows, kx : kx + width].astype(kind)
            weights.append(part.ravel())
            start += part.size
        return cls(table, np.concatenate([*weights, np.zeros(0, kind)]))

    def groups(self, detector_rows: int) -> np.ndarray:
        """Return where in the table the segments of every eight rows begin, and where it ends."""
        tops = np.arange(0, detector_rows + ROWS, ROWS)
        return np.searchsorted(self.table[:, 1], tops).astype(np.int64)


def _rectangles(mask: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Return rectangles ``(ky, rows, kx, columns)`` that cover the non-zero pixels, none twice."""
    nky, nkx = mask.shape
    found = []
    for ky in range(0, nky, ROWS):
        rows = min(ROWS, nky - ky)
        there = np.flatnonzero((mask[ky : ky + rows] != 0).any(axis=0))
        if there.size == 0:
            continue
        breaks = np.flatnonzero(np.diff(there) > _GAP)
        starts, ends = np.r_[there[0], there[breaks + 1]], np.r_[there[breaks], there[-1]] + 1
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            # Widening cannot reach the next segment, which is further away than that.
            width = min(-(-(end - start) // _LANES) * _LANES, nkx)
            found.append((ky, rows, min(start, nkx - width), width))
    return found
