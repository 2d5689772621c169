"""What the analysis widgets have in common: a scan to work on, a job row, remembered parameters."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Any

from qtpy.QtCore import QEvent, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QDockWidget, QWidget

from napari_ferro4d.viewer.session import remember, remembered, session, unwrapped

from .choices import ScanChoice
from .job_row import JobRow
from .scrolled_column import ScrolledColumn

_TALL_ENOUGH = 300
"""Pixels of height in which an analysis can be used; a higher one scrolls in a small window."""


class Dock(QWidget):
    """A dock widget that runs core functions on a scan of the viewer.

    A subclass builds its form, then calls `ready`.
    """

    key = ""
    """Under which name parameters are remembered."""

    closed = Signal()
    """The dock, or the window, is being closed, and its job cancelled."""

    joined = Signal()
    """The dock has its place, for the first time: a tab of its own, before the others."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer = unwrapped(napari_viewer)
        self.session = session(self.viewer)
        self.scans = ScanChoice(self.viewer)
        self.row = JobRow(self)
        self._scroll = ScrolledColumn(self)
        self._inside, self.column = self._scroll.inside, self._scroll.rows
        self.placed = False
        self._tabbed = False
        self._window_was = self.viewer.window._qt_window.size()

    def ready(self) -> None:
        """Put back the parameters of last time and start following the viewer."""
        values = remembered(self.key)
        if values:
            # Where another version wrote them, the defaults are as good.
            with contextlib.suppress(KeyError, TypeError, ValueError):
                self.set_parameters(values)
        self.scans.changed.connect(self.refresh)
        self.row.running.connect(self._on_running)
        self.session.closing.connect(self.row.stop)
        self.session.closing.connect(self.closed)
        self.refresh()
        # The rows stay together at the top, whatever the height of the dock.
        self.column.addStretch(1)
        self._ask_for_room()

    def _ask_for_room(self) -> None:
        self._scroll.ask_for_width()
        # Docks are stacked before they are made tabs: nobody wants the window to grow for that.
        height = min(self._inside.sizeHint().height(), _TALL_ENOUGH)
        self._scroll.setMinimumHeight(height if self.placed else 0)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Join the analysis docks that are there already, as a tab, the first time it is shown."""
        super().showEvent(event)
        if not self._tabbed:
            self._tabbed = True
            # napari's style, which makes everything wider, is in force only now.
            self._ask_for_room()
            # Only then is the dock in its place.
            QTimer.singleShot(0, self._join)

    def _join(self) -> None:
        window = self.viewer.window._qt_window
        docks = {dock.findChild(Dock): dock for dock in window.findChildren(QDockWidget)}
        mine = docks.get(self)
        if mine is None:
            self.placed = True
            self._ask_for_room()
            return
        for analysis, dock in docks.items():
            placed = analysis is not None and analysis is not self and analysis.placed
            same_side = window.dockWidgetArea(dock) == window.dockWidgetArea(mine)
            if placed and same_side and dock.toggleViewAction().isChecked():
                window.tabifyDockWidget(dock, mine)
                mine.raise_()
                break
        self.placed = True
        self._ask_for_room()
        QTimer.singleShot(0, partial(self._share, window, mine))
        self.joined.emit()

    def _share(self, window: Any, mine: QDockWidget) -> None:
        """Give back what the window had to grow; take the height in which nothing is hidden."""
        window.resize(self._window_was)
        height = self.sizeHint().height() + mine.height() - self.height()
        window.resizeDocks([mine], [height], Qt.Orientation.Vertical)

    def sizeHint(self) -> QSize:
        """Return the size at which nothing has to be scrolled."""
        return self._scroll.whole_size()

    def parameters(self) -> dict[str, Any]:
        """Return what the user set, as JSON types."""
        return {}

    def set_parameters(self, values: dict[str, Any]) -> None:
        """Set what `parameters` returned."""

    def refresh(self) -> None:
        """Enable what can be done now."""

    def keep(self) -> None:
        """Remember the parameters for next time."""
        remember(self.key, self.parameters())

    def event(self, event: Any) -> bool:
        """Cancel the job when the dock is closed: nobody could see or stop it any more."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.row.cancel()
            self.closed.emit()
        return bool(super().event(event))

    def _on_running(self, running: bool) -> None:
        self.refresh()
        if running:
            # In a small window the progress and the Cancel button may be out of sight.
            self._scroll.ensureWidgetVisible(self.row, 0, 4)

    def why_not(self) -> str | None:
        """Return why nothing can be computed now, or None."""
        if self.row.busy:
            return "Wait until the running job has finished, or cancel it."
        if self.scans.scan() is None:
            return "Open a scan first: File > IO Utilities > Open 4D-STEM scan..."
        return None
