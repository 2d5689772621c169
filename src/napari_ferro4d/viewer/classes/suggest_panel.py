"""Which positions to label next: how they are found, and their patterns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtGui import QPixmap
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.widgets import Number, narrow

from .pattern_reader import Around, PatternReader, Position
from .picture_strip import PictureStrip, pattern_image

METHODS = {
    "informed": "informed",
    "boundary": "boundary",
    "boundary, iterated": "boundary-iterated",
    "random": "random",
}
"""What `napari_ferro4d.learn.suggest` calls the ways to choose, by what the user sees."""


class SuggestPanel(QWidget):
    """A row with a button, and under it the patterns of the positions that it found."""

    picked = Signal(object)
    """A suggested position ``(y, x)`` that the user wants to see."""

    def __init__(self) -> None:
        super().__init__()
        self._scan: Scan | None = None
        self._positions: list[Position] = []
        self._shown: tuple[object, ...] = ()
        self._log = True
        self.method = narrow(QComboBox())
        self.method.addItems(list(METHODS))
        self.method.setToolTip(
            "informed: where the model and its surroundings disagree, where it is uncertain, and\n"
            "what is unlike anything labelled; a grid while nothing is labelled.\n"
            "boundary: halfway between neighbouring labels of different classes (Algorithm 1 of\n"
            "Hardy et al., 2025), in a single pass or iterated.\n"
            "random: anywhere, for comparison."
        )
        self.budget = Number(value=10, min=1, max=1000)
        self.budget.native.setToolTip("How many positions to suggest at a time.")
        self.button = QPushButton("Suggest")
        self.strip = PictureStrip()
        self.strip.setToolTip("Click to go there. Those that are labelled are faint.")
        self.strip.hide()
        self._reader = PatternReader()
        self._reader.read.connect(self._on_read)
        self.strip.picked.connect(self._on_picked)
        row = QHBoxLayout()
        row.addWidget(QLabel("Next"))
        row.addWidget(self.method, 1)
        row.addWidget(self.budget.native)
        row.addWidget(self.button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.strip)

    def show_positions(
        self, scan: Scan | None, positions: Sequence[Position], around: Around, log: bool
    ) -> None:
        """Show the patterns of suggested positions, joined with those around them."""
        shown = (scan, tuple(positions), around, log)
        if shown == self._shown:
            return
        self._shown, self._scan, self._log = shown, scan, log
        self._positions = list(positions)
        self.strip.setVisible(bool(positions))
        self.strip.show_captions([str(number) for number in range(1, len(positions) + 1)])
        for index in range(len(positions)):
            self.strip.show_picture(index, None)
        if scan is None or not positions:
            self._reader.stop()
        else:
            self._reader.request(scan, [(one, around) for one in positions])

    def follow(self, left: Sequence[int], current: int | None) -> None:
        """Show which suggestions are left, and which of them the probe is at."""
        for index in range(self.strip.count()):
            self.strip.dim(index, index not in left)
        self.strip.mark(current)

    def end(self) -> None:
        """Let go of the thread."""
        self._reader.stop()

    def _on_picked(self, index: int) -> None:
        self.picked.emit(self._positions[index])

    def _on_read(self, scan: Scan, position: Position, around: Around, pattern: np.ndarray) -> None:
        if scan is self._scan and position in self._positions:
            picture = QPixmap.fromImage(pattern_image(pattern, log=self._log))
            self.strip.show_picture(self._positions.index(position), picture)
