"""What the analyses return, as named maps and label images for layers and results folders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from napari_ferro4d.io import LabelResult, MapResult
from napari_ferro4d.scan import Scan

if TYPE_CHECKING:
    from napari_ferro4d.learn import Classification, Embedding
    from napari_ferro4d.reduce import ComMaps

__all__ = ["com_results", "embedding_results", "prediction_result", "probability_results"]


def com_results(maps: ComMaps, scan: Scan) -> list[MapResult]:
    """Return the layers of a centre of mass, the one to look at first last."""
    from napari_ferro4d.reduce import direction_colours

    def component(name: str, data: np.ndarray) -> MapResult:
        # Symmetric about zero, so that white means no shift and opposite shifts look opposite.
        reach = float(np.percentile(np.abs(data[np.isfinite(data)]), 99.5)) or 1.0
        return MapResult(name, data, scan.scan_step, "px", (), "coolwarm", (-reach, reach))

    return [
        component("com_y", maps.com_y),
        component("com_x", maps.com_x),
        MapResult("magnitude", maps.magnitude, scan.scan_step, "px", colormap="magma"),
        MapResult("direction", direction_colours(maps.com_y, maps.com_x), scan.scan_step, rgb=True),
    ]


def embedding_results(embedding: Embedding, scan: Scan) -> MapResult | None:
    """Return the active channels of an embedding; None if no channel is active."""
    active = list(embedding.active)
    if not active:
        return None
    return MapResult(
        "embedding",
        embedding.channels[active],
        scan.scan_step,
        channels=tuple(str(number) for number in active),
        colormap="viridis",
    )


def prediction_result(
    prediction: np.ndarray,
    scan: Scan,
    classes: Mapping[int, str],
    colours: Mapping[int, tuple[float, float, float, float]],
) -> LabelResult:
    """Return predicted class numbers, with the names and colours of the classes."""
    return LabelResult("prediction", prediction, scan.scan_step, dict(classes), dict(colours))


def probability_results(result: Classification, scan: Scan) -> MapResult:
    """Return one probability map per class."""
    return MapResult(
        "probability",
        result.probability,
        scan.scan_step,
        channels=tuple(str(number) for number in result.classes),
        colormap="magma",
        contrast_limits=(0.0, 1.0),
    )
