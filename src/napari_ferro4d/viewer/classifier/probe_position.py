"""Move the probe of a scan from elsewhere than the dock that shows its pattern."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import find_layer


def move_probe(viewer: Any, scan: Scan, position: tuple[int, int]) -> None:
    """Move the probe to ``(y, x)``; where nobody shows patterns yet, the Diffraction dock opens."""
    probe = find_layer(viewer, scan.signature, "probe")
    if probe is None:
        _, dock = viewer.window.add_plugin_dock_widget("napari-ferro4d", "Diffraction")
        for layer in dock.scans.choices:
            if layer is not None and layer.metadata.get("ferro4d") is scan:
                dock.scans.choose(layer)
        probe = find_layer(viewer, scan.signature, "probe")
    if probe is not None:
        probe.data = np.array([position], dtype=float)
