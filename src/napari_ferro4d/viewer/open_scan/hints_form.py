"""The form for what a scan file may not say: shape, steps, and how its patterns lie."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import CheckBox, ComboBox
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_ferro4d.open import FORMATS
from napari_ferro4d.viewer.widgets import Fold, Number, Pair, beside, rows

from .corrections_form import CorrectionsForm

_INCOMPLETE = [
    ("error: do not open", None),
    ("pad with zeros", "pad"),
    ("trim to whole rows", "trim"),
]

_DTYPES = ("<u1", "<u2", ">u2", "<u4", ">u4", "<i2", ">i2", "<i4", ">i4", "<f4", ">f4", "<f8")


class HintsForm(QWidget):
    """What `napari_ferro4d.open_scan` can be told about a file; empty means "as the file says".

    Fields are named after the keywords of `open_scan`.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.format = ComboBox(
            name="format",
            label="Format",
            choices=[("auto", None), *((name, name) for name in FORMATS)],
            tooltip="The file format, where the name does not tell.",
        )
        self.rows = _count("rows ", "Probe positions: rows of the scan.")
        self.columns = _count("columns ", "Probe positions: columns of the scan.")
        self.scan_shape = Pair(self.rows, self.columns, name="scan_shape", label="Scan shape")
        self.scan_step = _size(
            " nm", "Distance between probe positions.", name="scan_step", label="Scan step"
        )
        self.k_step = _size(
            " 1/Å",
            "Size of a detector pixel in reciprocal space, 1/angstrom.",
            name="k_step",
            label="Detector pixel",
        )
        self.incomplete = ComboBox(
            name="incomplete",
            label="Incomplete",
            choices=_INCOMPLETE,
            tooltip="Where the patterns do not fill the scan.\n"
            "pad: positions without a pattern are zero, and known to be missing;\n"
            "trim: rows that are not complete are left out.",
        )
        self.first_frame = _count(
            "",
            "Patterns at the start that do not belong to the scan.",
            "0",
            name="first_frame",
            label="First pattern",
        )
        self.flyback = _count(
            "",
            "Patterns to skip after each row, from the flyback.",
            "0",
            name="flyback",
            label="Flyback",
        )
        self.snake = CheckBox(text="every second row from right to left")
        self.dtype = ComboBox(
            label="Raw: type",
            choices=["auto", *_DTYPES],
            tooltip="Type of the counts in a file without a header, such as >u2.",
        )
        self.dtype.native.setEditable(True)
        self.ky = _count("ky ", "Detector rows, in a file without a header.")
        self.kx = _count("kx ", "Detector columns, in a file without a header.")
        self.detector_shape = Pair(self.ky, self.kx, name="detector_shape", label="Raw: detector")
        self.offset = _count("", "Bytes before the first pattern, without a header.", "0")
        self.gap = _count("", "Bytes between two patterns, without a header.", "0")
        self._fields = rows(self.format, self.scan_shape, self.scan_step, self.k_step)
        self._more = rows(
            self.incomplete,
            self.first_frame,
            self.flyback,
            beside("Snake", self.snake),
            self.dtype,
            self.detector_shape,
            beside("Raw: offset, gap", self.offset, self.gap),
        )
        self.corrections = CorrectionsForm()
        fold = Fold("More", self._more.native)
        self.more = fold.button
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for widget in (self._fields.native, fold, self.corrections):
            column.addWidget(widget)
        self.corrections.changed.connect(self.changed)
        for part in (self._fields, self._more):
            part.changed.connect(lambda: self.changed.emit())

    def hints(self) -> dict[str, Any]:
        """Return what the user gave, as keywords of `open_scan`."""
        return {**self._given(), **self.corrections.hints()}

    def _given(self) -> dict[str, Any]:
        dtype = self.dtype.native.currentText().strip()
        fields = {
            **self._fields.asdict(),
            **self._more.asdict(),
            "snake": self.snake.value,
            "dtype": dtype if dtype != "auto" else None,
            "offset": self.offset.value,
            "gap": self.gap.value,
        }
        return {name: value for name, value in fields.items() if value}

    def why_not(self) -> str | None:
        """Return what is lacking, or None."""
        if self.scan_shape.half:
            return "A scan shape needs both rows and columns."
        if self.detector_shape.half:
            return "A detector shape needs both ky and kx."
        return self.corrections.why_not()

    def reset(self) -> bool:
        """Leave everything to the file again; return whether something had been given.

        Corrections stay: they are of the detector, which the next file was recorded with, too.
        """
        given = self._given() or self.why_not()
        for field in (
            *(self.format, self.incomplete, self.scan_step, self.k_step),
            *(self.first_frame, self.flyback, self.offset, self.gap),
            *(self.rows, self.columns, self.ky, self.kx),
        ):
            field.value = None
        self.dtype.value = "auto"
        self.dtype.native.setEditText("auto")
        self.snake.value = False
        return bool(given)


def _count(prefix: str, tip: str, nothing: str = "auto", **keywords: Any) -> Number:
    # Typed, and the number needs the room of the arrows.
    return Number(
        prefix=prefix, nothing=nothing, arrows=False, max=2**31 - 1, tooltip=tip, **keywords
    )


def _size(suffix: str, tip: str, **keywords: Any) -> Number:
    return Number(suffix=suffix, nothing="auto", decimals=5, max=1e6, tooltip=tip, **keywords)
