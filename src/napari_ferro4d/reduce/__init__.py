"""One pass over a scan gives real-space maps; knows neither Qt nor napari."""

from __future__ import annotations

from ._colour import colour_wheel, direction_colours
from ._com import ComMaps, centre_of_mass, com, rotate, rotation_of_least_curl
from ._correct import bad_pixels, correct
from ._detectors import Annulus, Disk, Polygon, Rectangle, detector_text, parse_detector
from ._engine import reduce_scan
from ._pass import over_blocks
from ._pattern import (
    PatternStatistics,
    find_centre,
    mean_pattern,
    pattern_statistics,
    radial_profile,
    radial_profiles,
    region_means,
)
from ._preview import preview
from ._reduction import Reduction
from ._saturation import Saturation, flag_saturation, saturated, saturation_limit
from ._tensor import load_tensor, reduce_tensor
from ._virtual import VirtualImage, virtual, virtual_image, virtual_images

__all__ = [
    "Annulus",
    "ComMaps",
    "Disk",
    "PatternStatistics",
    "Polygon",
    "Rectangle",
    "Reduction",
    "Saturation",
    "VirtualImage",
    "bad_pixels",
    "centre_of_mass",
    "colour_wheel",
    "com",
    "correct",
    "detector_text",
    "direction_colours",
    "find_centre",
    "flag_saturation",
    "load_tensor",
    "mean_pattern",
    "over_blocks",
    "parse_detector",
    "pattern_statistics",
    "preview",
    "radial_profile",
    "radial_profiles",
    "reduce_scan",
    "reduce_tensor",
    "region_means",
    "rotate",
    "rotation_of_least_curl",
    "saturated",
    "saturation_limit",
    "virtual",
    "virtual_image",
    "virtual_images",
]
