"""The virtual detector that the user draws on the pattern, drags and resizes.

It is shown as a shapes layer. The mouse is listened to on the canvas itself, so that a disk stays a
disk, whatever layer is active and whatever tools napari offers for shapes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_ferro4d.reduce import Polygon

from .detector_shapes import Drawn, Point, grab, outlines, without_corner

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Shapes

_COLOUR = "#56b4e9"

_REACH = 8.0
"""How near, in pixels of the screen, counts as on an edge or a corner."""


class DetectorTool(QObject):
    """One virtual detector on the canvas of a pattern.

    Parameters
    ----------
    canvas : napari.components.ViewerModel
        Shows the pattern as its first layer.
    """

    changed = Signal(object)
    """The user drew, moved or resized the detector, a `Drawn`."""

    def __init__(self, canvas: ViewerModel) -> None:
        super().__init__()
        self._canvas = canvas
        self._drawn: Drawn | None = None
        self._corners: list[Point] | None = None
        self._layer: Shapes | None = None
        self._space: dict[str, Any] = {}
        self._step: np.ndarray = np.ones(2)
        self._centre: Point = (0.0, 0.0)
        canvas.mouse_drag_callbacks.append(self._on_drag)
        canvas.mouse_move_callbacks.append(self._on_move)
        # A double click ends a polygon; it may not zoom as well.
        canvas.mouse_double_click_callbacks[:] = [self._on_double_click]

    @property
    def drawn(self) -> Drawn | None:
        """The detector shown."""
        return self._drawn

    @property
    def drawing(self) -> bool:
        """Whether the user is drawing a polygon, corner by corner."""
        return self._corners is not None

    def set_space(self, space: dict[str, Any], step: tuple[float, float], centre: Point) -> None:
        """Say where pixels lie.

        Parameters
        ----------
        space : dict
            Scale, translation and units of the pattern's layer.
        step : tuple of float
            Size of a detector pixel in the units of the canvas.
        centre : tuple of float
            Zero of the canvas in detector pixels ``(ky, kx)``.
        """
        self._space, self._step, self._centre = space, np.asarray(step), centre

    def show(self, drawn: Drawn | None) -> None:
        """Show a detector, or none."""
        self._drawn, self._corners = drawn, None
        self._draw([] if drawn is None else outlines(drawn))

    def draw_polygon(self, centre: Point) -> None:
        """Let the user click corner after corner of a polygon about a beam centre."""
        self.show(None)
        self._corners, self._beam = [], centre

    def redraw(self) -> None:
        """Show the detector again on a canvas that was emptied."""
        if self._drawn is not None:
            self._draw(outlines(self._drawn))

    def _draw(self, lines: list[np.ndarray]) -> None:
        if self._layer not in self._canvas.layers:
            self._layer = None
        if self._layer is None:
            if not lines or not self._canvas.layers:
                return  # shown once there is a pattern
            self._layer = self._canvas.add_shapes(
                ndim=2,
                name="detector",
                opacity=1.0,
                **self._space,
            )
            # Or napari's own keys and tools for shapes would change them.
            self._canvas.layers.selection.active = self._canvas.layers[0]
        if self._layer.visible != bool(lines):
            self._layer.visible = bool(lines)
        if lines:
            more = self._layer.nshapes != len(lines)
            # Paths, because what lies inside another shape would be hidden by it.
            self._layer.data = [(line, "path") for line in lines]
            if more:  # napari gives shapes that it has not had before its own colours
                self._layer.edge_color = _COLOUR
                self._layer.edge_width = 0.006 * max(self._canvas.layers[0].data.shape)

    def _pixel(self, event: Any) -> Point:
        y, x = np.asarray(event.position)[-2:] / self._step + self._centre
        return float(y), float(x)

    def _reach(self, event: Any) -> float:
        return float(_REACH / event.camera_zoom / self._step.max())

    def _on_drag(self, canvas: ViewerModel, event: Any) -> Iterator[None]:
        if event.button != 1:
            return
        if self._corners is not None:
            # A drag pans also while a polygon is drawn: only a click is a corner.
            pressed, moved = self._pixel(event), False
            yield
            while event.type == "mouse_move":
                moved = moved or _apart(self._pixel(event), pressed) > self._reach(event)
                yield
            if not moved:
                self._add_corner(pressed, self._reach(event))
            return
        held = None
        if self._drawn is not None:
            held = grab(self._drawn, self._pixel(event), self._reach(event))
        if held is None:
            return
        event.handled = True  # the camera stays where it is
        yield
        while event.type == "mouse_move":
            self._take(held(self._pixel(event)))
            event.handled = True
            yield

    def _take(self, drawn: Drawn) -> None:
        if drawn != self._drawn:
            self._drawn = drawn
            self.changed.emit(drawn)  # first: the image is made while the line is drawn
            self._draw(outlines(drawn))

    def _add_corner(self, at: Point, reach: float) -> None:
        assert self._corners is not None
        if len(self._corners) >= 3 and _apart(at, self._corners[0]) <= reach:
            self._end_polygon()
        elif not self._corners or _apart(at, self._corners[-1]) > 0:
            self._corners.append(at)
            self._draw_path(at)

    def _draw_path(self, to: Point) -> None:
        self._draw([np.array([*(self._corners or []), to])])

    def _end_polygon(self) -> None:
        corners, self._corners = self._corners or [], None
        ky, kx = self._beam
        shape = Polygon(tuple((round(y - ky, 1), round(x - kx, 1)) for y, x in corners))
        self._take(Drawn(shape, self._beam))

    def _on_double_click(self, canvas: ViewerModel, event: Any) -> None:
        reach = self._reach(event)
        if self._corners is not None:
            if len(self._corners) >= 2 and _apart(self._pixel(event), self._corners[-1]) > reach:
                self._corners.append(self._pixel(event))
            if len(self._corners) >= 3:
                self._end_polygon()
        elif self._drawn is not None:
            self._take(without_corner(self._drawn, self._pixel(event), reach))

    def _on_move(self, canvas: ViewerModel, event: Any) -> None:
        at, held = self._pixel(event), False
        if self._corners:
            self._draw_path(at)
        elif self._drawn is not None:
            held = grab(self._drawn, at, self._reach(event)) is not None
        canvas.cursor.style = "pointing" if held or self.drawing else "standard"


def _apart(one: Point, other: Point) -> float:
    return float(np.hypot(one[0] - other[0], one[1] - other[1]))
