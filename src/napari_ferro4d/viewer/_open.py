"""Dock widget "Open 4D-STEM scan...": open a file or folder with the hints it may lack.

napari offers `.npy` and some other files to its own reader first, and a file may not say how large
its scan is; this is the way that always works.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_ferro4d.errors import ScanError
from napari_ferro4d.io import FORMATS, is_results, open_scan
from napari_ferro4d.jobs import Report
from napari_ferro4d.scan import Scan

from ._job import JobRow
from ._layers import LayerData, add_layers, scan_layers
from ._parts import enable, form, hint
from ._reader import kept_labels, results_layers
from ._session import plain, session
from ._settings import remember, remembered

__all__ = ["OpenWidget"]


class OpenWidget(QWidget):
    """Open a 4D-STEM scan, or a results folder, in the viewer.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer to add the layers to.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer = plain(napari_viewer)
        self.path = QLineEdit()
        self.path.setPlaceholderText("file or folder")
        self.path.textChanged.connect(self.refresh)
        self._format = QComboBox()
        self._format.addItems(["auto", *FORMATS])
        self._format.setToolTip("The file format, where the name does not tell.")
        self.rows, self.columns = _count("rows "), _count("columns ")
        self.scan_step = _size(" nm", "Distance between probe positions.")
        self.k_step = _size(" 1/Å", "Size of a detector pixel in reciprocal space, 1/angstrom.")
        self.open_button = QPushButton("Open scan")
        self.open_button.clicked.connect(self.open)
        for box in (self.rows, self.columns):
            box.valueChanged.connect(self.refresh)
        self.row = JobRow(self)
        self.row.running.connect(self.refresh)
        session(self.viewer).closing.connect(self.row.stop)
        self._lay_out()
        self.refresh()

    def _lay_out(self) -> None:
        file_button, folder_button = QPushButton("File..."), QPushButton("Folder...")
        file_button.clicked.connect(self._ask_file)
        folder_button.clicked.connect(self._ask_folder)
        folder_button.setToolTip("For .zarr and .zspy scans and for results folders.")
        choose = QHBoxLayout()
        for widget, stretch in ((self.path, 1), (file_button, 0), (folder_button, 0)):
            choose.addWidget(widget, stretch)
        shape = QHBoxLayout()
        shape.addWidget(self.rows)
        shape.addWidget(self.columns)
        fields = form()
        fields.addRow("Format", self._format)
        fields.addRow("Scan shape", shape)
        fields.addRow("Scan step", self.scan_step)
        fields.addRow("Detector pixel", self.k_step)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 6)
        column.setSpacing(6)
        column.addLayout(choose)
        column.addWidget(hint("auto: as the file says. Fill in what it lacks."))
        column.addLayout(fields)
        column.addWidget(self.open_button)
        column.addWidget(self.row)

    def hints(self) -> dict[str, Any]:
        """Return the hints that the user gave, as keywords of `open_scan`."""
        hints: dict[str, Any] = {}
        if self._format.currentIndex() > 0:
            hints["format"] = self._format.currentText()
        if self.rows.value() and self.columns.value():
            hints["scan_shape"] = (self.rows.value(), self.columns.value())
        if self.scan_step.value():
            hints["scan_step"] = self.scan_step.value()
        if self.k_step.value():
            hints["k_step"] = self.k_step.value()
        return hints

    def refresh(self, *_: Any) -> None:
        """Enable what can be done now."""
        why = None
        if self.row.busy:
            why = "Wait until the scan has been opened."
        elif not self.path.text().strip():
            why = "Choose a file or a folder first."
        elif bool(self.rows.value()) != bool(self.columns.value()):
            why = "A scan shape needs both rows and columns."
        enable(self.open_button, why, "Add the scan and a preview to the viewer.")

    def open(self) -> None:
        """Open the scan on a thread and add its layers; a results folder opens as itself."""
        path, hints = self.path.text().strip(), self.hints()
        if is_results(path):
            self._open_results(path)
            return

        def work(report: Report) -> tuple[Scan, list[LayerData]]:
            scan = open_scan(path, **hints)
            return scan, scan_layers(scan)

        def done(opened: tuple[Scan, list[LayerData]]) -> str:
            scan, layers = opened
            add_layers(self.viewer, [*layers, *kept_labels(scan)])
            self.viewer.fit_to_view()
            return f"Opened {scan.name}: {_shape_text(scan)}."

        self.row.start(work, done, "Opening")

    def _open_results(self, path: str) -> None:
        try:
            layers: list[LayerData] = results_layers(path)
        except ScanError as error:
            show_error(str(error))
            return
        add_layers(self.viewer, layers)
        self.row.say(f"Opened {len(layers)} layers of {Path(path).name}.")

    def _ask_file(self) -> None:
        self._asked(QFileDialog.getOpenFileName(self, "Open 4D-STEM scan", _folder())[0])

    def _ask_folder(self) -> None:
        self._asked(QFileDialog.getExistingDirectory(self, "Open 4D-STEM scan", _folder()))

    def _asked(self, path: str) -> None:
        if path:
            self.path.setText(path)
            remember("open", {"folder": str(Path(path).parent)})


def _shape_text(scan: Scan) -> str:
    (y, x), (ky, kx) = scan.scan_shape, scan.detector_shape
    return f"{y} x {x} positions, {ky} x {kx} detector pixels"


def _folder() -> str:
    return str(remembered("open").get("folder", Path.home()))


def _count(prefix: str) -> QSpinBox:
    box = QSpinBox()
    box.setRange(0, 100000)
    box.setPrefix(prefix)
    box.setSpecialValueText("auto")
    box.setToolTip(f"Probe positions: {prefix.strip()} of the scan.")
    return box


def _size(suffix: str, tip: str) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(0, 1e6)
    box.setDecimals(5)
    box.setSuffix(suffix)
    box.setSpecialValueText("auto")
    box.setToolTip(tip)
    return box
