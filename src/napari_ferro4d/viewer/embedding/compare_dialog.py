"""A window that holds a measured difference pattern against that of two simulated states."""

from __future__ import annotations

from typing import Any

import numpy as np
from magicgui.widgets import ComboBox, Label
from qtpy.QtCore import Qt
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import (
    QDialog,
    QGridLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_ferro4d.embedding import Difference
from napari_ferro4d.jobs import Report
from napari_ferro4d.match import DifferenceComparison, compare_difference
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.session import session
from napari_ferro4d.viewer.widgets import JobRow, PatternImage, Picture, SimulationForm, beside


class CompareDialog(QDialog):
    """Compare a difference pattern with simulated ones.

    Parameters
    ----------
    parent : QWidget
        The dock.
    viewer : napari.Viewer
        Its viewer.
    scan : Scan
        The scan.
    found : Difference
        The measured difference.
    """

    def __init__(self, parent: QWidget, viewer: Any, scan: Scan, found: Difference) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"{scan.name}: difference and simulation")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._scan, self._found = scan, found
        self._result: DifferenceComparison | None = None
        self._states: list[str] = []
        self.first, self.second = (
            ComboBox(choices=lambda box: self._states, tooltip=tip)
            for tip in (
                "The state expected where the channel is high.",
                "The state expected where it is low.",
            )
        )
        self.row = JobRow(self)
        states = beside("States", self.first, Label(value="less"), self.second)
        self.form = SimulationForm("compare difference", self.row, states)
        self.run = QPushButton("Compare")
        self.measured = PatternImage("measured")
        self.simulated = PatternImage("simulated")
        self.map = PatternImage("correlation")
        self.number = QLabel()
        self.number.setWordWrap(True)
        self.number.setMinimumHeight(3 * self.number.fontMetrics().lineSpacing())
        self._lay_out()
        self.form.loaded.connect(self._on_table)
        self.run.clicked.connect(self.compare)
        self.row.running.connect(self.refresh)
        session(viewer).closing.connect(self.row.stop)
        self.form.load()

    @property
    def comparison(self) -> DifferenceComparison | None:
        """What was found last."""
        return self._result

    def _lay_out(self) -> None:
        pictures = QGridLayout()
        for column, (title, picture) in enumerate(
            (
                ("measured difference", self.measured),
                ("simulated difference", self.simulated),
                ("correlation in a window", self.map),
            )
        ):
            label = QLabel(title)
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            pictures.addWidget(label, 0, column)
            picture.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
            picture.setMaximumHeight(700)
            pictures.addWidget(picture, 1, column)
            pictures.setColumnStretch(column, 1)
        whole = QVBoxLayout(self)
        whole.addWidget(self.form)
        whole.addWidget(self.run)
        whole.addWidget(self.row)
        whole.addLayout(pictures, 1)
        whole.addWidget(self.number)
        self.resize(940, 560)

    def refresh(self, *_: Any) -> None:
        """Enable what can be done now."""
        self.run.setEnabled(self.form.table is not None and not self.row.busy)
        self.form.reference.enabled = not self.row.busy

    def compare(self) -> None:
        """Compare on a thread and show maps and number."""
        table = self.form.table
        if table is None:
            return
        options = {"states": (self.first.value, self.second.value), **self.form.options()}

        def work(report: Report) -> DifferenceComparison:
            return compare_difference(self._scan, self._found, table, **options, report=report)

        self.row.start(work, self._show, "Comparison")

    def closeEvent(self, event: QCloseEvent | None) -> None:
        """Drop what is being computed."""
        self.row.cancel()
        super().closeEvent(event)

    def _on_table(self) -> None:
        """Offer the states of the table, to begin with its first and the opposite one."""
        table = self.form.table
        states = [] if table is None else list(table.states)
        self._states = [state.name for state in states]
        self.first.reset_choices()
        self.second.reset_choices()
        opposite = [
            state.name
            for state in states
            if np.allclose(np.add(state.polarisation, states[0].polarisation), 0)
        ]
        if states:
            self.second.value = (opposite or self._states[1:2] or self._states)[0]
        self.refresh()

    def _show(self, result: DifferenceComparison) -> str:
        self._result = result
        for image in (self.measured, self.simulated, self.map):
            image.set_scan(self._scan)
        self.measured.show_picture(Picture(result.measured, "of all", signed=True))
        self.simulated.show_picture(Picture(result.simulated, "of all", signed=True))
        self.map.show_picture(Picture(result.correlation.map, "", signed=True))
        self.number.setText(_said(result))
        return "Grey: outside of the simulation, or no contrast beyond its noise."


def _said(result: DifferenceComparison) -> str:
    text = f"Correlation of the whole patterns {_signed(result.overall)}"
    if result.half_turn is not None:
        text += f", and {_signed(result.half_turn)} with the simulation turned by half a turn"
    laid = result.registration
    parts = [f"turned by {laid.rotation:.1f}°", f"scale {laid.scale:.3f}"]
    if result.thickness is not None:
        parts.insert(0, f"{result.thickness:g} nm")
    text += f" ({', '.join(parts)}). "
    first, second = result.states if result.overall > 0 else result.states[::-1]
    text += f"The high side of the channel is like {first}, the low side like {second}"
    if result.half_turn is not None and result.half_turn * result.overall < 0:
        return f"{text}; the other way round, if the pattern lies half a turn away."
    return f"{text}."


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")
