"""The form for detector corrections, which are applied to patterns as they are read."""

from __future__ import annotations

from functools import partial
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_ferro4d.viewer.widgets import Fold, ImageField, form

__all__ = ["CorrectionsForm"]


class CorrectionsForm(QWidget):
    """Dark and gain image, bad pixels, crop and binning; empty means "not corrected"."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.dark = ImageField("dark image", "none", "Image to subtract: the counts without beam.")
        self.gain = ImageField(
            "gain image",
            "none",
            "Image to multiply by, above zero everywhere but at bad pixels.",
        )
        self.bad = ImageField(
            "image of bad pixels",
            "none; file, or ky,kx;ky,kx",
            "Hot and dead pixels, which take the mean of the good ones nearest to them:\n"
            "an image that is not 0 there, or a list of rows and columns such as 12,40;13,40.",
        )
        self.find = QCheckBox("find them")
        self.find.setToolTip("Look for bad pixels in the counts: one pass over the whole scan.")
        self.find.toggled.connect(self.bad.line.setDisabled)
        self.bad.chosen.connect(partial(self.find.setChecked, False))
        self.top, self.bottom = _pixel("ky ", "0"), _pixel("to ", "edge")
        self.left, self.right = _pixel("kx ", "0"), _pixel("to ", "edge")
        for box in (self.top, self.bottom, self.left, self.right):
            box.setToolTip("Detector rows (ky) and columns (kx) to keep, the last not included.")
        self.bin = QSpinBox()
        self.bin.setRange(1, 64)
        self.bin.setSpecialValueText("no")
        self.bin.setToolTip("Sum squares of so many by so many detector pixels.")
        self.saturation = QDoubleSpinBox()
        self.saturation.setRange(0, 1e12)
        self.saturation.setDecimals(0)
        self.saturation.setSpecialValueText("auto")
        self.saturation.setToolTip("Count from which on a detector pixel is saturated.")
        self._fold = Fold("Corrections", self._fields())
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._fold)
        for text in (self.dark, self.gain, self.bad):
            text.changed.connect(self._on_changed)
        self.find.toggled.connect(self._on_changed)
        for box in (self.top, self.bottom, self.left, self.right, self.bin, self.saturation):
            box.valueChanged.connect(self._on_changed)
        self._on_changed()

    @property
    def button(self) -> Any:
        """The button that shows the fields."""
        return self._fold.button

    def hints(self) -> dict[str, Any]:
        """Return what the user gave, as keywords of `open_scan`."""
        crop = tuple(
            (first.value() or None, last.value() or None)
            for first, last in ((self.top, self.bottom), (self.left, self.right))
        )
        given = {
            "dark": self.dark.text(),
            "gain": self.gain.text(),
            "bad_pixels": "auto" if self.find.isChecked() else self.bad.text(),
            "crop": crop if any(any(pair) for pair in crop) else None,
            "bin": self.bin.value() if self.bin.value() > 1 else None,
            "saturation": self.saturation.value(),
        }
        return {name: value for name, value in given.items() if value}

    def why_not(self) -> str | None:
        """Return what is wrong, or None."""
        for first, last, what in (
            (self.top, self.bottom, "rows"),
            (self.left, self.right, "columns"),
        ):
            if last.value() and last.value() <= first.value():
                return f"The crop keeps no {what}: it has to end after it begins."
        return None

    def _fields(self) -> Any:
        fields = form()
        fields.addRow("Dark image", self.dark)
        fields.addRow("Gain image", self.gain)
        fields.addRow("Bad pixels", self.bad)
        fields.addRow("", self.find)
        fields.addRow("Crop", _beside(self.top, self.bottom))
        fields.addRow("", _beside(self.left, self.right))
        fields.addRow("Bin", self.bin)
        fields.addRow("Saturated at", self.saturation)
        return fields

    def _on_changed(self, *_: Any) -> None:
        # Seen while it is folded: what is given here is kept when another file is chosen.
        names = [name.replace("_", " ") for name in self.hints()]
        self.button.setText(f"Corrections: {', '.join(names)}" if names else "Corrections")
        self.changed.emit()


def _beside(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget, 1)
    return row


def _pixel(prefix: str, nothing: str) -> QSpinBox:
    box = QSpinBox()
    box.setRange(0, 2**31 - 1)
    box.setPrefix(prefix)
    box.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)  # typed, and the number needs the room
    box.setSpecialValueText(prefix + nothing)
    return box
