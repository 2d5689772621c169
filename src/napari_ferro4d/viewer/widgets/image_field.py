"""A line for the path of a detector image, with a button that asks for the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QWidget

from napari_ferro4d.viewer.session import remember, remembered

__all__ = ["ImageField"]

_IMAGES = "Images ({});;All files (*)"


class ImageField(QWidget):
    """Take what the user types, or the path of the file that the user chooses.

    Parameters
    ----------
    what : str
        What the image is, for the title of the file dialog.
    nothing : str
        Said in grey while the line is empty.
    tip : str
        The tooltip.
    endings : str
        File name endings that can be read, such as ``"*.npy *.tif"``.
    """

    changed = Signal()

    chosen = Signal()
    """The user chose a file."""

    def __init__(
        self,
        what: str,
        nothing: str,
        tip: str,
        endings: str = "*.npy *.tif *.tiff *.mrc *.dm3 *.dm4",
    ) -> None:
        super().__init__()
        self._what, self._filter = what, _IMAGES.format(endings)
        self.line = QLineEdit()
        self.line.setPlaceholderText(nothing)
        self.line.setToolTip(tip)
        self.line.textChanged.connect(self.changed)
        button = QPushButton("File...")
        button.clicked.connect(self.ask)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line, 1)
        row.addWidget(button)

    def text(self) -> str:
        """Return what is in the line."""
        return self.line.text().strip()

    def setText(self, text: str) -> None:
        """Put `text` into the line."""
        self.line.setText(text)

    def ask(self, *_: Any) -> None:
        """Ask for a file, first in the folder of the one before."""
        folder = str(remembered("corrections").get("folder", Path.home()))
        path = QFileDialog.getOpenFileName(self, f"Choose the {self._what}", folder, self._filter)[
            0
        ]
        if path:
            self.chosen.emit()
            self.setText(path)
            remember("corrections", {"folder": str(Path(path).parent)})
