"""The layers of a scan that labels can be proposed from, and regions drawn on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ferro4d.results import LabelResult, read_label_result
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import (
    KEY,
    PROPOSED,
    TRUTH,
    Colour,
    Origin,
    classes_of,
    colours_of,
    insert_layer,
    label_layer,
    layer_info,
    real_space,
    shown_name,
)

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels, Layer, Shapes

MOST_VALUES = 32
"""An image with more whole numbers than this is a map, not one of labels."""

_REGION = "region"


def is_source(layer: Any, scan: Scan, labels: Labels | None) -> bool:
    """Return whether labels of a scan can be proposed from a layer: a map or a label image."""
    if layer is labels or not (hasattr(layer, "brush_size") or is_map(layer, scan)):
        return False
    info = layer_info(layer)
    ours = info.get("signature", "") in ("", scan.signature)
    kept_apart = info.get("name") in (PROPOSED, TRUTH, "corrections")
    return tuple(layer.data.shape) == scan.scan_shape and ours and not kept_apart


def is_map(layer: Any, scan: Scan) -> bool:
    """Return whether a layer is an image ``[y, x]`` of a scan's shape, in grey."""
    return (
        hasattr(layer, "contrast_limits")
        and not hasattr(layer, "brush_size")
        and not getattr(layer, "rgb", False)
        and not getattr(layer, "multiscale", False)
        and tuple(layer.data.shape) == scan.scan_shape
        and layer_info(layer).get("signature", "") in ("", scan.signature)
    )


def label_image(layer: Layer) -> np.ndarray | None:
    """Return the label image in a layer, integer ``[y, x]``; None if it is a map."""
    data = np.asarray(layer.data)
    if hasattr(layer, "brush_size"):
        return data
    if data.dtype.kind not in "uib" or len(np.unique(data)) > MOST_VALUES:
        return None
    return data.astype(np.uint8) if data.dtype.kind == "b" else data


def value_style(layer: Layer, image: np.ndarray) -> tuple[dict[int, str], dict[int, Colour]]:
    """Return names and colours of the values of a label image, where its layer has some."""
    if not hasattr(layer, "brush_size"):
        return {}, {}
    numbers = sorted({int(n) for n in np.unique(image) if n > 0})
    return classes_of(layer), colours_of(layer.colormap, numbers)


def are_components(right: Layer, down: Layer) -> bool:
    """Return whether two maps are the components of the centre of mass, right and down."""
    names = [layer_info(layer).get("name") for layer in (right, down)]
    return names == ["com_x", "com_y"]


def add_label_image(viewer: ViewerModel, scan: Scan, path: str) -> Labels:
    """Read a label image of a scan from a file, and add it as a hidden layer.

    Raises
    ------
    ScanError
        If it cannot be read, or is not of the scan's shape.
    """
    read = read_label_result(path, scan.scan_shape)
    result = LabelResult(read.name, read.data, scan.scan_step, read.classes, read.colours)
    active = viewer.layers.selection.active
    layer = insert_layer(viewer, *label_layer(Origin.of(scan), result, visible=False))
    viewer.layers.selection.active = active
    return layer


def add_region(viewer: ViewerModel, scan: Scan) -> Shapes:
    """Add a layer to draw regions on, ready to draw around one with the mouse."""
    info = {"name": _REGION, "scan": scan.name, "signature": scan.signature}
    keywords = {
        "ndim": 2,
        "name": f"{shown_name(scan)} {_REGION}",
        "metadata": {KEY: info},
        "face_color": "transparent",
        "edge_color": "white",
        "edge_width": max(0.3, 0.008 * min(scan.scan_shape)),
        **real_space(scan.scan_step),
    }
    layer = insert_layer(viewer, [], keywords, "shapes")
    viewer.layers.selection.active = layer
    layer.mode = "add_polygon_lasso"
    return layer


def polygons_on(shapes: Shapes, like: Layer) -> list[np.ndarray]:
    """Return the areas in a shapes layer as corners ``[corner, 2]`` in the pixels of another."""
    polygons = []
    for kind, corners in zip(shapes.shape_type, shapes.data, strict=True):
        if str(kind) == "ellipse":
            angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)[:, None]
            one, two, three = corners[0], corners[1], corners[2]
            middle = (one + three) / 2
            axes = (two - one) / 2, (three - two) / 2
            corners = middle + np.cos(angles) * axes[0] + np.sin(angles) * axes[1]
        elif str(kind) not in ("polygon", "rectangle"):
            continue
        world = [shapes.data_to_world(corner) for corner in corners]
        polygons.append(np.array([like.world_to_data(place[-2:]) for place in world]))
    return polygons
