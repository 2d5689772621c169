"""Virtual images made while the user drags the detector, off the GUI thread.

A pass that takes long shows what it knows so far, and is given up for the next detector.
"""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal

from napari_ferro4d.jobs import Progress
from napari_ferro4d.reduce import VirtualImage, detector_text, virtual
from napari_ferro4d.results import MapResult, provenance
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import KEY, LayerData, Origin, beam_centre, made, map_layers
from napari_ferro4d.viewer.widgets import PART, LatestJob, Request, reporting_layers

from .detector_shapes import Drawn

_GIVE_UP_S = 0.25
"""A pass that has run this long is not waited for when another detector is wanted."""


class LiveImage(LatestJob):
    """Make virtual images of a scan, one after the other.

    ``imaged`` gives the scan, the detector, the layer of its image, and whether that is complete.
    """

    imaged = Signal(object, object, object, bool)

    def request(self, scan: Scan, drawn: Drawn) -> None:
        """Ask for the image of `drawn`; replaces a request that has not been started."""
        self.ask((scan, drawn))

    def work(self, request: Request) -> None:
        """Make an image, and layers of it on the way."""
        scan, drawn = request.wanted

        def layers(partial: list[VirtualImage]) -> list[LayerData]:
            return [image_layer(scan, drawn, partial[0], part=True)]

        image = virtual(
            scan,
            drawn.shape,
            centre=drawn.centre,
            report=reporting_layers(self.report(request, _GIVE_UP_S), layers),
            progressive=True,
        )
        self.tell(request, image_layer(scan, drawn, image))

    def take(self, wanted: tuple[Scan, Drawn], what: Any) -> None:
        """Pass on the layer of an image, or of a part of it, and how far the pass is."""
        if not isinstance(what, Progress):
            self.imaged.emit(*wanted, what, True)
            return
        if what.partial is not None:
            self.imaged.emit(*wanted, what.partial[0], False)
        self.progressed.emit(what)


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
