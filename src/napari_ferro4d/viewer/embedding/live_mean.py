"""Mean patterns of probe positions while the user drags a range, off the GUI thread.

A few patterns chosen at random give a first look within a fraction of a second, whatever the size
of the scan; once the mouse rests, one pass gives the mean of all.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from qtpy.QtCore import Signal

from napari_ferro4d.embedding import mean_pattern
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.widgets import LatestJob, Request

_LOOK_S = 0.15
"""Time for the patterns of a first look."""

_REST_S = 0.3
"""A range that has not changed for so long is the one that is meant."""


@dataclass(frozen=True, eq=False)
class Mean:
    """The mean of some of the patterns that were asked for, or of all.

    Parameters
    ----------
    scan, mask
        What was asked for; ``mask`` is bool ``[y, x]``.
    mean : ndarray
        ``[ky, kx]`` counts.
    patterns, of : int
        How many it is of, and how many there are.
    """

    scan: Scan
    mask: np.ndarray
    mean: np.ndarray
    patterns: int
    of: int


class LiveMean(LatestJob):
    """Average patterns of a scan, one set of positions after the other.

    ``averaged`` gives a `Mean`, first of a few patterns and then of all.
    """

    averaged = Signal(object)

    def request(self, scan: Scan, mask: np.ndarray) -> None:
        """Ask for the mean pattern of the positions in `mask`; gives up the one before."""
        self.ask((scan, mask))

    def work(self, request: Request) -> None:
        """Average a few patterns, then all."""
        scan, mask = request.wanted
        look = _first_look(scan, mask)
        self.tell(request, look)
        # Asked for again within a moment: somebody is still dragging.
        if look.patterns < look.of and not request.passed.wait(_REST_S):
            mean, _ = mean_pattern(scan, mask, report=self.report(request))
            self.tell(request, Mean(scan, mask, mean, look.of, look.of))

    def take(self, wanted: tuple[Scan, np.ndarray], what: Any) -> None:
        """Pass on a mean, or how far the pass is."""
        (self.averaged if isinstance(what, Mean) else self.progressed).emit(what)


def _first_look(scan: Scan, mask: np.ndarray) -> Mean:
    """Average as many patterns, chosen at random, as can be read in a moment; at least one."""
    there = mask if scan.missing is None else mask & ~scan.missing
    places = np.argwhere(there)
    order = np.random.default_rng(0).permutation(len(places))
    end = time.monotonic() + _LOOK_S
    total, count = np.zeros(scan.detector_shape), 0
    for y, x in places[order]:
        # One pattern needs no scheduler's threads, and must not wait for a busy one.
        total += scan.data[int(y), int(x)].compute(scheduler="synchronous")
        count += 1
        if time.monotonic() > end:
            break
    return Mean(scan, mask, total / max(1, count), count, len(places))
