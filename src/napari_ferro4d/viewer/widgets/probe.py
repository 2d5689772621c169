"""The probe: a layer with one point, dragged with the mouse or stepped with the arrow keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import KEY, add_layers, find_layer, real_space, shown_name

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Points

_STEPS = {"Up": (-1, 0), "Down": (1, 0), "Left": (0, -1), "Right": (0, 1)}
_FAR = 10
"""Positions that an arrow key with Shift steps."""


class Probe(QObject):
    """The probe position of one scan, kept inside the scan and on whole positions.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer with the scan. Several docks may follow the probe in it.
    """

    moved = Signal(int, int)

    def __init__(self, viewer: Viewer) -> None:
        super().__init__(viewer.window._qt_window)
        self._viewer = viewer
        self._scan: Scan | None = None
        self._layer: Points | None = None
        self._position = (0, 0)
        self._snapping = False
        self._bind()

    @property
    def position(self) -> tuple[int, int]:
        """The probe position ``(y, x)``."""
        return self._position

    @property
    def layer(self) -> Points | None:
        """The points layer; None before a scan is set, and after the user deleted it."""
        return self._layer if self._layer in self._viewer.layers else None

    def set_scan(self, scan: Scan | None) -> None:
        """Move to a scan: to its probe layer, made in the middle of the scan if need be."""
        if self._layer is not None:
            self._layer.events.data.disconnect(self._on_data)
            self._layer.events.set_data.disconnect(self._on_set_data)
            self._layer = None
        self._scan = scan
        if scan is None:
            return
        found = find_layer(self._viewer, scan.signature, "probe")
        self._layer = layer = self._make(scan) if found is None else found
        layer.events.data.connect(self._on_data)
        # A drag emits `data` only when it ends; `set_data` comes with every move.
        layer.events.set_data.connect(self._on_set_data)
        self._take(self._read(layer), always=True)

    def step(self, dy: int, dx: int) -> None:
        """Move by whole positions, as far as the scan goes."""
        y, x = self._position
        self.move(y + dy, x + dx)

    def move(self, y: int, x: int) -> None:
        """Move to a position, or to the nearest one in the scan."""
        if self._scan is None:
            return
        if self.layer is None:
            self.set_scan(self._scan)
        self._snap(self._clipped(np.array([y, x])))

    def grab(self) -> None:
        """Make the probe the active layer, ready to drag."""
        if self.layer is None:
            self.set_scan(self._scan)
        if self._layer is not None:
            self._viewer.layers.selection.active = self._layer
            self._layer.mode = "select"

    def release(self) -> None:
        """Give the arrow keys to another dock that follows the probe, else back to napari."""
        self.set_scan(None)
        window = self.parent()
        if window is None:  # released before
            return
        self.setParent(None)
        others = window.findChildren(Probe)
        if others:
            others[-1]._bind()
            return
        for key in _STEPS:
            self._viewer.bind_key(key, None)
            self._viewer.bind_key(f"Shift-{key}", None)

    def _bind(self) -> None:
        for key, (dy, dx) in _STEPS.items():
            near, far = self._stepper(dy, dx), self._stepper(_FAR * dy, _FAR * dx)
            self._viewer.bind_key(key, near, overwrite=True)
            self._viewer.bind_key(f"Shift-{key}", far, overwrite=True)

    def _stepper(self, dy: int, dx: int) -> Any:
        def step(viewer: Any) -> None:
            self.step(dy, dx)

        return step

    def _make(self, scan: Scan) -> Points:
        extent = min(scan.scan_shape)
        keywords = {
            "name": f"{shown_name(scan)} probe",
            "metadata": {KEY: {"name": "probe", "scan": scan.name, "signature": scan.signature}},
            "symbol": "disc",
            "size": max(2.0, 0.05 * extent),
            # A ring: what lies under the probe stays visible.
            "face_color": "transparent",
            "border_color": "#ff2d55",
            "border_width": 0.15,
            "canvas_size_limits": (16, 40),
            **real_space(scan.scan_step),
        }
        middle = np.array([[n // 2 for n in scan.scan_shape]], dtype=float)
        layer = add_layers(self._viewer, [(middle, keywords, "points")])[0]
        layer.mode = "select"
        return layer

    def _read(self, layer: Points) -> tuple[int, int]:
        # Somebody may add points, or delete the one: the last one added is the probe.
        if len(layer.data) == 0:
            return self._position
        return self._clipped(layer.data[-1][-2:])

    def _clipped(self, position: np.ndarray) -> tuple[int, int]:
        assert self._scan is not None
        ny, nx = self._scan.scan_shape
        y, x = (int(v) for v in np.rint(position))
        return min(max(y, 0), ny - 1), min(max(x, 0), nx - 1)

    def _on_set_data(self, event: Any = None) -> None:
        if self._layer is not None and not self._snapping:
            self._take(self._read(self._layer))

    def _on_data(self, event: Any) -> None:
        if self._layer is None or self._snapping:
            return
        if str(getattr(event, "action", "")) not in ("changed", "added", "removed"):
            return
        position = self._read(self._layer)
        if np.array_equal(self._layer.data, [position]):  # as another dock has put it
            self._take(position)
        else:
            self._snap(position)

    def _snap(self, position: tuple[int, int]) -> None:
        if self._layer is not None:
            self._snapping = True
            try:
                self._layer.data = np.array([position], dtype=float)
            finally:
                self._snapping = False
        self._take(position)

    def _take(self, position: tuple[int, int], always: bool = False) -> None:
        if position != self._position or always:
            self._position = position
            self.moved.emit(*position)
