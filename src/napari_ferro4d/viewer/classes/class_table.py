"""A table of the classes in a labels layer: colour, name, direction, how many positions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtGui import QColor, QIcon, QKeyEvent, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
)

from napari_ferro4d.viewer.layers import (
    MOST_CLASSES,
    classes_of,
    colour_of,
    colours_of,
    directions_of,
    set_class_style,
    set_direction,
)

if TYPE_CHECKING:
    from napari.layers import Labels

_COLOUR, _NAME, _DIRECTION, _COUNT = range(4)
_ROW = 25  # pixels

_ARROWS = "→↘↓↙←↖↑↗"
"""Every 45 degrees from x (right) towards y (down)."""


class ClassTable(QTableWidget):
    """Shows the classes of one labels layer and follows what is painted on it.

    Clicking a row picks the class to paint with; a name or a direction can be edited, a colour
    double-clicked.
    """

    counted = Signal()

    picked = Signal(int)
    """The user chose the class to paint with."""

    def __init__(self) -> None:
        super().__init__(0, 4)
        self._layer: Labels | None = None
        self._filling = False
        self.setHorizontalHeaderLabels(["", "class", "P", "positions"])
        self.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked)
        rows, header = self.verticalHeader(), self.horizontalHeader()
        assert rows is not None and header is not None  # noqa: PT018
        rows.hide()
        rows.setDefaultSectionSize(_ROW)
        header.setFixedHeight(_ROW)
        header.setSectionResizeMode(_COLOUR, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(_DIRECTION, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_COUNT, QHeaderView.ResizeMode.ResizeToContents)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setToolTip(
            "Click a class to paint with it.\n"
            "Double-click a name to edit it, a colour to change it.\n"
            "P: direction of the polarization in degrees, 0 to the right, 90 down, if you know it."
        )
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.fill)
        self.itemChanged.connect(self._on_edited)
        self.cellClicked.connect(self._on_clicked)
        self.itemSelectionChanged.connect(self._on_selected)
        self.cellDoubleClicked.connect(self._on_double_clicked)
        self.fill()

    @property
    def counts(self) -> dict[int, int]:
        """Labelled positions per class, named classes without any included."""
        if self._layer is None:
            return {}
        numbers, counts = np.unique(np.asarray(self._layer.data), return_counts=True)
        found = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
        known = {*classes_of(self._layer), *list(found)[: MOST_CLASSES + 1]} - {0}
        return {number: found.get(number, 0) for number in sorted(known)}

    def set_layer(self, layer: Labels | None) -> None:
        """Show the classes of `layer`."""
        if layer is self._layer:
            return
        for event in self._events():
            event.disconnect(self._on_painted)
        if self._layer is not None:
            self._layer.events.selected_label.disconnect(self._on_picked)
        self._layer = layer
        for event in self._events():
            event.connect(self._on_painted)
        if layer is not None:
            layer.events.selected_label.connect(self._on_picked)
        self.fill()

    def add_class(self) -> int:
        """Add a class with the next free number and pick it; return the number."""
        if self._layer is None:
            return 0
        number = max(self.counts, default=0) + 1
        names = {**classes_of(self._layer), number: f"domain {number}"}
        self._restyle(names, {number: colour_of(number)})
        self._layer.selected_label = number
        self.selectRow(self.rowCount() - 1)
        return number

    def fill(self) -> None:
        """Read the layer again."""
        self._filling = True
        counts = self.counts
        self.setRowCount(len(counts))
        if self._layer is not None:
            names = classes_of(self._layer)
            colours = colours_of(self._layer.colormap, counts)
            directions = directions_of(self._layer)
            for row, (number, count) in enumerate(counts.items()):
                self._fill_row(row, number, names.get(number, ""), colours[number], count)
                self.setItem(row, _DIRECTION, QTableWidgetItem(_angle(directions.get(number))))
        rows = 1 + min(max(len(counts), 2), 5)
        self.setFixedHeight(rows * _ROW + 2 * self.frameWidth())
        self._filling = False
        self._on_picked()
        self.counted.emit()

    def _fill_row(
        self, row: int, number: int, name: str, colour: tuple[float, ...], count: int
    ) -> None:
        pixmap = QPixmap(14, 14)
        pixmap.fill(QColor.fromRgbF(*colour[:3]))
        swatch = QTableWidgetItem(QIcon(pixmap), str(number))
        swatch.setFlags(swatch.flags() & ~Qt.ItemFlag.ItemIsEditable)
        swatch.setData(Qt.ItemDataRole.UserRole, number)
        self.setItem(row, _COLOUR, swatch)
        self.setItem(row, _NAME, QTableWidgetItem(name or f"class {number}"))
        tally = QTableWidgetItem(str(count))
        tally.setFlags(tally.flags() & ~Qt.ItemFlag.ItemIsEditable)
        tally.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.setItem(row, _COUNT, tally)

    def _events(self) -> list[Any]:
        if self._layer is None:
            return []
        events = self._layer.events
        return [events.paint, events.set_data, events.features, events.colormap]

    def _on_painted(self, event: Any = None) -> None:
        self._timer.start(150)

    def _number(self, row: int) -> int:
        item = self.item(row, _COLOUR)
        assert item is not None
        return int(item.data(Qt.ItemDataRole.UserRole))

    def _on_clicked(self, row: int, column: int) -> None:
        if self._layer is not None:
            self._layer.selected_label = self._number(row)
            self.picked.emit(self._number(row))

    def _on_selected(self) -> None:
        # With the arrow keys, too.
        rows = {index.row() for index in self.selectedIndexes()}
        if rows and not self._filling:
            self._on_clicked(rows.pop(), _NAME)

    def _on_picked(self, event: Any = None) -> None:
        """Show which class is painted with, where napari's own controls chose it."""
        if self._layer is None or self._filling:
            return
        for row in range(self.rowCount()):
            if self._number(row) == self._layer.selected_label:
                self.selectRow(row)
                return
        self.clearSelection()

    def _on_double_clicked(self, row: int, column: int) -> None:
        if column != _COLOUR or self._layer is None:
            return
        number = self._number(row)
        old = colours_of(self._layer.colormap, [number])[number]
        chosen = QColorDialog.getColor(QColor.fromRgbF(*old[:3]), self, "Colour of the class")
        if chosen.isValid():
            self._restyle(classes_of(self._layer), {number: chosen.getRgbF()})

    def _on_edited(self, item: QTableWidgetItem) -> None:
        if self._filling or self._layer is None:
            return
        number, names = self._number(item.row()), classes_of(self._layer)
        if item.column() == _DIRECTION:
            set_direction(self._layer, number, _degrees(item.text()))
        elif item.column() == _NAME:
            names[number] = item.text().strip()
        self._restyle(names, {})

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Leave keys that write something to the viewer: they may label the probe position."""
        if event is not None and event.text() and self.state() != self.State.EditingState:
            event.ignore()
        else:
            super().keyPressEvent(event)

    def _restyle(
        self, names: dict[int, str], colours: dict[int, tuple[float, float, float, float]]
    ) -> None:
        assert self._layer is not None
        numbers = {*names, *self.counts}
        known = colours_of(self._layer.colormap, sorted(numbers))
        named = {number: names.get(number, f"class {number}") for number in numbers}
        set_class_style(self._layer, named, {**known, **colours})
        self.fill()


def _angle(degrees: float | None) -> str:
    """Return a direction as text, such as ``"90° ↓"``; empty for none."""
    return "" if degrees is None else f"{degrees:g}° {_ARROWS[round(degrees / 45) % 8]}"


def _degrees(text: str) -> float | None:
    """Return the direction that a text begins with, from 0 to 360; None if it is no number."""
    found = re.match(r"\s*([-+]?\d+(?:[.,]\d+)?)", text)
    return float(found[1].replace(",", ".")) % 360 if found else None
