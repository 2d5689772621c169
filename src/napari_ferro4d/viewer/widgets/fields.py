"""The fields of our forms: magicgui's, with what a scan needs besides: units, and "not given"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from magicgui.widgets import CheckBox, Container, FloatSpinBox, Label, LineEdit, PushButton
from magicgui.widgets.bases import Widget
from qtpy.QtWidgets import QAbstractSpinBox, QFileDialog

from napari_ferro4d.viewer.session import remember, remembered

from .choices import form


class Number(FloatSpinBox):
    """A number with a unit, whole unless it has decimals; None while the field says `nothing`.

    magicgui's own field for whole numbers knows neither units nor a text for "not given".

    Parameters
    ----------
    nothing : str
        What the field says at its least value, where that means that nothing is given.
    prefix, suffix : str
        Shown before and after the number.
    decimals : int
        Digits after the point.
    arrows : bool
        Whether there are arrows to step with; without them a long number has more room.
    """

    def __init__(
        self,
        *,
        nothing: str = "",
        prefix: str = "",
        suffix: str = "",
        decimals: int = 0,
        arrows: bool = True,
        value: float | None = None,
        **keywords: Any,
    ) -> None:
        self._nothing, self._decimals = nothing, decimals
        super().__init__(**{"step": 1, **keywords})
        box = self.native
        box.setDecimals(decimals)
        box.setPrefix(prefix)
        box.setSuffix(suffix)
        box.setSpecialValueText(nothing)
        if not arrows:
            box.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        if value is not None or nothing:
            self.set_value(value)

    def get_value(self) -> Any:
        """Return the number; None where nothing is given."""
        number = super().get_value()
        if self._nothing and number == self.min:
            return None
        return number if self._decimals else int(number)

    def set_value(self, value: Any) -> None:
        """Set the number, or the nearest that the field has; None for nothing."""
        super().set_value(self.min if value is None else min(max(value, self.min), self.max))


class Pair(Container[Number]):
    """Two numbers side by side; None unless both are given."""

    def __init__(self, first: Number, second: Number, **keywords: Any) -> None:
        super().__init__(widgets=[first, second], layout="horizontal", labels=False, **keywords)
        self.margins = (0, 0, 0, 0)

    @property
    def value(self) -> tuple[Any, Any] | None:
        """The two numbers."""
        first, second = (field.value for field in self)
        return None if first is None or second is None else (first, second)

    @property
    def half(self) -> bool:
        """Whether only one of the two is given."""
        return sum(field.value is None for field in self) == 1


class ImageEdit(Container[Widget]):
    """The path of a detector image, or what may be typed in its place; None while it is empty.

    Parameters
    ----------
    what : str
        What the image is, for the title of the file dialog.
    nothing : str
        Said in grey while the line is empty.
    endings : str
        File name endings that can be read, such as ``"*.npy *.tif"``.
    """

    def __init__(
        self,
        what: str,
        nothing: str = "none",
        endings: str = "*.npy *.tif *.tiff *.mrc *.dm3 *.dm4",
        tooltip: str = "",
        **keywords: Any,
    ) -> None:
        self._what, self._filter = what, f"Images ({endings});;All files (*)"
        self.line = LineEdit(tooltip=tooltip)
        button = PushButton(text="File...")
        super().__init__(widgets=[self.line, button], layout="horizontal", labels=False, **keywords)
        self.margins = (0, 0, 0, 0)
        self.line.native.setPlaceholderText(nothing)
        button.changed.connect(self.choose)

    @property
    def value(self) -> str | None:
        """What is in the line."""
        return self.line.value.strip() or None

    @value.setter
    def value(self, text: str | None) -> None:
        self.line.value = text or ""

    def choose(self) -> None:
        """Ask for a file, first in the folder of the one before."""
        folder = str(remembered("corrections").get("folder", Path.home()))
        title = f"Choose the {self._what}"
        path, _ = QFileDialog.getOpenFileName(self.native, title, folder, self._filter)
        if path:
            self.value = None  # or to choose the same file again would change nothing
            self.value = path
            remember("corrections", {"folder": str(Path(path).parent)})


def rows(*fields: Widget) -> Container[Widget]:
    """Return a form: a labelled field a row, all as wide as the dock.

    Qt's form layout holds them, because magicgui measures labels before napari's style, which makes
    them wider, is in force.
    """
    container = Container(widgets=fields, labels=False)
    container.margins = (0, 0, 0, 0)
    layout = form()
    for field in fields:
        if isinstance(field, CheckBox):  # which has its label beside it
            layout.addRow(field.native)
        else:
            layout.addRow(field.label, field.native)
    container.native.layout().addLayout(layout)
    return container


def beside(label: str, *fields: Widget) -> Container[Widget]:
    """Return a row of fields side by side, under one label; ticks and words take no room."""
    row = Container(widgets=fields, layout="horizontal", labels=False, label=label)
    row.margins = (0, 0, 0, 0)
    layout = row.native.layout()
    layout.setSpacing(6)
    for field in fields:
        layout.setStretchFactor(
            field.native, int(len(fields) == 1 or not isinstance(field, CheckBox | Label))
        )
    return row
