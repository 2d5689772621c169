"""Read one diffraction pattern at a time, off the GUI thread, always the latest one wanted.

A pattern may come from a slow disk while the user drags the probe: positions passed meanwhile are
skipped rather than queued.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_ferro4d.scan import Scan

__all__ = ["PatternReader"]

Position = tuple[int, int]


class PatternReader(QObject):
    """Read patterns of a scan one after the other.

    ``read`` gives the scan, the position ``(y, x)`` and the pattern ``[ky, kx]``; ``failed`` an
    error.
    """

    read = Signal(object, object, object)
    failed = Signal(object)
    _arrived = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._wanted: tuple[Scan, Position] | None = None
        self._busy = False
        self._arrived.connect(self._on_arrived)

    def request(self, scan: Scan, position: Position) -> None:
        """Ask for the pattern at `position`; replaces a request that has not been started."""
        self._wanted = (scan, position)
        self._next()

    def stop(self) -> None:
        """Start no further reading."""
        self._wanted = None

    def _next(self) -> None:
        if self._busy or self._wanted is None:
            return
        scan, position = self._wanted
        self._wanted, self._busy = None, True
        threading.Thread(
            target=self._run, args=(scan, position), name="ferro4d pattern", daemon=True
        ).start()

    def _run(self, scan: Scan, position: Position) -> None:
        result: tuple[Any, ...]
        try:
            # One pattern needs no scheduler's threads, and must not wait for a busy one.
            pattern = scan.data[position].compute(scheduler="synchronous")
            result = (scan, position, np.asarray(pattern))
        except Exception as error:  # a decoder raises anything
            result = (error,)
        try:
            self._arrived.emit(result)
        except RuntimeError:
            return  # the window is gone

    def _on_arrived(self, result: tuple[Any, ...]) -> None:
        self._busy = False
        if len(result) == 3:
            self.read.emit(*result)
        else:
            self.failed.emit(*result)
        self._next()
