"""Dock widget "Open 4D-STEM scan...": open a file or folder with the hints it may lack.

napari offers `.npy` and some other files to its own reader first, and a file may not say how large
its scan is; this is the way that always works.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error
from qtpy.QtCore import QSize
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QWidget,
)

from napari_ferro4d.errors import ScanError
from napari_ferro4d.io import OpenOptions, is_results
from napari_ferro4d.jobs import Report
from napari_ferro4d.open import open_with_options
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import (
    LayerData,
    add_layers,
    corrections_text,
    make_room,
    with_steps_of_scans,
)
from napari_ferro4d.viewer.napari_io import (
    kept_aside_layers,
    kept_labels,
    layers_of,
    now_and_later,
    results_layers,
)
from napari_ferro4d.viewer.session import is_kept, remember, remembered, session, unwrapped
from napari_ferro4d.viewer.widgets import JobRow, ScrolledColumn, enable, hint

from .hints_form import HintsForm


class OpenWidget(QWidget):
    """Open a 4D-STEM scan, or a results folder, in the viewer.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer to add the layers to.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer = unwrapped(napari_viewer)
        self.path = QLineEdit()
        self.path.setPlaceholderText("file or folder")
        self._path = ""
        self.path.textChanged.connect(self._on_path)
        self.form = HintsForm()
        self.form.changed.connect(self.refresh)
        self.open_button = QPushButton("Open scan")
        self.open_button.clicked.connect(self.open)
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
        # With all groups open it is higher than the screen of a laptop.
        self._scroll = ScrolledColumn(self)
        self._scroll.setMinimumHeight(300)
        column = self._scroll.rows
        column.addLayout(choose)
        column.addWidget(hint("auto: as the file says. Fill in what it lacks."))
        column.addWidget(self.form)
        column.addWidget(self.open_button)
        column.addWidget(self.row)
        column.addStretch(1)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Ask for the width of the fields, which napari's style makes wider than they were."""
        super().showEvent(event)
        self._scroll.ask_for_width()

    def sizeHint(self) -> QSize:
        """Return the least width, and the height at which nothing has to be scrolled."""
        return QSize(self._scroll.minimumWidth(), self._scroll.whole_size().height())

    def refresh(self, *_: Any) -> None:
        """Enable what can be done now."""
        why = None
        if self.row.busy:
            why = "Wait until the scan has been opened."
        elif not self.path.text().strip():
            why = "Choose a file or a folder first."
        else:
            why = self.form.why_not()
        enable(self.open_button, why, "Add the scan and a preview to the viewer.")

    def open(self) -> None:
        """Open the scan on a thread and add its layers; a results folder opens as itself."""
        path, options = self.path.text().strip(), OpenOptions(**self.form.hints())
        if is_results(path) or is_kept(path):
            self._open_layers(path)
            return

        def work(report: Report) -> tuple[Scan, list[LayerData]]:
            scan = open_with_options(path, options, report)
            return scan, layers_of(scan)

        def done(opened: tuple[Scan, list[LayerData]]) -> str:
            scan, layers = opened
            make_room(self.viewer, scan)
            add_layers(self.viewer, [*layers, *kept_labels(scan)])
            self.viewer.fit_to_view()
            done_to_it = corrections_text(scan)
            line = f"Opened {scan.name}: {_shape_text(scan)}"
            return f"{line}; corrected: {done_to_it}." if done_to_it else f"{line}."

        # A file is opened in one piece, which nothing can stop; its result need not be waited for.
        self.row.start(work, done, "Opening", abandon=True)

    def _open_layers(self, path: str) -> None:
        session(self.viewer)
        try:
            layers = results_layers(path) if is_results(path) else kept_aside_layers(path)
        except ScanError as error:
            show_error(str(error))
            return
        add_layers(
            self.viewer, now_and_later(self.viewer, with_steps_of_scans(self.viewer, layers))
        )
        self.row.say(f"Opened {len(layers)} layers of {Path(path).name}.")

    def _on_path(self, path: str) -> None:
        # What was said about one file is not true of the next.
        if self._path and self.form.reset():
            kept = " Corrections stay." if self.form.corrections.hints() else ""
            self.row.say(f"Another file: the fields are back to what the file says.{kept}")
        self._path = path.strip()
        self.refresh()

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
