"""Which counts the centre of mass counts: the fields for mask image, background, threshold."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_ferro4d.viewer.widgets import Fold, ImageField, form

__all__ = ["CountsForm"]


class CountsForm(QWidget):
    """Mask image, background and threshold; empty means "every count as it is"."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.mask = ImageField(
            "mask image",
            "none",
            "Image of the detector's size: only pixels that are not 0 there count.\n"
            "Values are weights in an image of floats.",
            "*.npy *.tif *.tiff *.png",
        )
        self.background = ImageField(
            "background image",
            "none; counts, or file",
            "Counts to subtract from every pixel: a number, or an image of them.",
        )
        self.thresholded = QCheckBox()
        self.threshold = QDoubleSpinBox()
        self.threshold.setRange(-1e9, 1e9)
        self.threshold.setValue(1)
        self.threshold.setSuffix(" counts")
        tip = "Leave out pixels with fewer counts than this, the background subtracted."
        for box in (self.thresholded, self.threshold):
            box.setToolTip(tip)
        self.threshold.setEnabled(False)
        self.thresholded.toggled.connect(self.threshold.setEnabled)
        beside = QHBoxLayout()
        beside.setSpacing(6)
        beside.addWidget(self.thresholded)
        beside.addWidget(self.threshold, 1)
        rows = form()
        rows.addRow("Mask image", self.mask)
        rows.addRow("Background", self.background)
        rows.addRow("Threshold", beside)
        self._fold = Fold("", rows)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._fold)
        for change in (
            self.mask.changed,
            self.background.changed,
            self.thresholded.toggled,
            self.threshold.valueChanged,
        ):
            change.connect(self._on_changed)
        self._on_changed()

    @property
    def button(self) -> Any:
        """The button that shows the fields."""
        return self._fold.button

    def values(self) -> dict[str, Any]:
        """Return what the user gave: ``mask``, ``background`` and ``threshold``, None if not."""
        return {
            "mask": self.mask.text() or None,
            "background": self.background.text() or None,
            "threshold": self.threshold.value() if self.thresholded.isChecked() else None,
        }

    def _on_changed(self, *_: Any) -> None:
        # Seen while it is folded: what is given here changes every map.
        names = [name for name, value in self.values().items() if value is not None]
        self.button.setText(f"Counts: {', '.join(names)}" if names else "Counts: all")
        self.changed.emit()
