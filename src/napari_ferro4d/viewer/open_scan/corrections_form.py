"""The form for detector corrections, which are applied to patterns as they are read."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import CheckBox
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_ferro4d.viewer.widgets import Fold, ImageEdit, Number, beside, rows


class CorrectionsForm(QWidget):
    """Dark and gain image, bad pixels, crop and binning; empty means "not corrected"."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.dark = ImageEdit(
            "dark image", label="Dark image", tooltip="Image to subtract: the counts without beam."
        )
        self.gain = ImageEdit(
            "gain image",
            label="Gain image",
            tooltip="Image to multiply by, above zero everywhere but at bad pixels.",
        )
        self.bad = ImageEdit(
            "image of bad pixels",
            "none; file, or ky,kx;ky,kx",
            label="Bad pixels",
            tooltip="Hot and dead pixels, which take the mean of the good ones nearest to them:\n"
            "an image that is not 0 there, or a list of rows and columns such as 12,40;13,40.",
        )
        self.search = CheckBox(
            text="find them",
            tooltip="Look for bad pixels in the counts: one pass over the whole scan.",
        )
        self.top, self.bottom = _edge("ky ", "0"), _edge("to ", "edge")
        self.left, self.right = _edge("kx ", "0"), _edge("to ", "edge")
        self.bin = Number(
            nothing="no",
            min=1,
            max=64,
            label="Bin",
            tooltip="Sum squares of so many by so many detector pixels.",
        )
        self.saturation = Number(
            nothing="auto",
            max=1e12,
            label="Saturated at",
            tooltip="Count from which on a detector pixel is saturated.",
        )
        self._fields = rows(
            self.dark,
            self.gain,
            self.bad,
            beside("", self.search),
            beside("Crop", self.top, self.bottom),
            beside("", self.left, self.right),
            self.bin,
            self.saturation,
        )
        fold = Fold("Corrections", self._fields.native)
        self.button = fold.button
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(fold)
        self.search.changed.connect(self._on_search)
        self.bad.line.changed.connect(self._on_bad)
        self._fields.changed.connect(self._on_changed)
        self._on_changed()

    def hints(self) -> dict[str, Any]:
        """Return what the user gave, as keywords of `open_scan`."""
        crop = (self.top.value, self.bottom.value), (self.left.value, self.right.value)
        saturation = self.saturation.value
        given = {
            "dark": self.dark.value,
            "gain": self.gain.value,
            "bad_pixels": "auto" if self.search.value else self.bad.value,
            "crop": crop if any(any(pair) for pair in crop) else None,
            "bin": self.bin.value,
            "saturation": None if saturation is None else float(saturation),
        }
        return {name: value for name, value in given.items() if value}

    def why_not(self) -> str | None:
        """Return what is wrong, or None."""
        for first, last, what in (
            (self.top, self.bottom, "rows"),
            (self.left, self.right, "columns"),
        ):
            if last.value and last.value <= (first.value or 0):
                return f"The crop keeps no {what}: it has to end after it begins."
        return None

    def _on_search(self, on: bool) -> None:
        self.bad.line.enabled = not on

    def _on_bad(self) -> None:
        # Nobody types here while they are searched for: a file was chosen.
        self.search.value = False

    def _on_changed(self) -> None:
        # Seen while it is folded: what is given here is kept when another file is chosen.
        names = [name.replace("_", " ") for name in self.hints()]
        self.button.setText(f"Corrections: {', '.join(names)}" if names else "Corrections")
        self.changed.emit()


def _edge(prefix: str, nothing: str) -> Number:
    return Number(
        prefix=prefix,
        nothing=prefix + nothing,
        arrows=False,  # typed, and the number needs the room
        max=2**31 - 1,
        tooltip="Detector rows (ky) and columns (kx) to keep, the last not included.",
    )
