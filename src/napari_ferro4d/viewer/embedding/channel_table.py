"""The channels of an embedding in a table: which are seen, how structured, what they follow."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qtpy.QtCore import QEvent, QSize, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_ferro4d.embedding import ChannelReport

_SEEN, _NAME, _STRUCTURE, _FOLLOWS = range(4)
_ROW = 23  # pixels
_ROWS = 5  # at most seen at once
_MARKS = {True: "#e58a1f", False: "#9c4a00"}  # on a dark and on a light theme
_WORTH_SAYING = 0.3  # correlation
_NUMBER = Qt.ItemDataRole.UserRole


class ChannelTable(QTableWidget):
    """Shows channels best first.

    Clicking a row picks the channel; its box shows or hides its map.
    """

    picked = Signal(int)
    """The channel of the row that was picked."""

    toggled = Signal(int, bool)
    """A channel whose map the user wants to see, or not."""

    def __init__(self) -> None:
        super().__init__(0, 4)
        self._filling = False
        self._reports: tuple[ChannelReport, ...] = ()
        self.setHorizontalHeaderLabels(["", "no.", "structure", "follows"])
        # On napari's dark theme the frame of an empty box is not seen.
        self.setStyleSheet("QTableView::indicator:unchecked { border: 1px solid #808891; }")
        rows, header = self.verticalHeader(), self.horizontalHeader()
        assert rows is not None and header is not None  # noqa: PT018
        rows.hide()
        rows.setDefaultSectionSize(_ROW)
        header.setFixedHeight(_ROW)
        header.setHighlightSections(False)
        header.setMinimumSectionSize(20)
        for column in (_SEEN, _NAME, _STRUCTURE):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_FOLLOWS, QHeaderView.ResizeMode.Stretch)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWordWrap(False)
        self.setToolTip(
            "Best first: active channels with the most spatial structure (Moran's I), then those\n"
            "that thickness or tilt explain, then noise (grey). Click one to see its map."
        )
        self.itemSelectionChanged.connect(self._on_selected)
        self.itemChanged.connect(self._on_changed)

    def sizeHint(self) -> QSize:
        """Ask for a narrow dock's width."""
        return QSize(280, super().sizeHint().height())

    def fill(
        self, reports: Sequence[ChannelReport], names: Sequence[str], picked: int | None
    ) -> None:
        """Show reports in their order; `names` are by number of the channel."""
        self._filling = True
        self._reports = tuple(reports)
        self.setRowCount(len(reports))
        for row, report in enumerate(reports):
            self._fill_row(row, report, names[report.channel])
        self._colour()
        rows = 1 + min(max(len(reports), 2), _ROWS)
        self.setFixedHeight(rows * _ROW + 2 * self.frameWidth())
        self._filling = False
        self.pick(picked)

    def pick(self, channel: int | None) -> None:
        """Mark the row of a channel, without a signal."""
        self._filling = True
        self.clearSelection()
        for row in range(self.rowCount()):
            if self._number(row) == channel:
                self.selectRow(row)
                self.scrollToItem(self.item(row, _NAME))
        self._filling = False

    def show_seen(self, seen: set[int]) -> None:
        """Tick the channels whose maps are seen."""
        self._filling = True
        for row in range(self.rowCount()):
            on = self._number(row) in seen
            state = Qt.CheckState.Checked if on else Qt.CheckState.Unchecked
            self._cell(row, _SEEN).setCheckState(state)
        self._filling = False

    def _fill_row(self, row: int, report: ChannelReport, name: str) -> None:
        tip = _tip(report, name)
        box = QTableWidgetItem()
        box.setData(_NUMBER, report.channel)
        box.setCheckState(Qt.CheckState.Unchecked)
        # "channel 3" is a long way to say 3 in a column that is called so.
        short = name.removeprefix("channel ")
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        items = {
            _SEEN: box,
            _NAME: QTableWidgetItem(short),
            _STRUCTURE: QTableWidgetItem(_number(report.structure)),
            _FOLLOWS: QTableWidgetItem(report_text(report)),
        }
        items[_STRUCTURE].setTextAlignment(right)
        font = self.font()
        font.setPointSizeF(0.9 * font.pointSizeF())
        for column, item in items.items():
            item.setToolTip(tip)
            item.setFont(font)
            self.setItem(row, column, item)

    def _colour(self) -> None:
        """Give the texts the colours of napari's theme."""
        text = self.palette().text().color()
        faint = QColor(text)
        faint.setAlpha(150)
        mark = QColor(_MARKS[text.lightness() > 127])
        for row, report in enumerate(self._reports):
            for column in range(self.columnCount()):
                follows = column == _FOLLOWS
                marked = follows and report.extrinsic is not None
                plain = report.active and not follows
                colour = mark if marked else text if plain else faint
                self._cell(row, column).setForeground(colour)

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow napari's theme."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.StyleChange and not self._filling:
            self._filling = True
            self._colour()
            self._filling = False

    def _number(self, row: int) -> int:
        return int(self._cell(row, _SEEN).data(_NUMBER))

    def _cell(self, row: int, column: int) -> QTableWidgetItem:
        item = self.item(row, column)
        assert item is not None
        return item

    def _on_selected(self) -> None:
        rows = {index.row() for index in self.selectedIndexes()}
        if rows and not self._filling:
            self.picked.emit(self._number(rows.pop()))

    def _on_changed(self, item: QTableWidgetItem) -> None:
        if not self._filling and item.column() == _SEEN:
            on = item.checkState() == Qt.CheckState.Checked
            self.toggled.emit(self._number(item.row()), on)


def report_text(report: ChannelReport) -> str:
    """Return what a channel follows, in a few words.

    Examples
    --------
    >>> report_text(ChannelReport(3, 0.9, {"thickness": -0.93, "com_y": 0.2}, "thickness"))
    'thickness −0.93, extrinsic'
    """
    if report.extrinsic is not None:
        # The number first: a narrow column may cut the rest.
        return f"{report.extrinsic} {_number(report.correlations[report.extrinsic])}, extrinsic"
    if not report.active:
        return "noise"
    known = {name: r for name, r in report.correlations.items() if math.isfinite(r)}
    if not known:
        return ""
    most = max(known, key=lambda name: abs(known[name]))
    return f"{most} {_number(known[most])}" if abs(known[most]) >= _WORTH_SAYING else ""


def _tip(report: ChannelReport, name: str) -> str:
    lines = [f"{name}: Moran's I {_number(report.structure)}"]
    if report.extrinsic is not None:
        lines.append(f"explained by the specimen's {report.extrinsic}, not by its domains")
    if report.correlations:
        lines.append("rank correlation with")
        lines += [f"    {proxy}  {_number(r)}" for proxy, r in report.correlations.items()]
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}") if math.isfinite(value) else "none"
