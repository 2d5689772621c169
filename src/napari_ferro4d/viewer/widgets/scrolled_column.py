"""The rows of a dock, which scroll where a window is lower than they are."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QScrollArea, QVBoxLayout, QWidget


class ScrolledColumn(QScrollArea):
    """Widgets below one another; a dock higher than the screen would else push the window off it.

    Parameters
    ----------
    dock : QWidget
        The widget that the column fills.
    """

    def __init__(self, dock: QWidget) -> None:
        super().__init__()
        self.inside = QWidget()
        self.rows = QVBoxLayout(self.inside)
        self.rows.setContentsMargins(8, 6, 8, 6)
        self.rows.setSpacing(6)
        self.setWidget(self.inside)
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        whole = QVBoxLayout(dock)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self)

    def ask_for_width(self) -> None:
        """Ask for the width of the rows, which napari's style makes wider once they are shown."""
        bar = self.verticalScrollBar()
        assert bar is not None
        self.setMinimumWidth(self.inside.minimumSizeHint().width() + bar.sizeHint().width())

    def whole_size(self) -> QSize:
        """Return the size at which nothing has to be scrolled."""
        inside = self.inside.sizeHint()
        return QSize(max(inside.width(), self.minimumWidth()), inside.height())
