"""A window that asks which simulated state each pattern is likest, to propose labels from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QDialog, QPushButton, QVBoxLayout, QWidget

from napari_ferro4d.jobs import Report
from napari_ferro4d.match import StateMap, map_states
from napari_ferro4d.results import LabelResult, provenance
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import Origin, add_layers, colour_of, label_layer, made
from napari_ferro4d.viewer.session import session
from napari_ferro4d.viewer.widgets import JobRow, Number, SimulationForm, hint

if TYPE_CHECKING:
    from napari.layers import Labels


class StatesDialog(QDialog):
    """Compare the patterns of a scan with simulated states, one position at a time.

    Parameters
    ----------
    parent : QWidget
        The dock.
    viewer : napari.Viewer
        Its viewer.
    scan : Scan
        The scan.
    """

    mapped = Signal(object)
    """The labels layer with the states, hidden."""

    def __init__(self, parent: QWidget, viewer: Any, scan: Scan) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"{scan.name}: likest simulated states")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._viewer, self._scan = viewer, scan
        self.least = Number(
            label="Ahead by",
            suffix=" \N{GREEK SMALL LETTER SIGMA}",
            decimals=1,
            min=0,
            max=100,
            step=0.5,
            value=2.0,
            tooltip="How far a state has to be ahead of the next, in standard deviations of\n"
            "counting noise; positions where none is get no label.",
        )
        self.row = JobRow(self)
        self.form = SimulationForm("map states", self.row, self.least)
        self.run = QPushButton("Compare with all states")
        self.said = hint(
            "Proposals only: thickness and tilt are taken to be the same everywhere in the scan."
        )
        whole = QVBoxLayout(self)
        for part in (self.form, self.run, self.row, self.said):
            whole.addWidget(part)
        self.resize(780, self.sizeHint().height())
        self.form.loaded.connect(self.refresh)
        self.run.clicked.connect(self.compare)
        self.row.running.connect(self.refresh)
        session(viewer).closing.connect(self.row.stop)
        self.form.load()

    def refresh(self, *_: Any) -> None:
        """Enable what can be done now."""
        self.run.setEnabled(self.form.table is not None and not self.row.busy)
        self.form.reference.enabled = not self.row.busy

    def compare(self) -> None:
        """Compare on a thread and add the labels layer."""
        table, scan = self.form.table, self._scan
        if table is None:
            return
        options = {**self.form.options(), "least": self.least.value}

        def work(report: Report) -> StateMap:
            return map_states(scan, table, **options, report=report)

        def done(found: StateMap) -> str:
            self.mapped.emit(self._show(found, {"table": table.name, **options}))
            return f"{np.count_nonzero(found.labels):,} of {found.labels.size:,} positions told."

        self.row.start(work, done, "Comparison")

    def closeEvent(self, event: QCloseEvent | None) -> None:
        """Drop what is being computed."""
        self.row.cancel()
        super().closeEvent(event)

    def _show(self, found: StateMap, said: dict[str, Any]) -> Labels:
        names = dict(enumerate(found.states, start=1))
        colours = {number: colour_of(number) for number in names}
        step = self._scan.scan_step
        result = LabelResult("simulated states", found.labels, step, names, colours)
        note = made(provenance("map_states", said, self._scan), labels=[result])
        data = label_layer(Origin.of(self._scan), result, visible=False)
        text = f"Turned by {found.registration.rotation:.1f}°"
        if found.thickness is not None:
            text += f", {found.thickness:g} nm"
        if found.half_turn_open:
            text += ". The pattern may lie half a turn away: then every state is the opposite one"
        self.said.setText(f"{text}.")
        (layer,) = add_layers(self._viewer, [data], note)
        return layer
