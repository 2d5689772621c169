"""The two ends of a range of values, typed, for a histogram on which the range is dragged."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QSizePolicy, QWidget
from superqt.utils import signals_blocked

from .choices import enable
from .histogram_plot import Range


class RangeEnds(QWidget):
    """Two numbers side by side."""

    typed = Signal(object)
    """The range ``(low, high)`` that the user typed."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high = _value_box(), _value_box()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.low, 1)
        row.addWidget(QLabel("to"))
        row.addWidget(self.high, 1)
        for box in (self.low, self.high):
            box.editingFinished.connect(self._on_typed)

    def set_limits(self, least: float, most: float) -> None:
        """Take ends between these."""
        for box in (self.low, self.high):
            with signals_blocked(box):
                box.setRange(least, most)
                box.setSingleStep(max((most - least) / 200, 1e-9))
                box.setDecimals(_decimals(most - least))

    def show_range(self, chosen: Range | None) -> None:
        """Show the ends of a range; without one, nothing can be typed."""
        for box, value in zip((self.low, self.high), chosen or (), strict=False):
            with signals_blocked(box):
                box.setValue(value)
        none = "Drag a range on the histogram first." if chosen is None else None
        for box in (self.low, self.high):
            enable(box, none, "End of the range; its positions have a value in between.")

    def _on_typed(self) -> None:
        low, high = sorted((self.low.value(), self.high.value()))
        self.typed.emit((low, high))


def _value_box() -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)  # the number needs the room
    box.setAlignment(Qt.AlignmentFlag.AlignRight)
    # As wide as there is room, whatever the range of the values.
    box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    box.setMinimumWidth(64)
    return box


def _decimals(span: float) -> int:
    """Return how many decimals tell a thousandth of a span."""
    return int(np.clip(3 - np.floor(np.log10(span)), 0, 12)) if span > 0 else 3
