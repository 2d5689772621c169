"""Read one diffraction pattern at a time, off the GUI thread, always the latest one wanted.

A pattern may come from a slow disk while the user drags the probe.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import Signal

from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.widgets import LatestJob, Request

Position = tuple[int, int]


class PatternReader(LatestJob):
    """Read patterns of a scan one after the other.

    ``read`` gives the scan, the position ``(y, x)`` and the pattern ``[ky, kx]``.
    """

    read = Signal(object, object, object)

    def request(self, scan: Scan, position: Position) -> None:
        """Ask for the pattern at `position`; replaces a request that has not been started."""
        self.ask((scan, position))

    def work(self, request: Request) -> None:
        """Read a pattern."""
        scan, position = request.wanted
        # One pattern needs no scheduler's threads, and must not wait for a busy one.
        self.tell(request, np.asarray(scan.data[position].compute(scheduler="synchronous")))

    def take(self, wanted: tuple[Scan, Position], what: Any) -> None:
        """Pass on a pattern."""
        self.read.emit(*wanted, what)
