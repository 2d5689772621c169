"""What each analysis writes to a results folder, under the names other tools rely on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from .results import LabelResult, MapResult

if TYPE_CHECKING:
    from napari_ferro4d.learn import Classification
    from napari_ferro4d.reduce import ComMaps

__all__ = ["classification_results", "com_results", "embedding_result"]

Step = tuple[float, float] | None


def com_results(maps: ComMaps, scan_step: Step) -> list[MapResult]:
    """Return ``sum``, ``com_y``, ``com_x``, ``com_magnitude`` and, in colour, ``com_direction``."""
    from napari_ferro4d.reduce import direction_colours

    field = np.concatenate([maps.com_y.ravel(), maps.com_x.ravel()])
    field = field[np.isfinite(field)]
    # Both components on one scale, zero in the middle, so that they can be compared by eye.
    limit = float(np.percentile(np.abs(field), 99.5)) if field.size else 0.0
    limits = (-limit, limit) if limit > 0 else None
    return [
        MapResult("sum", maps.sum, scan_step, "counts", colormap="gray"),
        MapResult("com_y", maps.com_y, scan_step, "px", colormap="PiYG", contrast_limits=limits),
        MapResult("com_x", maps.com_x, scan_step, "px", colormap="PiYG", contrast_limits=limits),
        MapResult("com_magnitude", maps.magnitude, scan_step, "px", colormap="magma"),
        MapResult("com_direction", direction_colours(maps.com_y, maps.com_x), scan_step, rgb=True),
    ]


def embedding_result(channels: np.ndarray, scan_step: Step) -> MapResult:
    """Return ``embedding``: float32 ``[channel, y, x]``, every channel, active or not."""
    names = tuple(f"channel {number}" for number in range(len(channels)))
    return MapResult("embedding", channels, scan_step, channels=names, colormap="viridis")


def classification_results(
    result: Classification,
    scan_step: Step,
    labels: np.ndarray | None = None,
    classes: Mapping[int, str] | None = None,
    colours: Mapping[int, tuple[float, float, float, float]] | None = None,
) -> tuple[list[MapResult], list[LabelResult]]:
    """Return ``probability`` and ``prediction``, and the ``labels`` it was trained on.

    Parameters
    ----------
    result : Classification
        What `napari_ferro4d.classify` returned.
    scan_step : tuple of float or None
        Distance between probe positions in nm.
    labels : array, optional
        Integer ``[y, x]``.
    classes, colours : mapping, optional
        Names and colours by class number.
    """
    names = {number: (classes or {}).get(number, str(number)) for number in result.classes}
    probability = MapResult(
        "probability",
        result.probability,
        scan_step,
        channels=tuple(names.values()),
        colormap="viridis",
        contrast_limits=(0.0, 1.0),
    )
    images = [LabelResult("prediction", result.prediction, scan_step, names, colours or {})]
    if labels is not None:
        images.append(LabelResult("labels", labels, scan_step, names, colours or {}))
    return [probability], images
