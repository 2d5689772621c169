"""Mean patterns of probe positions while the user drags a range, off the GUI thread.

A few patterns chosen at random give a first look within a fraction of a second, whatever the size
of the scan; once the mouse rests, one pass gives the mean of all. The latest range wins.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_ferro4d.embedding import mean_pattern
from napari_ferro4d.jobs import Cancelled, Progress
from napari_ferro4d.scan import Scan

__all__ = ["LiveMean", "Mean"]

_LOOK_S = 0.15
"""Time for the patterns of a first look."""

_REST_S = 0.3
"""A range that has not changed for so long is the one that is meant."""

Wanted = tuple[Scan, np.ndarray]


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


class LiveMean(QObject):
    """Average patterns of a scan, one set of positions after the other.

    ``averaged`` gives a `Mean`, first of a few patterns and then of all; ``progressed`` how far a
    long pass is; ``failed`` an error.
    """

    averaged = Signal(object)
    progressed = Signal(object)
    failed = Signal(object)
    _arrived = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._wanted: Wanted | None = None
        self._running: threading.Thread | None = None
        self._changed = threading.Event()
        self._arrived.connect(self._on_arrived)

    @property
    def busy(self) -> bool:
        """Whether a mean is being made."""
        return self._running is not None

    def request(self, scan: Scan, mask: np.ndarray) -> None:
        """Ask for the mean pattern of the positions in `mask`; gives up the one before."""
        self._wanted = (scan, mask)
        self._changed.set()
        self._next()

    def stop(self, seconds: float = 0.0) -> None:
        """Give up the mean being made; wait for its thread a little."""
        self._wanted = None
        self._changed.set()
        if self._running is not None and seconds:
            self._running.join(seconds)

    def _next(self) -> None:
        if self._running is not None or self._wanted is None:
            return
        wanted, self._wanted = self._wanted, None
        self._changed.clear()
        self._running = threading.Thread(
            target=self._run, args=wanted, name="ferro4d mean pattern", daemon=True
        )
        self._running.start()

    def _run(self, scan: Scan, mask: np.ndarray) -> None:
        said = 0.0

        def report(progress: Progress) -> None:
            nonlocal said
            if self._changed.is_set():
                raise Cancelled
            if time.monotonic() - said > 0.2:
                said = time.monotonic()
                self._arrived.emit(progress)

        result: Any = None
        try:
            look = _first_look(scan, mask)
            self._arrived.emit(look)
            # Asked for again within a moment: somebody is still dragging.
            if look.patterns < look.of and not self._changed.wait(_REST_S):
                mean, _ = mean_pattern(scan, mask, report=report)
                result = Mean(scan, mask, mean, look.of, look.of)
        except Cancelled:
            pass
        except Exception as error:  # a decoder raises anything
            result = error
        try:
            self._arrived.emit((result,))
        except RuntimeError:
            return  # the window is gone

    def _on_arrived(self, what: Any) -> None:
        if isinstance(what, tuple):
            self._running = None
            (what,) = what
        if isinstance(what, Exception):
            self.failed.emit(what)
        elif not self._changed.is_set() or self._wanted is not None:
            # Also of a range that was passed meanwhile: better a little behind than nothing.
            self._tell(what)
        self._next()

    def _tell(self, what: Any) -> None:
        if isinstance(what, Mean):
            self.averaged.emit(what)
        elif isinstance(what, Progress):
            self.progressed.emit(what)


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
