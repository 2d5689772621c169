"""A window that holds a measured difference pattern against that of two simulated states."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import CheckBox, ComboBox, Label
from qtpy.QtCore import Qt
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import (
    QDialog,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
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
from napari_ferro4d.viewer.session import remember, remembered, session
from napari_ferro4d.viewer.widgets import JobRow, Number, PatternImage, Picture, beside, rows

if TYPE_CHECKING:
    from napari_ferro4d.simulate import Table

_TABLES = {"ErMnO3": "ermno3", "Boracite": "boracite"}
_FILE = "Table file..."
_KEY = "compare difference"


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
        self._table: Table | None = None
        self._result: DifferenceComparison | None = None
        self._states: list[str] = []
        self.reference = ComboBox(
            label="Crystal",
            choices=[*_TABLES, _FILE],
            tooltip="A crystal that comes with the package, or a table of your own (.npz), see\n"
            "napari_ferro4d.simulate.write_table.",
        )
        self.first, self.second = (
            ComboBox(choices=lambda box: self._states, tooltip=tip)
            for tip in (
                "The state expected where the channel is high.",
                "The state expected where it is low.",
            )
        )
        self.thickness = _number(
            " nm",
            "Thickness of the specimen; 0 looks for the best fit.",
            nothing="best fit",
            max=1000,
            label="Thickness",
        )
        self.convergence = _number(
            " mrad",
            "Semi-angle of the probe; 0 takes what the file says, or else the size of the disk.",
            nothing="from the scan",
            max=100,
            step=0.1,
            label="Convergence",
        )
        self.tilt = tuple(
            _number(
                " mrad",
                f"Tilt of the beam from the zone axis, {way} on the detector.",
                min=-50,
                max=50,
                step=0.5,
                value=0,
            )
            for way in ("down", "right")
        )
        self.known = CheckBox(
            text="angle known:",
            tooltip="Which way up the pattern lies. Unless it is known, a pattern half a turn away "
            "fits\nas well, and with it the opposite sign.",
        )
        self.angle = _number(
            "°",
            "Of the measured pattern, counter-clockwise as drawn; to 20 degrees.",
            min=-180,
            max=180,
            value=0,
            enabled=False,
        )
        self.run = QPushButton("Compare")
        self.row = JobRow(self)
        self.measured = PatternImage("measured")
        self.simulated = PatternImage("simulated")
        self.map = PatternImage("correlation")
        self.number = QLabel()
        self.number.setWordWrap(True)
        self.number.setMinimumHeight(3 * self.number.fontMetrics().lineSpacing())
        self._lay_out()
        self.reference.changed.connect(self._on_reference)
        self.known.changed.connect(self._on_known)
        self.run.clicked.connect(self.compare)
        self.row.running.connect(self.refresh)
        session(viewer).closing.connect(self.row.stop)
        self._put_back()
        self._on_reference(self.reference.value)

    @property
    def comparison(self) -> DifferenceComparison | None:
        """What was found last."""
        return self._result

    def _lay_out(self) -> None:
        left = rows(
            self.reference,
            beside("States", self.first, Label(value="less"), self.second),
            beside("", self.known, self.angle),
        )
        right = rows(self.thickness, beside("Tilt y, x", *self.tilt), self.convergence)
        top = QHBoxLayout()
        top.setSpacing(18)
        for part in (left, right):
            top.addWidget(part.native, 1)
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
        whole.addLayout(top)
        whole.addWidget(self.run)
        whole.addWidget(self.row)
        whole.addLayout(pictures, 1)
        whole.addWidget(self.number)
        self.resize(940, 560)

    def refresh(self, *_: Any) -> None:
        """Enable what can be done now."""
        self.run.setEnabled(self._table is not None and not self.row.busy)
        self.reference.enabled = not self.row.busy

    def compare(self) -> None:
        """Compare on a thread and show maps and number."""
        table = self._table
        if table is None:
            return
        angle = self.angle.value
        options: dict[str, Any] = {
            "states": (self.first.value, self.second.value),
            "thickness": self.thickness.value,
            "tilt": tuple(field.value for field in self.tilt),
            "convergence": self.convergence.value,
            "rotation": (angle - 20.0, angle + 20.0) if self.known.value else None,
        }
        remember(_KEY, {**options, "crystal": self.reference.value, "angle": angle})

        def work(report: Report) -> DifferenceComparison:
            return compare_difference(self._scan, self._found, table, **options, report=report)

        self.row.start(work, self._show, "Comparison")

    def closeEvent(self, event: QCloseEvent | None) -> None:
        """Drop what is being computed."""
        self.row.cancel()
        super().closeEvent(event)

    def _put_back(self) -> None:
        values = remembered(_KEY)
        if values.get("crystal") in _TABLES:
            self.reference.value = values["crystal"]
        self.thickness.set_value(values.get("thickness"))
        self.convergence.set_value(values.get("convergence"))
        for field, value in zip(self.tilt, values.get("tilt", (0, 0)), strict=True):
            field.value = float(value)
        self.known.value = values.get("rotation") is not None
        self.angle.value = float(values.get("angle", 0.0))

    def _on_known(self, known: bool) -> None:
        self.angle.enabled = known

    def _offer(self, states: list[str]) -> None:
        self._states = states
        self.first.reset_choices()
        self.second.reset_choices()

    def _on_reference(self, name: str) -> None:
        from napari_ferro4d.simulate import load_table

        source = _TABLES.get(name, "")
        if name == _FILE:
            source, _ = QFileDialog.getOpenFileName(self, "Load table", "", "Tables (*.npz)")
        self._table = None
        self._offer([])
        self.refresh()
        if source:
            work = partial(load_table, source)
            self.row.start(lambda report: work(), self._take, "Loading the table", abandon=True)

    def _take(self, table: Table) -> str:
        self._table = table
        names = [state.name for state in table.states]
        self._offer(names)
        opposite = [
            i
            for i, state in enumerate(table.states)
            if np.allclose(np.add(state.polarisation, table.states[0].polarisation), 0)
        ]
        self.second.value = names[opposite[0] if opposite else min(1, len(names) - 1)]
        self.refresh()
        low, high = table.thickness_range
        return f"{table.name}: {len(names)} states, {low:g} to {high:g} nm."

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


def _number(suffix: str, tip: str, **keywords: Any) -> Number:
    return Number(suffix=suffix, decimals=1, tooltip=tip, **keywords)
