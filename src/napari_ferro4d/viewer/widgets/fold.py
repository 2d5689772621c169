"""A group of fields that is folded away until somebody wants it."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLayout, QToolButton, QVBoxLayout, QWidget

__all__ = ["Fold"]


class Fold(QWidget):
    """A button with an arrow, and under it what it opens and closes.

    Parameters
    ----------
    title : str
        What the button says.
    content : QLayout
        The fields.
    """

    def __init__(self, title: str, content: QLayout) -> None:
        super().__init__()
        self.button = QToolButton()
        self.button.setText(title)
        self.button.setCheckable(True)
        self.button.setAutoRaise(True)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.toggled.connect(self._fold)
        self._body = QWidget()
        self._body.setLayout(content)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.button)
        column.addWidget(self._body)
        self._fold(False)

    def _fold(self, opened: bool) -> None:
        self._body.setVisible(opened)
        arrow = Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow
        self.button.setArrowType(arrow)
