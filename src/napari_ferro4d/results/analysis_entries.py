"""What each analysis writes to a results folder, under the names other tools rely on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from .ome_images import LabelResult, MapResult

if TYPE_CHECKING:
    from napari_ferro4d.learn import Classification, Embedding
    from napari_ferro4d.reduce import ComMaps, Saturation
    from napari_ferro4d.scan import Scan


def virtual_result(image: np.ndarray, scan: Scan, name: str) -> MapResult:
    """Return a virtual image, counts ``[y, x]``, under its name."""
    return MapResult(name, image, scan.scan_step, "counts", colormap="gray", scan=_of(scan))


def saturation_result(found: Saturation, scan: Scan) -> MapResult:
    """Return ``saturated``: the number of saturated pixels of every pattern."""
    return MapResult(
        "saturated", found.image, scan.scan_step, "pixels", colormap="magma", scan=_of(scan)
    )


def com_results(maps: ComMaps, scan: Scan) -> list[MapResult]:
    """Return ``sum``, ``com_y``, ``com_x``, ``com_magnitude`` and, in colour, ``com_direction``."""
    from napari_ferro4d.reduce import direction_colours

    field = np.concatenate([maps.com_y.ravel(), maps.com_x.ravel()])
    field = field[np.isfinite(field)]
    # Both components on one scale, zero in the middle, so that they can be compared by eye.
    limit = float(np.percentile(np.abs(field), 99.5)) if field.size else 0.0
    limits = (-limit, limit) if limit > 0 else None
    step, of = scan.scan_step, _of(scan)
    return [
        MapResult("sum", maps.sum, step, "counts", colormap="gray", scan=of),
        MapResult(
            "com_y", maps.com_y, step, "px", colormap="PiYG", contrast_limits=limits, scan=of
        ),
        MapResult(
            "com_x", maps.com_x, step, "px", colormap="PiYG", contrast_limits=limits, scan=of
        ),
        MapResult("com_magnitude", maps.magnitude, step, "px", colormap="magma", scan=of),
        MapResult(
            "com_direction", direction_colours(maps.com_y, maps.com_x), step, rgb=True, scan=of
        ),
    ]


def _of(scan: Scan) -> tuple[str, str]:
    return scan.name, scan.signature


def com_parameters(
    maps: ComMaps, mask_radius: float | None, descan: str
) -> dict[str, float | str | list[float] | None]:
    """Return what was computed, for the provenance: the centre and angle found, not "auto"."""
    return {
        "centre": [float(c) for c in maps.centre],
        "mask_radius": mask_radius,
        "descan": descan,
        "rotation": float(maps.rotation),
    }


def embedding_result(embedding: Embedding, scan: Scan) -> MapResult:
    """Return ``embedding``: float32 ``[channel, y, x]``, every channel, and which are active."""
    return MapResult(
        "embedding",
        embedding.channels,
        scan.scan_step,
        channels=tuple(f"channel {number}" for number in range(len(embedding.channels))),
        colormap="viridis",
        active=embedding.active,
        scan=_of(scan),
    )


def classification_results(
    result: Classification,
    scan: Scan,
    labels: np.ndarray | None = None,
    classes: Mapping[int, str] | None = None,
    colours: Mapping[int, tuple[float, float, float, float]] | None = None,
) -> tuple[list[MapResult], list[LabelResult]]:
    """Return ``probability``, ``novelty`` where it is known, ``prediction``, and its ``labels``.

    Parameters
    ----------
    result : Classification
        What `napari_ferro4d.classify` returned.
    scan : Scan
        The scan it is of.
    labels : array, optional
        Integer ``[y, x]``.
    classes, colours : mapping, optional
        Names and colours by class number; by default those that the classifier was trained with.
    """
    known = result.class_names if classes is None else classes
    colours = result.class_colours if colours is None else colours
    names = {number: known.get(number, str(number)) for number in result.classes}
    probability = MapResult(
        "probability",
        result.probability,
        scan.scan_step,
        channels=tuple(names.values()),
        colormap="viridis",
        contrast_limits=(0.0, 1.0),
        scan=_of(scan),
    )
    style = (scan.scan_step, names, colours, _of(scan))
    images = [LabelResult("prediction", result.prediction, *style)]
    if labels is not None:
        images.append(LabelResult("labels", labels, *style))
    maps = [probability]
    if result.novelty is not None:
        maps.append(
            MapResult(
                "novelty",
                result.novelty,
                scan.scan_step,
                colormap="magma",
                contrast_limits=(0.0, 2.0),  # in the middle: 1, above which a pattern is unlike
                scan=_of(scan),
            )
        )
    return maps, images
