"""Dialog "Apply to": which of the other scans in the viewer the present model is to classify."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)


class ApplyDialog(QDialog):
    """Offers scans with a tick each.

    Parameters
    ----------
    parent : QWidget
        The dock.
    model : str
        What the model is called.
    names : sequence of str
        What the scans are called.
    """

    def __init__(self, parent: QWidget, model: str, names: Sequence[str]) -> None:
        super().__init__(parent)
        self.setWindowTitle("Apply the model")
        self.list = QListWidget()
        for name in names:
            item = QListWidgetItem(name)
            item.setCheckState(Qt.CheckState.Checked)
            self.list.addItem(item)
        self.list.itemChanged.connect(self._on_changed)
        ok, cancel = QDialogButtonBox.StandardButton.Ok, QDialogButtonBox.StandardButton.Cancel
        self.buttons = QDialogButtonBox(ok | cancel)
        self._ok().setText("Apply")
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        about = QLabel(f"Classify these scans with {model}:")
        about.setWordWrap(True)
        column = QVBoxLayout(self)
        for widget in (about, self.list, self.buttons):
            column.addWidget(widget)

    @property
    def chosen(self) -> list[int]:
        """Which of the names are ticked."""
        ticked = self.list.findItems("*", Qt.MatchFlag.MatchWildcard)
        return [i for i, one in enumerate(ticked) if one.checkState() == Qt.CheckState.Checked]

    def _on_changed(self) -> None:
        self._ok().setEnabled(bool(self.chosen))

    def _ok(self) -> QPushButton:
        button = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        assert button is not None
        return button
