"""What a map, or two, says about classes: ranges on a histogram, gates and sectors in a plane."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_ferro4d.embedding import (
    Sector,
    gate,
    histogram,
    propose_directions,
    propose_gates,
    propose_ranges,
)
from napari_ferro4d.errors import ScanError
from napari_ferro4d.viewer.layers import Colour
from napari_ferro4d.viewer.widgets import (
    Gate,
    GatePlane,
    HistogramView,
    Number,
    Place,
    Range,
    RangeEnds,
    beside,
    form,
)

Classes = Mapping[int, tuple[str, Colour]]
"""Name and colour of classes, by number."""

_DIRECTION = "direction"


class RangeEditor(QWidget):
    """A range of one map's values for each class, dragged on its histogram."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.view = HistogramView()
        self.view.setToolTip(
            "Drag to choose a range of values for the class above; drag its edges or the range\n"
            "itself to change it; a double click removes it. Triangles are peaks."
        )
        self.ends = RangeEnds()
        self._map: np.ndarray | None = None
        self._ranges: dict[int, Range] = {}
        self._classes: Classes = {}
        self._class = 0
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.view)
        column.addWidget(self.ends)
        self.view.dragged.connect(self._on_chosen)
        self.ends.typed.connect(self._on_chosen)

    @property
    def ranges(self) -> dict[int, Range]:
        """The ends ``(low, high)`` by class."""
        return {number: ends for number, ends in self._ranges.items() if number in self._classes}

    def begin(self) -> None:
        """Forget the ranges: they were those of another map."""
        self._ranges = {}

    def show_map(self, values: np.ndarray) -> None:
        """Show a map ``[y, x]``, or what has become of it."""
        if values is not self._map:
            self._map = values
            self._show(values)

    def set_class(self, number: int, classes: Classes) -> None:
        """Say for which class a range is dragged, and what classes there are."""
        self._class, self._classes = number, classes
        self._show_ranges()

    def proposals(self) -> np.ndarray:
        """Return what is proposed by the map shown, integer ``[y, x]``."""
        assert self._map is not None
        return propose_ranges(self._map, self.ranges)

    def _show(self, values: np.ndarray) -> None:
        try:
            shown = histogram(values)
        except ScanError:  # no finite value: nothing to show
            shown = None
        self.view.show_histogram(shown, self._ranges.get(self._class))
        if shown is not None:
            self.ends.set_limits(float(shown.edges[0]), float(shown.edges[-1]))
        self._show_ranges()

    def _show_ranges(self) -> None:
        if self._class in self._classes:
            self.view.set_colour(self._classes[self._class][1])
        self.view.set_range(self._ranges.get(self._class))
        self.ends.show_range(self._ranges.get(self._class))
        others = [
            (ends, self._classes[n][1]) for n, ends in self.ranges.items() if n != self._class
        ]
        self.view.show_others(others)

    def _on_chosen(self, chosen: Range | None) -> None:
        if chosen is None:
            self._ranges.pop(self._class, None)
        else:
            self._ranges[self._class] = chosen
        self.changed.emit()


class PlaneEditor(QWidget):
    """Two maps against each other: lassos for each class, or directions where they are a vector."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._maps: tuple[np.ndarray, np.ndarray] | None = None
        self._gates: dict[int, list[list[Place]]] = {}
        self._sectors: dict[int, Sector] = {}
        self._classes: Classes = {}
        self._class = 0
        self._directions: Mapping[int, float] = {}
        self._vector = False
        self.by = QComboBox()
        self.by.addItems(["lasso", _DIRECTION])
        self.by.setToolTip(
            "lasso: draw around values in the plane, for the class above.\n"
            "direction: of the vector that the two maps are the components of."
        )
        self.plane = GatePlane()
        self.plane.setToolTip(
            "How often pairs of values of the two maps occur (logarithmic). Draw around some of\n"
            "them with the mouse: their probe positions are proposed for the class above."
        )
        self.remove = QPushButton("Remove gate")
        self.remove.setToolTip("Remove the newest gate of the class above.")
        self.direction = Number(
            suffix="°",
            min=-360,
            max=360,
            step=5,
            tooltip="Of the class above, from right towards down: 90 is down.",
        )
        self.spread = Number(
            prefix="± ", suffix="°", min=1, max=180, step=5, tooltip="To either side of it."
        )
        self.least = Number(
            label="Longer than",
            decimals=2,
            min=0,
            max=1e6,
            step=0.05,
            tooltip="Vectors that are shorter propose nothing, in units of the maps.",
        )
        self._fields = QWidget()
        self._lay_out()
        self.by.currentTextChanged.connect(self._on_by)
        self.plane.drawn.connect(self._on_drawn)
        self.remove.clicked.connect(self._on_remove)
        for field in (self.direction, self.spread):
            field.changed.connect(self._on_sector)
        self.least.changed.connect(self._on_least)

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.addWidget(self.by, 1)
        top.addWidget(self.remove, 1)
        fields = form()
        angles = beside("Direction", self.direction, self.spread)
        fields.addRow(angles.label, angles.native)
        fields.addRow(self.least.label, self.least.native)
        self._fields.setLayout(fields)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(top)
        column.addWidget(self.plane)
        column.addWidget(self._fields)

    @property
    def sectors(self) -> dict[int, Sector]:
        """Directions by class."""
        return {n: one for n, one in self._sectors.items() if n in self._classes}

    @property
    def gates(self) -> dict[int, list[list[Place]]]:
        """Polygons of corners ``(a, b)`` by class."""
        return {n: polygons for n, polygons in self._gates.items() if n in self._classes}

    @property
    def said(self) -> bool:
        """Whether the plane is divided at all."""
        return bool(self.sectors if self._by_direction else any(self.gates.values()))

    def begin(self) -> None:
        """Forget gates and directions: they were those of other maps."""
        self._gates, self._sectors = {}, {}
        with self.least.changed.blocked():
            self.least.value = 0.0

    def show_maps(
        self,
        across: np.ndarray,
        other: np.ndarray,
        names: tuple[str, str],
        vector: bool,
    ) -> None:
        """Show two maps ``[y, x]``, or what has become of them.

        Parameters
        ----------
        across, other : ndarray
            Drawn to the right, and up; or down where they are the components of a vector.
        names : tuple of str
            Of the two.
        vector : bool
            Whether they are components, right and down.
        """
        self._maps, self._vector = (across, other), vector
        self.by.setVisible(vector)
        self.plane.show_channels(across, other, names, vector)
        self._show()

    def set_class(self, number: int, classes: Classes, directions: Mapping[int, float]) -> None:
        """Say for which class is drawn, what classes there are, and which directions they have."""
        self._class, self._classes, self._directions = number, classes, directions
        self._show()

    def proposals(self) -> np.ndarray:
        """Return what is proposed by the maps shown, integer ``[y, x]``."""
        assert self._maps is not None
        if self._by_direction:
            right, down = self._maps
            return propose_directions(down, right, self.sectors, self.least.value)
        return propose_gates(*self._maps, self.gates)

    @property
    def _by_direction(self) -> bool:
        return self._vector and self.by.currentText() == _DIRECTION

    def _show(self) -> None:
        by_direction = self._by_direction
        self._fields.setVisible(by_direction)
        self.remove.setVisible(not by_direction)
        self.remove.setEnabled(bool(self._gates.get(self._class)))
        self.plane.set_drawable(not by_direction)
        if by_direction:
            self._divide()
            sector = self._sectors.get(self._class, Sector(0, 90))
            with self.direction.changed.blocked(), self.spread.changed.blocked():
                self.direction.value, self.spread.value = sector.direction, sector.width / 2
        outlines = self._sector_outlines() if by_direction else self.gates
        self.plane.show_gates(
            [
                Gate(0, 1, tuple(polygon), number, self._classes[number][1])
                for number, polygons in outlines.items()
                for polygon in polygons
            ]
        )

    def _divide(self) -> None:
        """Begin with the directions that the classes have, or else with some all around."""
        whole = 360 / max(len(self._classes), 1)
        for place, number in enumerate(self._classes):
            direction = self._directions.get(number, place * whole)
            self._sectors.setdefault(number, Sector(direction, min(0.75 * whole, 180)))

    def _sector_outlines(self) -> dict[int, list[list[Place]]]:
        """Return the parts of the plane that sectors cover, beyond the ends of its axes."""
        axes = self.plane.axes
        far = 4 * float(np.abs([*axes.get_xlim(), *axes.get_ylim()]).max())
        near = min(self.least.value, far)
        outlines = {}
        for number, one in self.sectors.items():
            ends = one.direction - one.width / 2, one.direction + one.width / 2
            angles = np.radians(np.linspace(*ends, 33))
            ring = [(near, angles), (far, angles[::-1])]
            corners = [np.column_stack([r * np.cos(t), r * np.sin(t)]) for r, t in ring]
            outlines[number] = [[(float(a), float(b)) for a, b in np.concatenate(corners)]]
        return outlines

    def _on_by(self, text: str) -> None:
        self._show()
        self.changed.emit()

    def _on_drawn(self, polygon: list[Place]) -> None:
        if self._maps is None or self._class not in self._classes:
            return
        if gate(*self._maps, polygon).any():
            self._gates.setdefault(self._class, []).append(polygon)
        self._show()
        self.changed.emit()

    def _on_remove(self) -> None:
        if self._gates.get(self._class):
            self._gates[self._class].pop()
        self._show()
        self.changed.emit()

    def _on_sector(self, value: float) -> None:
        if self._class in self._classes:
            self._sectors[self._class] = Sector(self.direction.value, 2 * self.spread.value)
        self._on_least(value)

    def _on_least(self, value: float) -> None:
        self._show()
        self.changed.emit()
