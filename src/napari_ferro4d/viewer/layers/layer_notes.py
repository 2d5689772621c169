"""Our notes on layers: what a layer shows, of which scan, and how it is found again.

They go by a layer's metadata, not by its name, so that a user may rename layers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from napari_ferro4d.results import LabelResult, MapResult
from napari_ferro4d.scan import Scan

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

KEY = "ferro4d"
"""Where our notes are in a layer's metadata: the `Scan`, or a mapping that says what it shows."""

EARLIER_PREDICTION = "earlier prediction"
"""What a prediction is called in our notes once a newer one of the same scan takes decisions."""

TRUTH = "truth"
"""What the labels of a simulated scan are called in our notes."""

PROPOSED = "proposed"
"""What the labels that other maps propose are called in our notes."""

SUGGESTED = "suggested"
"""What the points at positions to label next are called in our notes."""

LOCKED = ("corrections", EARLIER_PREDICTION, TRUTH, PROPOSED)
"""Labels layers that are not painted on: derived, out of use, known, or proposed."""


def scan_of(layer: Layer) -> Scan | None:
    """Return the scan that `layer` shows, or None if it shows something else."""
    scan = layer.metadata.get(KEY)
    return scan if isinstance(scan, Scan) else None


def scans_in(viewer: ViewerModel) -> list[tuple[Layer, Scan]]:
    """Return the scans in a viewer with their layers, newest last."""
    return [(layer, scan) for layer in viewer.layers if (scan := scan_of(layer)) is not None]


def layer_info(layer: Layer) -> Mapping[str, Any]:
    """Return our notes on a map or labels layer; empty for layers that others made."""
    info = layer.metadata.get(KEY)
    return info if isinstance(info, Mapping) else {}


def is_ours(layer: Layer) -> bool:
    """Return whether a map layer still shows what we put there."""
    return layer.data is layer_info(layer).get("array")


def renote(layer: Layer, **changes: Any) -> None:
    """Change our notes on a layer."""
    layer.metadata = {**layer.metadata, KEY: {**layer_info(layer), **changes}}


def find_layer(
    viewer: ViewerModel, signature: str, name: str, channel: str | None = None
) -> Layer | None:
    """Return the layer that shows result `name` of the scan with this signature, if there is one.

    Goes by our notes, not by the layer's name, so that a user may rename layers.
    """
    for layer in viewer.layers:
        info = layer_info(layer)
        if (info.get("name"), info.get("signature")) == (name, signature) and info.get(
            "channel"
        ) == channel:
            return layer
    return None


def made(
    entry: Mapping[str, Any],
    maps: Iterable[MapResult] = (),
    labels: Iterable[LabelResult] = (),
) -> dict[str, Any]:
    """Return a provenance entry that names the results made, as it is when read from a file."""
    names = [f"maps/{one.name}" for one in maps] + [f"labels/{one.name}" for one in labels]
    as_read: dict[str, Any] = json.loads(json.dumps({"made": names, **entry}))
    return as_read
