"""Tables of labels held out: what was taken for what, and where label and model disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

if TYPE_CHECKING:
    from napari_ferro4d.learn import Disagreement

_ROW = 23  # pixels
_ROWS = 6  # at most seen at once
_MIDDLE = Qt.AlignmentFlag.AlignCenter

Style = Mapping[int, tuple[str, Sequence[float]]]
"""Name and colour by class number."""


class _Table(QTableWidget):
    """A table to read, as narrow as its dock, that takes no keys: they may label positions."""

    def __init__(self, columns: int) -> None:
        super().__init__(0, columns)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setWordWrap(False)
        rows, header = self.verticalHeader(), self.horizontalHeader()
        assert rows is not None and header is not None  # noqa: PT018
        rows.setDefaultSectionSize(_ROW)
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setHighlightSections(False)
        header.setHighlightSections(False)
        header.setMinimumSectionSize(30)
        header.setFixedHeight(_ROW)

    def sizeHint(self) -> QSize:
        """Ask for a narrow dock's width."""
        return QSize(280, super().sizeHint().height())

    def fit(self) -> None:
        """Take the height of the rows, up to some."""
        rows = 1 + min(max(self.rowCount(), 1), _ROWS)
        bar = self.horizontalScrollBar()
        assert bar is not None
        wide = self.columnCount() * 30 > 230
        extra = bar.sizeHint().height() if wide else 0
        self.setFixedHeight(rows * _ROW + 2 * self.frameWidth() + extra)


class ConfusionTable(_Table):
    """Shows how many labels of each class were taken for which; the diagonal is right."""

    def __init__(self) -> None:
        super().__init__(0)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        header = self.horizontalHeader()
        assert header is not None
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.setToolTip("Rows: the label. Columns: what the model said, not having seen it.")

    def show_confusion(
        self, confusion: np.ndarray | None, classes: Sequence[int], style: Style
    ) -> None:
        """Show ``[label, predicted]`` of `classes`; None shows nothing."""
        self.setVisible(confusion is not None)
        if confusion is None:
            return
        self.setRowCount(len(classes))
        self.setColumnCount(len(classes))
        for index, number in enumerate(classes):
            name, colour = style[number]
            for set_header in (self.setVerticalHeaderItem, self.setHorizontalHeaderItem):
                header = QTableWidgetItem(_swatch(colour), name)
                header.setToolTip(name)
                set_header(index, header)
        share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1e-9)
        for row, column in np.ndindex(*confusion.shape):
            value = float(confusion[row, column])
            cell = QTableWidgetItem(f"{value:.0f}" if value == round(value) else f"{value:.1f}")
            cell.setTextAlignment(_MIDDLE)
            right = "#009e73" if row == column else "#d55e00"
            behind = QColor(right)
            behind.setAlphaF(0.5 * float(share[row, column]))
            cell.setBackground(behind)
            said, is_ = style[classes[column]][0], style[classes[row]][0]
            cell.setToolTip(f"{value:.3g} labelled {is_}, taken for {said}")
            self.setItem(row, column, cell)
        self.fit()


class DisagreementTable(_Table):
    """Lists labels that the model would call otherwise; a click goes there."""

    picked = Signal(int, int)
    """Position ``(y, x)`` of the label that was clicked."""

    def __init__(self) -> None:
        super().__init__(4)
        self._positions: list[tuple[int, int]] = []
        self.setHorizontalHeaderLabels(["y, x", "label", "model says", "sure"])
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        rows, header = self.verticalHeader(), self.horizontalHeader()
        assert rows is not None and header is not None  # noqa: PT018
        rows.hide()
        for column in (0, 3):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        for column in (1, 2):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
        self.setToolTip(
            "Labels that a model which had not seen them would call otherwise: some are wrong.\n"
            "Click one to see its pattern."
        )
        self.cellClicked.connect(lambda row, column: self.picked.emit(*self._positions[row]))

    def show_disagreements(self, found: Sequence[Disagreement], style: Style) -> None:
        """Show disagreements, in their order."""
        self.setVisible(bool(found))
        self._positions = [(int(one.y), int(one.x)) for one in found]
        self.setRowCount(len(found))
        for row, one in enumerate(found):
            self.setItem(row, 0, QTableWidgetItem(f"{one.y}, {one.x}"))
            for column, number in ((1, one.label), (2, one.predicted)):
                name, colour = style.get(int(number), (f"class {number}", (0.6, 0.6, 0.6)))
                self.setItem(row, column, QTableWidgetItem(_swatch(colour), name))
            sure = QTableWidgetItem(f"{one.probability:.2f}")
            sure.setTextAlignment(_MIDDLE)
            self.setItem(row, 3, sure)
        self.clearSelection()
        self.fit()


def _swatch(colour: Sequence[float]) -> QIcon:
    pixmap = QPixmap(10, 10)
    pixmap.fill(QColor.fromRgbF(*(float(part) for part in colour[:3])))
    return QIcon(pixmap)
