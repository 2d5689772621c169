"""A table of the values in a label image: how often each occurs, and the class that it means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QComboBox, QHeaderView, QTableWidget, QTableWidgetItem

from napari_ferro4d.viewer.layers import Colour

_VALUE, _COUNT, _CLASS = range(3)
_ROW = 25  # pixels
_NONE, _NEW = 0, -1


class ValueTable(QTableWidget):
    """Says which class each value of a label image means; nothing for those without one."""

    changed = Signal()
    """The user said that a value means another class, or none."""

    wanted = Signal(int)
    """The user wants a new class for this value."""

    def __init__(self) -> None:
        super().__init__(0, 3)
        self._meant: dict[int, int] = {}
        self._values: dict[int, int] = {}
        self._known: Any = None
        self.setHorizontalHeaderLabels(["value", "positions", "means"])
        rows, header = self.verticalHeader(), self.horizontalHeader()
        assert rows is not None and header is not None  # noqa: PT018
        rows.hide()
        rows.setDefaultSectionSize(_ROW)
        header.setFixedHeight(_ROW)
        header.setSectionResizeMode(_VALUE, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(_COUNT, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_CLASS, QHeaderView.ResizeMode.Stretch)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)

    @property
    def meant(self) -> dict[int, int]:
        """Class number by value, without the values that mean none."""
        return {value: self._meant[value] for value in self._values if self._meant.get(value)}

    def set_meant(self, meant: Mapping[int, int]) -> None:
        """Say what values mean; the others mean nothing. Shown with the next `fill`."""
        self._meant = dict(meant)

    def fill(
        self,
        image: np.ndarray,
        names: Mapping[int, str],
        colours: Mapping[int, Colour],
        classes: Mapping[int, tuple[str, Colour]],
    ) -> None:
        """Show the values of an image.

        Parameters
        ----------
        image : ndarray
            Integer ``[y, x]``, 0 = none.
        names, colours : mapping
            Of the values, where they have some.
        classes : mapping
            Name and colour of the classes to choose from, by number.
        """
        found, counts = np.unique(image[image > 0], return_counts=True)
        self._values = dict(zip(found.tolist(), counts.tolist(), strict=True))
        self._meant = {value: one for value, one in self._meant.items() if one in classes}
        known = (self._values, self._meant, names, colours, classes)
        if known == self._known:  # or an open list would close while labels are painted
            return
        self._known = (dict(self._values), dict(self._meant), names, colours, classes)
        self.setRowCount(len(self._values))
        for row, (value, count) in enumerate(self._values.items()):
            name = names.get(value, f"value {value}")
            title = QTableWidgetItem(name)
            if value in colours:
                title.setIcon(swatch(colours[value]))
            title.setToolTip(f"{value}: {name}")
            self.setItem(row, _VALUE, title)
            tally = QTableWidgetItem(f"{count:,}")
            tally.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.setItem(row, _COUNT, tally)
            self.setCellWidget(row, _CLASS, self._box(value, classes))
        rows = 1 + min(max(len(self._values), 2), 6)
        self.setFixedHeight(rows * _ROW + 2 * self.frameWidth())

    def _box(self, value: int, classes: Mapping[int, tuple[str, Colour]]) -> QComboBox:
        box = class_box(classes, "no class")
        box.addItem("new class", _NEW)
        box.setCurrentIndex(max(0, box.findData(self._meant.get(value, _NONE))))
        box.activated.connect(lambda index: self._on_chosen(value, box.itemData(index)))
        return box

    def _on_chosen(self, value: int, number: int) -> None:
        if number == _NEW:
            self.wanted.emit(value)
            return
        self._meant[value] = number
        self.changed.emit()


def class_box(
    classes: Mapping[int, tuple[str, Colour]], nothing: str = "", box: QComboBox | None = None
) -> QComboBox:
    """Return a box, or fill one, with classes to choose from; its data are their numbers."""
    box = QComboBox() if box is None else box
    box.clear()
    box.setMinimumContentsLength(8)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    if nothing:
        box.addItem(nothing, _NONE)
    for number, (name, colour) in classes.items():
        box.addItem(swatch(colour), name, number)
    return box


def swatch(colour: Colour) -> QIcon:
    """Return a square of a colour."""
    pixmap = QPixmap(14, 14)
    pixmap.fill(QColor.fromRgbF(*colour[:3]))
    return QIcon(pixmap)
