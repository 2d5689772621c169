"""Virtual images made while the user drags the detector, off the GUI thread: the latest one wins.

Detectors passed meanwhile are skipped rather than queued. A pass that takes long shows what it
knows so far, and is given up for the next detector.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_ferro4d.io import MapResult, provenance
from napari_ferro4d.jobs import Cancelled, Progress
from napari_ferro4d.reduce import VirtualImage, detector_text, virtual
from napari_ferro4d.scan import Scan

from ._drawn import Drawn
from ._layers import KEY, LayerData, Origin, made, map_layers
from ._part import PART, reporting_layers

__all__ = ["LiveImage"]

_GIVE_UP_S = 0.25
"""A pass that has run this long is not waited for when another detector is wanted."""

Wanted = tuple[Scan, Drawn]


class LiveImage(QObject):
    """Make virtual images of a scan, one after the other.

    ``imaged`` gives the scan, the detector, the layer of its image, and whether that is complete;
    ``failed`` an error; ``progressed`` how far a long pass is.
    """

    imaged = Signal(object, object, object, bool)
    progressed = Signal(object)
    failed = Signal(object)
    _arrived = Signal(object, object)

    def __init__(self) -> None:
        super().__init__()
        self._wanted: Wanted | None = None
        self._running: threading.Thread | None = None
        self._stop = threading.Event()
        self._arrived.connect(self._on_arrived)
        self._parts: list[LayerData] = []

    @property
    def busy(self) -> bool:
        """Whether a pass is running."""
        return self._running is not None

    def request(self, scan: Scan, drawn: Drawn) -> None:
        """Ask for the image of `drawn`; replaces a request that has not been started."""
        self._wanted = (scan, drawn)
        self._next()

    def stop(self, seconds: float = 0.0) -> None:
        """Stop the running pass, start no other; wait for it a little."""
        self._wanted = None
        self._stop.set()
        if self._running is not None and seconds:
            self._running.join(seconds)

    def _next(self) -> None:
        if self._running is not None or self._wanted is None:
            return
        wanted, self._wanted = self._wanted, None
        self._stop.clear()
        self._running = threading.Thread(
            target=self._run, args=wanted, name="ferro4d virtual image", daemon=True
        )
        self._running.start()

    def _run(self, scan: Scan, drawn: Drawn) -> None:
        started = time.monotonic()
        said = started

        def report(progress: Progress) -> None:
            nonlocal said
            now = time.monotonic()
            superseded = self._wanted is not None and now - started > _GIVE_UP_S
            if self._stop.is_set() or superseded:
                raise Cancelled
            if progress.partial is not None or now - said > 0.2:
                said = now
                self._arrived.emit((scan, drawn), progress)

        def layers(partial: list[VirtualImage]) -> list[LayerData]:
            return [image_layer(scan, drawn, partial[0], part=True)]

        result: Any
        try:
            image = virtual(
                scan,
                drawn.shape,
                centre=drawn.centre,
                report=reporting_layers(report, layers),
                progressive=True,
            )
            result = image_layer(scan, drawn, image)
        except Cancelled:
            result = None
        except Exception as error:  # a decoder raises anything
            result = error
        try:
            self._arrived.emit((scan, drawn), result)
        except RuntimeError:
            return  # the window is gone

    def _on_arrived(self, of: Wanted, result: Any) -> None:
        if isinstance(result, Progress):
            if self._stop.is_set():
                return
            if result.partial is not None:
                self.imaged.emit(*of, result.partial[0], False)
            self.progressed.emit(result)
            return
        self._running = None
        if isinstance(result, Exception):
            self.failed.emit(result)
        elif result is not None and not self._stop.is_set():
            self.imaged.emit(*of, result, True)
        self._next()


def image_layer(scan: Scan, drawn: Drawn, image: VirtualImage, part: bool = False) -> LayerData:
    """Return the layer of a virtual image, with the note that says how it was made."""
    name = image.name
    if drawn.centre != beam_centre(scan):
        name += "_at_{:g}_{:g}".format(*drawn.centre)
    result = MapResult(
        name + PART * part,
        image.image,
        scan.scan_step,
        "counts",
        colormap="gray",
        scan=(scan.name, scan.signature),
    )
    parameters = {"detector": detector_text(drawn.shape), "centre": list(drawn.centre)}
    note = made(provenance("virtual", parameters, scan), maps=[result])
    (layer,) = map_layers(Origin.of(scan), result)
    layer[1]["metadata"][KEY]["provenance"] = [note | {"part": True} if part else note]
    return layer


def beam_centre(scan: Scan) -> tuple[float, float]:
    """Return where the dock has its zero, ``(ky, kx)``: the middle where the file states none."""
    ky, kx = scan.detector_shape
    return scan.centre or ((ky - 1) / 2, (kx - 1) / 2)
