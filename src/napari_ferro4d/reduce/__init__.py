"""One pass over a scan gives real-space maps; knows neither Qt nor napari."""

from __future__ import annotations

from ._colour import colour_wheel, direction_colours
from ._com import ComMaps, com, rotate, rotation_of_least_curl
from ._detectors import Annulus, Disk, parse_detector
from ._engine import reduce_scan
from ._pass import over_blocks
from ._pattern import find_centre, mean_pattern
from ._preview import preview
from ._virtual import VirtualImage, virtual

__all__ = [
    "Annulus",
    "ComMaps",
    "Disk",
    "VirtualImage",
    "colour_wheel",
    "com",
    "direction_colours",
    "find_centre",
    "mean_pattern",
    "over_blocks",
    "parse_detector",
    "preview",
    "reduce_scan",
    "rotate",
    "rotation_of_least_curl",
    "virtual",
]
