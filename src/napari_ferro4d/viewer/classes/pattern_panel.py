"""The pattern at the probe, large, and its difference to the mean pattern of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.widgets import PatternImage, Picture, narrow

from .class_means import MOST_CLASSES, ClassMeans
from .pattern_reader import Around, PatternReader, Position
from .picture_strip import PictureStrip
from .small_pictures import SmallPictures, without

OVER: dict[str, Around] = {
    "one pattern": (0, "mean"),
    "mean of 3 x 3": (1, "mean"),
    "mean of 5 x 5": (2, "mean"),
    "maximum of 3 x 3": (1, "max"),
    "maximum of 5 x 5": (2, "max"),
}
"""The patterns around a position that may be joined with its own, by what the user sees."""


class PatternPanel(QWidget):
    """Shows one pattern, or how it differs from a class, and small pictures to choose which."""

    joined = Signal()
    """The user wants patterns joined with others than before, or another scale."""

    def __init__(self) -> None:
        super().__init__()
        self._scan: Scan | None = None
        self._position: Position = (0, 0)
        self._pattern: np.ndarray | None = None
        self._mean: np.ndarray | None = None  # of the same positions, where that is their maximum
        self._means: dict[int, np.ndarray] = {}
        self._names: Mapping[int, str] = {}
        self._class: int | None = None  # whose mean is taken off what is shown large
        self.over = narrow(QComboBox())
        self.over.addItems(list(OVER))
        self.over.setToolTip(
            "Join the pattern with those of the positions around it: less noise, or, with the\n"
            "maximum, every reflection that any of them has (5 x 5 in Hardy et al., 2025)."
        )
        self.log = QCheckBox("log")
        self.log.setToolTip("Show log(1 + counts), so that weak discs can be seen.")
        self.log.setChecked(True)
        self.image = PatternImage("Open a scan to see its patterns.", height=215)
        # As large as there is room for, and smaller before anything has to be scrolled.
        self.image.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.strip = PictureStrip(width=86)
        self.strip.setToolTip(
            "The pattern, and what is left of it without the mean of each class;\n"
            f"of more than {MOST_CLASSES} classes those with most labels."
        )
        self.strip.hide()
        self.text = QLabel("")
        self.text.setWordWrap(True)
        self._reader, self._averager = PatternReader(), ClassMeans()
        self._reader.read.connect(self._on_read)
        self._reader.failed.connect(self._on_failed)
        self._averager.averaged.connect(self._on_averaged)
        self._averager.failed.connect(self._on_failed)
        self._pictures = SmallPictures()
        self._pictures.drawn.connect(self._on_drawn)
        self._pictures.failed.connect(self._on_failed)
        self.over.currentIndexChanged.connect(self._on_joined)
        self.log.toggled.connect(self._on_log)
        self.strip.picked.connect(self._on_picked)
        self.options = QHBoxLayout()
        self.options.addWidget(self.over, 1)
        self.options.addWidget(self.log)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(self.options)
        column.addWidget(self.image, 1)
        column.addWidget(self.text)
        column.addWidget(self.strip)

    @property
    def around(self) -> Around:
        """What a pattern is joined with."""
        return OVER[self.over.currentText()]

    @property
    def pattern(self) -> np.ndarray | None:
        """The pattern ``[ky, kx]`` at the probe, joined, before any logarithm."""
        return self._pattern

    @property
    def means(self) -> Mapping[int, np.ndarray]:
        """The mean pattern ``[ky, kx]`` of the labelled positions by class number."""
        return self._means

    def set_scan(self, scan: Scan | None) -> None:
        """Show patterns of another scan, or none."""
        self._scan, self._pattern, self._mean, self._means = scan, None, None, {}
        self.image.set_scan(scan)
        self._lay_out_strip()
        self._draw()
        if scan is None:
            self._reader.stop()
            self._averager.stop()

    def show_position(self, position: Position) -> None:
        """Read the pattern at a position and show it."""
        self._position = position
        if self._scan is not None:
            radius, join = self.around
            wanted = [(radius, join), *([(radius, "mean")] if join == "max" else [])]
            self._reader.request(self._scan, [(position, one) for one in wanted])

    def set_labels(self, labels: np.ndarray | None, names: Mapping[int, str]) -> None:
        """Take the means of the classes in `labels`, integer ``[y, x]``, which are called so."""
        self._names = dict(names)
        if self._scan is None:
            return
        if labels is None or not labels.any():
            self._averager.stop()
            self._on_averaged(self._scan, {})
        else:
            self._averager.request(self._scan, labels)
            self._lay_out_strip()

    def end(self) -> None:
        """Let go of the threads."""
        for job in (self._reader, self._averager, self._pictures):
            job.stop()

    def _on_read(self, scan: Scan, position: Position, around: Around, pattern: np.ndarray) -> None:
        if scan is not self._scan or around[0] != self.around[0]:
            return
        if around == self.around:
            self._pattern = pattern
        if around[1] == "mean":
            self._mean = pattern
        self._draw()

    def _on_failed(self, error: Exception) -> None:
        where = "the scan" if self._scan is None else self._scan.where()
        self.text.setText(f"{where}: this pattern cannot be read ({error}).")

    def _on_averaged(self, scan: Scan, means: dict[int, np.ndarray]) -> None:
        if scan is self._scan:
            self._means = means
            self._lay_out_strip()
            self._draw()

    def _lay_out_strip(self) -> None:
        names = [self._names.get(number, f"class {number}") for number in self._means]
        captions = [f"\N{MINUS SIGN} {name}" for name in names]
        self.strip.show_captions(["pattern", *captions] if self._means else [])
        self.strip.setVisible(bool(self._means))
        if self._class not in self._means:
            self._class = None
        self.strip.mark(0 if self._class is None else 1 + list(self._means).index(self._class))

    def _on_picked(self, index: int) -> None:
        self._class = None if index == 0 else list(self._means)[index - 1]
        self.strip.mark(index)
        self._draw()

    def _on_joined(self) -> None:
        self.show_position(self._position)
        self.joined.emit()

    def _on_log(self) -> None:
        self._draw()
        self.joined.emit()

    def _draw(self) -> None:
        """Show what is known now."""
        pattern, mean, log = self._pattern, self._mean, self.log.isChecked()
        if pattern is None or mean is None:
            if pattern is None:
                self.image.show_picture(None)
            return
        if self._class is None:
            self.image.show_picture(Picture(np.asarray(pattern, np.float32), log=log))
        else:
            left = without(mean, self._means[self._class], log)
            self.image.show_picture(Picture(left, "(log)" if log else "counts", signed=True))
        if self._means:
            self._pictures.request(pattern, mean, self._means, log)

    def _on_drawn(self, means: Mapping[int, np.ndarray], images: Sequence[QImage]) -> None:
        if means is self._means:  # else others are on their way
            for index, image in enumerate(images):
                self.strip.show_picture(index, QPixmap.fromImage(image))
