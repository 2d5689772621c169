"""Patterns joined with those of the positions around them, read off the GUI thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import Signal

from napari_ferro4d.jobs import Cancelled
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.widgets import LatestJob, Request

Position = tuple[int, int]
Around = tuple[int, str]
"""How far positions are joined, and how: see `napari_ferro4d.learn.data.Neighbourhood`."""

ALONE: Around = (0, "mean")
"""A pattern by itself."""


def joined_pattern(scan: Scan, position: Position, around: Around) -> np.ndarray:
    """Return the pattern ``[ky, kx]`` of a position and those around it.

    Parameters
    ----------
    scan : Scan
        The scan.
    position : tuple of int
        ``(y, x)``.
    around : tuple
        Radius and ``"mean"`` or ``"max"``.
    """
    from napari_ferro4d.learn.data import Neighbourhood

    (y, x), radius = position, around[0]
    top, left = max(0, y - radius), max(0, x - radius)
    place = np.s_[top : y + radius + 1, left : x + radius + 1]
    # A few patterns need no scheduler's threads, and must not wait for a busy one.
    block = scan.data[place].compute(scheduler="synchronous")
    if radius == 0:
        return np.asarray(block[0, 0])
    there = None
    if scan.missing is not None:
        there = (~scan.missing[place]).astype(np.float32)[:, :, None, None]
    return np.asarray(Neighbourhood(*around).reduce_block(block, there)[y - top, x - left])


class PatternReader(LatestJob):
    """Read the patterns of some positions, one after the other.

    ``read`` gives the scan, the position, how it was joined, and the pattern ``[ky, kx]``.
    """

    read = Signal(object, object, object, object)

    def request(self, scan: Scan, wanted: Sequence[tuple[Position, Around]]) -> None:
        """Ask for patterns; replaces a request that has not been started, and ends one that has."""
        self.ask((scan, tuple(wanted)))

    def work(self, request: Request) -> None:
        """Read the patterns in the order in which they were asked for."""
        scan, wanted = request.wanted
        for number, (position, around) in enumerate(wanted):
            # The first is read in any case: who drags the probe wants to see something.
            if request.stopped or (number and request.passed.is_set()):
                raise Cancelled
            self.tell(request, (position, around, joined_pattern(scan, position, around)))

    def take(self, wanted: Any, what: Any) -> None:
        """Pass on a pattern."""
        self.read.emit(wanted[0], *what)
