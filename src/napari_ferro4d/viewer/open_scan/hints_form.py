"""The form for what a scan file may not say: shape, steps, and how its patterns lie."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_ferro4d.open import FORMATS
from napari_ferro4d.viewer.widgets import Fold, form

from .corrections_form import CorrectionsForm

__all__ = ["HintsForm"]

_INCOMPLETE = {"error: do not open": "error", "pad with zeros": "pad", "trim to whole rows": "trim"}

_DTYPES = ("<u1", "<u2", ">u2", "<u4", ">u4", "<i2", ">i2", "<i4", ">i4", "<f4", ">f4", "<f8")


class HintsForm(QWidget):
    """What `napari_ferro4d.open_scan` can be told about a file; empty means "as the file says"."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.format = QComboBox()
        self.format.addItems(["auto", *FORMATS])
        self.format.setToolTip("The file format, where the name does not tell.")
        self.rows = _count("rows ", "Probe positions: rows of the scan.")
        self.columns = _count("columns ", "Probe positions: columns of the scan.")
        self.scan_step = _size(" nm", "Distance between probe positions.")
        self.k_step = _size(" 1/Å", "Size of a detector pixel in reciprocal space, 1/angstrom.")
        self.incomplete = QComboBox()
        self.incomplete.addItems(list(_INCOMPLETE))
        self.incomplete.setToolTip(
            "Where the patterns do not fill the scan.\n"
            "pad: positions without a pattern are zero, and known to be missing;\n"
            "trim: rows that are not complete are left out."
        )
        self.first_frame = _count("", "Patterns at the start that do not belong to the scan.", "0")
        self.flyback = _count("", "Patterns to skip after each row, from the flyback.", "0")
        self.snake = QCheckBox("every second row from right to left")
        self.dtype = QComboBox()
        self.dtype.addItems(["auto", *_DTYPES])
        self.dtype.setEditable(True)
        self.dtype.setToolTip("Type of the counts in a file without a header, such as >u2.")
        self.ky = _count("ky ", "Detector rows, in a file without a header.")
        self.kx = _count("kx ", "Detector columns, in a file without a header.")
        self.offset = _count("", "Bytes before the first pattern, without a header.", "0")
        self.gap = _count("", "Bytes between two patterns, without a header.", "0")
        self.corrections = CorrectionsForm()
        self._lay_out()
        self.corrections.changed.connect(self.changed)
        for box in (self.rows, self.columns, self.ky, self.kx):
            box.valueChanged.connect(self.changed)

    def hints(self) -> dict[str, Any]:
        """Return what the user gave, as keywords of `open_scan`."""
        dtype = self.dtype.currentText().strip()
        given = {
            "format": self.format.currentText() if self.format.currentIndex() > 0 else None,
            "scan_shape": _pair(self.rows, self.columns),
            "scan_step": self.scan_step.value(),
            "k_step": self.k_step.value(),
            "first_frame": self.first_frame.value(),
            "flyback": self.flyback.value(),
            "snake": self.snake.isChecked(),
            "dtype": dtype if dtype != "auto" else None,
            "detector_shape": _pair(self.ky, self.kx),
            "offset": self.offset.value(),
            "gap": self.gap.value(),
        }
        if self.incomplete.currentIndex() > 0:
            given["incomplete"] = _INCOMPLETE[self.incomplete.currentText()]
        given = {name: value for name, value in given.items() if value}
        return {**given, **self.corrections.hints()}

    def why_not(self) -> str | None:
        """Return what is lacking, or None."""
        if bool(self.rows.value()) != bool(self.columns.value()):
            return "A scan shape needs both rows and columns."
        if bool(self.ky.value()) != bool(self.kx.value()):
            return "A detector shape needs both ky and kx."
        return self.corrections.why_not()

    def reset(self) -> bool:
        """Leave everything to the file again; return whether something had been given.

        Corrections stay: they are of the detector, which the next file was recorded with, too.
        """
        given = self.hints().keys() - self.corrections.hints().keys() or self.why_not()
        for box in (self.format, self.incomplete, self.dtype):
            box.setCurrentIndex(0)
        self.dtype.setEditText("auto")
        for kind in (QSpinBox, QDoubleSpinBox):
            for box in set(self.findChildren(kind)) - set(self.corrections.findChildren(kind)):
                box.setValue(0)
        self.snake.setChecked(False)
        return bool(given)

    def _lay_out(self) -> None:
        fields = form()
        fields.addRow("Format", self.format)
        fields.addRow("Scan shape", _beside(self.rows, self.columns))
        fields.addRow("Scan step", self.scan_step)
        fields.addRow("Detector pixel", self.k_step)
        more = form()
        more.addRow("Incomplete", self.incomplete)
        more.addRow("First pattern", self.first_frame)
        more.addRow("Flyback", self.flyback)
        more.addRow("Snake", self.snake)
        more.addRow("Raw: type", self.dtype)
        more.addRow("Raw: detector", _beside(self.ky, self.kx))
        more.addRow("Raw: offset, gap", _beside(self.offset, self.gap))
        fold = Fold("More", more)
        self.more = fold.button
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(fields)
        column.addWidget(fold)
        column.addWidget(self.corrections)


def _pair(first: QSpinBox, second: QSpinBox) -> tuple[int, int] | None:
    pair = first.value(), second.value()
    return pair if all(pair) else None


def _beside(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget, 1)
    return row


def _count(prefix: str, tip: str, nothing: str = "auto") -> QSpinBox:
    box = QSpinBox()
    box.setRange(0, 2**31 - 1)
    box.setPrefix(prefix)
    box.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)  # typed, and the number needs the room
    box.setSpecialValueText(nothing)
    box.setToolTip(tip)
    return box


def _size(suffix: str, tip: str) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(0, 1e6)
    box.setDecimals(5)
    box.setSuffix(suffix)
    box.setSpecialValueText("auto")
    box.setToolTip(tip)
    return box
