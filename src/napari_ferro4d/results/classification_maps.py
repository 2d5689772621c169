"""Maps made of the probabilities of a classification: how sure, and all classes in colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_ferro4d.scan import Scan

from .ome_images import MapResult

if TYPE_CHECKING:
    from napari_ferro4d.learn import Classification

Colour = tuple[float, float, float, float]


def confidence_result(result: Classification, scan: Scan) -> MapResult:
    """Return the probability of the class predicted at every position."""
    return MapResult(
        "confidence",
        result.confidence,
        scan.scan_step,
        colormap="viridis",
        contrast_limits=(1 / len(result.classes), 1.0),
        scan=(scan.name, scan.signature),
    )


def mixture_result(
    result: Classification, scan: Scan, name: str, colours: Mapping[int, Sequence[float]]
) -> MapResult:
    """Return an image in which every class adds its colour, as strong as it is probable.

    Parameters
    ----------
    result : Classification
        Of the scan.
    scan : Scan
        Of which it is.
    name : str
        Of the map.
    colours : mapping
        Red, green and blue in 0..1 by class number; classes that are not in it stay dark.

    References
    ----------
    Hardy et al. (2025), arXiv:2510.00693, Fig. 5: three classes in red, green and blue.
    """
    mixing = np.array([tuple(colours.get(n, (0, 0, 0)))[:3] for n in result.classes], np.float32)
    known = np.nan_to_num(result.probability)
    image = np.einsum("cyx,cr->yxr", known, mixing)
    data = np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)
    return MapResult(name, data, scan.scan_step, rgb=True, scan=(scan.name, scan.signature))
