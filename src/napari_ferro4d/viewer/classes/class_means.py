"""The mean pattern of the labelled positions of each class, off the GUI thread.

What was read is kept as a sum a class: a label more costs one pattern more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from qtpy.QtCore import Signal

from napari_ferro4d.jobs import Cancelled
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.widgets import LatestJob, Request

MOST_CLASSES = 12
"""Of more classes than this, those with most labels are averaged: each takes a pattern of memory,
and a picture in the dock."""


@dataclass
class _Sum:
    """The patterns of some positions, added."""

    mask: np.ndarray
    """bool ``[y, x]``: which."""
    pattern: np.ndarray
    """float64 ``[ky, kx]``."""


class ClassMeans(LatestJob):
    """Average the labelled patterns of a scan, a class at a time, of `MOST_CLASSES` at most.

    ``averaged`` gives the scan and the mean patterns ``[ky, kx]`` by class number.

    Parameters
    ----------
    one_by_one : int
        How many patterns are read one by one; more are averaged faster in a pass over the scan.
    """

    averaged = Signal(object, object)

    def __init__(self, one_by_one: int = 200) -> None:
        super().__init__()
        self._one_by_one = one_by_one
        # Used by the thread of the work alone, of which there is one at a time.
        self._scan: Scan | None = None
        self._sums: dict[int, _Sum] = {}

    def request(self, scan: Scan, labels: np.ndarray) -> None:
        """Ask for the mean patterns of the classes in `labels`, integer ``[y, x]``."""
        self.ask((scan, labels))

    def work(self, request: Request) -> None:
        """Bring the sums up to date."""
        scan, labels = request.wanted
        if scan is not self._scan:
            self._scan, self._sums = scan, {}
        if scan.missing is not None:
            labels = np.where(scan.missing, 0, labels)
        found, counts = np.unique(labels[labels > 0], return_counts=True)
        numbers = found[np.argsort(-counts, kind="stable")][:MOST_CLASSES].tolist()
        self._sums = {number: one for number, one in self._sums.items() if number in numbers}
        for number in numbers:
            self._update(request, scan, number, labels == number)
        self.tell(
            request,
            {number: one.pattern / one.mask.sum() for number, one in sorted(self._sums.items())},
        )

    def take(self, wanted: Any, what: Any) -> None:
        """Pass on the means."""
        if isinstance(what, dict):
            self.averaged.emit(wanted[0], what)

    def _update(self, request: Request, scan: Scan, number: int, mask: np.ndarray) -> None:
        """Bring the sum of one class up to date; it is right also where that is cut short."""
        one = self._sums.setdefault(
            number, _Sum(np.zeros(scan.scan_shape, bool), np.zeros(scan.detector_shape))
        )
        changed = np.argwhere(mask != one.mask)
        if len(changed) > self._one_by_one:
            from napari_ferro4d.reduce import mean_pattern

            mean = mean_pattern(scan, mask, self.report(request))
            self._sums[number] = _Sum(mask, mean * mask.sum())
            return
        for y, x in changed:
            if request.stopped or request.passed.is_set():
                raise Cancelled
            pattern = scan.data[int(y), int(x)].compute(scheduler="synchronous")
            one.pattern += pattern if mask[y, x] else -pattern.astype(float)
            one.mask[y, x] = mask[y, x]
