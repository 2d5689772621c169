"""The positions to label next: a layer of numbered points.

All of them are kept in the notes of the layer, in their order; those that are labelled have no
point, until their label is taken back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import (
    KEY,
    SUGGESTED,
    add_layers,
    find_layer,
    layer_info,
    real_space,
    shown_name,
)

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Points

Position = tuple[int, int]


class Suggested:
    """The suggested positions of one scan.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        The viewer with the scan.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._scan: Scan | None = None
        self._last = -1
        """Index of the suggestion where the probe was last."""

    @property
    def layer(self) -> Points | None:
        """The points layer; None before the first suggestion, and after the user deleted it."""
        if self._scan is None:
            return None
        return find_layer(self._viewer, self._scan.signature, SUGGESTED)

    @property
    def positions(self) -> list[Position]:
        """All that were suggested ``(y, x)``, best first, labelled or not."""
        layer = self.layer
        return [] if layer is None else list(layer_info(layer)["positions"])

    @property
    def left(self) -> list[int]:
        """The indices of those that are not labelled yet."""
        layer = self.layer
        return [] if layer is None else [int(rank) - 1 for rank in layer.features["rank"]]

    def set_scan(self, scan: Scan | None) -> None:
        """Go on with the suggestions of another scan."""
        self._scan, self._last = scan, -1

    def show(self, positions: np.ndarray) -> None:
        """Show other positions ``[n, (y, x)]``, best first, in place of those before."""
        scan, old, layers = self._scan, self.layer, self._viewer.layers
        assert scan is not None
        # Who paints, or has chosen a map, goes on with that.
        active = layers.selection.active
        if old is not None:
            layers.remove(old)
        self._last = -1
        if len(positions):
            layer = add_layers(self._viewer, [_layer(scan, positions)])[0]
            layer.editable = False
        if active is not None and active is not old:
            layers.selection.active = active

    def follow(self, labels: np.ndarray | None) -> None:
        """Show no points at positions that are labelled in `labels`, integer ``[y, x]``."""
        layer, positions = self.layer, self.positions
        if layer is None or labels is None:
            return
        left = [index for index, position in enumerate(positions) if not labels[position]]
        if left != self.left:
            # Not by `Points.shown`, which napari heeds only where it shows a slice of the points.
            layer.data = np.array([positions[index] for index in left], float).reshape(-1, 2)
            layer.features = {"rank": np.array(left, int) + 1}

    def visit(self, position: Position) -> int | None:
        """Note that the probe is at a position; return its index among those suggested."""
        positions = self.positions
        if position not in positions:
            return None
        self._last = positions.index(position)
        return self._last

    def next(self) -> Position | None:
        """Return the suggestion after the one visited last, or the first one left."""
        left = [index for index in self.left if index != self._last]
        if not left:
            return None
        return self.positions[next((index for index in left if index > self._last), left[0])]


def _layer(scan: Scan, positions: np.ndarray) -> tuple[np.ndarray, dict[str, object], str]:
    steps = scan.scan_step or (1.0, 1.0)
    notes = {
        "name": SUGGESTED,
        "scan": scan.name,
        "signature": scan.signature,
        "positions": [(int(y), int(x)) for y, x in positions],
    }
    keywords = {
        "name": f"{shown_name(scan)} suggested",
        "metadata": {KEY: notes},
        "features": {"rank": np.arange(1, len(positions) + 1)},
        "text": {
            "string": "{rank}",
            "size": 11,
            "color": "#ffe600",
            "anchor": "lower_left",
            # Beside the point, not on what is to be looked at.
            "translation": [sign * step for sign, step in zip((-0.4, 0.8), steps, strict=True)],
        },
        "symbol": "disc",
        "size": 1.0,
        "face_color": "white",
        "border_color": "black",
        "border_width": 0.15,
        "canvas_size_limits": (6, 14),
        **real_space(scan.scan_step),
    }
    return np.asarray(positions, float), keywords, "points"
