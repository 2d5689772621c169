"""The fields that say which simulation patterns are compared with, and how it is laid onto them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox
from magicgui.widgets.bases import Widget
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QWidget

from napari_ferro4d.viewer.session import remember, remembered

from .fields import Number, beside, rows
from .job_row import JobRow

if TYPE_CHECKING:
    from napari_ferro4d.simulate import Table

_TABLES = {"ErMnO3": "ermno3", "Boracite": "boracite"}
_FILE = "Table file..."
_ROOM = 20.0
"""Degrees by which a pattern may be turned from the angle that is known."""


class SimulationForm(QWidget):
    """Choose a table of simulated patterns, and say what is known of the measured ones.

    Parameters
    ----------
    key : str
        Under which name its fields are remembered.
    row : JobRow
        Loads the table.
    more : Widget
        More fields, below the crystal.
    """

    loaded = Signal()
    """Another table is there, or none yet."""

    def __init__(self, key: str, row: JobRow, *more: Widget) -> None:
        super().__init__()
        self._key, self._row = key, row
        self._table: Table | None = None
        self.reference = ComboBox(
            label="Crystal",
            choices=[*_TABLES, _FILE],
            tooltip="A crystal that comes with the package, or a table of your own (.npz), see\n"
            "napari_ferro4d.simulate.write_table.",
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
        left = rows(self.reference, *more, beside("", self.known, self.angle))
        right = rows(self.thickness, beside("Tilt y, x", *self.tilt), self.convergence)
        columns = QHBoxLayout(self)
        columns.setContentsMargins(0, 0, 0, 0)
        columns.setSpacing(18)
        for part in (left, right):
            columns.addWidget(part.native, 1)
        self.known.changed.connect(self._on_known)
        self.reference.changed.connect(self.load)
        self._put_back()

    @property
    def table(self) -> Table | None:
        """The table chosen; None until it is loaded."""
        return self._table

    def options(self) -> dict[str, Any]:
        """Return what is known of the measured patterns, and remember it for next time."""
        angle = self.angle.value
        said: dict[str, Any] = {
            "thickness": self.thickness.value,
            "tilt": tuple(field.value for field in self.tilt),
            "convergence": self.convergence.value,
            "rotation": (angle - _ROOM, angle + _ROOM) if self.known.value else None,
        }
        remember(self._key, {**said, "crystal": self.reference.value, "angle": angle})
        return said

    def load(self, *_: Any) -> None:
        """Load the table chosen, on a thread."""
        from napari_ferro4d.simulate import load_table

        name = self.reference.value
        source = _TABLES.get(name, "")
        if name == _FILE:
            source, _filter = QFileDialog.getOpenFileName(self, "Load table", "", "Tables (*.npz)")
        self._table = None
        self.loaded.emit()
        if source:
            work = partial(load_table, source)
            self._row.start(lambda report: work(), self._take, "Loading the table", abandon=True)

    def _take(self, table: Table) -> str:
        self._table = table
        self.loaded.emit()
        low, high = table.thickness_range
        return f"{table.name}: {len(table.states)} states, {low:g} to {high:g} nm."

    def _put_back(self) -> None:
        values = remembered(self._key)
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


def _number(suffix: str, tip: str, **keywords: Any) -> Number:
    return Number(suffix=suffix, decimals=1, tooltip=tip, **keywords)
