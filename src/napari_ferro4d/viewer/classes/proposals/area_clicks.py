"""Clicks on the canvas that each mean a probe position, while a button is down."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels

_STILL = 4.0
"""How far, in pixels of the screen, the mouse may move between press and release of a click."""


class AreaClicks(QObject):
    """Listens to clicks on the canvas of a viewer, whatever layer is active.

    A drag still moves the camera. Painting, or choosing another layer, ends it.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        The viewer.
    """

    clicked = Signal(int, int)
    """A click at position ``(y, x)``, which may lie outside the scan."""

    ended = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._layer: Labels | None = None
        self._double_clicks: list[Any] = []

    @property
    def listening(self) -> bool:
        """Whether clicks are listened to."""
        return self._layer is not None

    def begin(self, layer: Labels) -> None:
        """Listen; `layer` says where positions are, and becomes the active one, not painted on.

        Undo, which napari gives to the active layer, undoes what a click did to the labels.
        """
        self.end()
        self._viewer.layers.selection.active = layer
        layer.mode = "pan_zoom"
        self._layer = layer
        layer.events.mode.connect(self._on_mode)
        self._viewer.layers.selection.events.active.connect(self.end)
        self._viewer.mouse_drag_callbacks.append(self._on_drag)
        # The second of two quick clicks is one like the first; it may not zoom.
        self._double_clicks = list(self._viewer.mouse_double_click_callbacks)
        self._viewer.mouse_double_click_callbacks[:] = [self._on_double_click]
        self._viewer.cursor.style = "crosshair"

    def end(self, event: Any = None) -> None:
        """Listen no longer."""
        if self._layer is None:
            return
        layer, self._layer = self._layer, None
        layer.events.mode.disconnect(self._on_mode)
        self._viewer.layers.selection.events.active.disconnect(self.end)
        self._viewer.mouse_drag_callbacks.remove(self._on_drag)
        self._viewer.mouse_double_click_callbacks[:] = self._double_clicks
        self._viewer.cursor.style = "standard"
        self.ended.emit()

    def _on_mode(self, event: Any) -> None:
        if self._layer is not None and str(self._layer.mode) != "pan_zoom":
            self.end()

    def _on_drag(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        if event.button != 1 or self._layer is None:
            return
        pressed, moved = np.asarray(event.pos), False
        yield
        while event.type == "mouse_move":
            moved = moved or np.hypot(*(np.asarray(event.pos) - pressed)) > _STILL
            yield
        if not moved:
            self._click(event)

    def _on_double_click(self, viewer: ViewerModel, event: Any) -> None:
        if event.button == 1:
            self._click(event)

    def _click(self, event: Any) -> None:
        if self._layer is not None:
            y, x = np.rint(self._layer.world_to_data(event.position)).astype(int)
            self.clicked.emit(int(y), int(x))
