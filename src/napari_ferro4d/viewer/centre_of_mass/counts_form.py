"""Which counts the centre of mass counts: the fields for mask image, background, threshold."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import CheckBox
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_ferro4d.viewer.widgets import Fold, ImageEdit, Number, beside, rows


class CountsForm(QWidget):
    """Mask image, background and threshold; empty means "every count as it is"."""

    def __init__(self) -> None:
        super().__init__()
        self.mask_image = ImageEdit(
            "mask image",
            endings="*.npy *.tif *.tiff *.png",
            label="Mask image",
            tooltip="Image of the detector's size: only pixels that are not 0 there count.\n"
            "Values are weights in an image of floats.",
        )
        self.background = ImageEdit(
            "background image",
            "none; counts, or file",
            label="Background",
            tooltip="Counts to subtract from every pixel: a number, or an image of them.",
        )
        tip = "Leave out pixels with fewer counts than this, the background subtracted."
        self.thresholded = CheckBox(tooltip=tip)
        self.threshold = Number(
            suffix=" counts",
            decimals=2,
            min=-1e9,
            max=1e9,
            value=1,
            tooltip=tip,
            enabled=False,
        )
        self._fields = rows(
            self.mask_image,
            self.background,
            beside("Threshold", self.thresholded, self.threshold),
        )
        fold = Fold("", self._fields.native)
        self.button = fold.button
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(fold)
        self._fields.changed.connect(self._on_changed)
        self._on_changed()

    def values(self) -> dict[str, Any]:
        """Return what the user gave: ``mask``, ``background`` and ``threshold``, None if not."""
        return {
            "mask": self.mask_image.value,
            "background": self.background.value,
            "threshold": self.threshold.value if self.thresholded.value else None,
        }

    def set_threshold(self, threshold: float | None) -> None:
        """Set the threshold; None for none."""
        self.thresholded.value = threshold is not None
        if threshold is not None:
            self.threshold.value = threshold

    def _on_changed(self) -> None:
        self.threshold.enabled = self.thresholded.value
        # Seen while it is folded: what is given here changes every map.
        names = [name for name, value in self.values().items() if value is not None]
        self.button.setText(f"Counts: {', '.join(names)}" if names else "Counts: all")
