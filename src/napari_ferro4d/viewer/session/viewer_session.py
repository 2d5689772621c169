"""What every viewer with a scan gets: decisions kept apart, labels kept on disk, a tidy end.

A session starts with the first widget, or with the first scan that our reader opens in a viewer,
and lives as a child of its window.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, QTimer, Signal

from napari_ferro4d.errors import ScanError
from napari_ferro4d.viewer.layers import layer_info, scan_of, scans_in

from .autosave import Autosave, user_labels
from .decisions_layer import Decisions
from .settings import preference

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Labels

    from napari_ferro4d.scan import Scan


def unwrapped(viewer: Any) -> Any:
    """Return the viewer itself where napari hands a plugin a proxy of it."""
    return getattr(viewer, "__wrapped__", viewer)


def session(viewer: Any) -> Session:
    """Return the session of `viewer`, starting it if need be."""
    viewer = unwrapped(viewer)
    window = viewer.window._qt_window
    found = window.findChild(Session)
    return Session(viewer, window) if found is None else found


class Session(QObject):
    """Watches one viewer; see the module.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer to watch.
    window : QWidget
        Its main window, which owns the session.
    """

    closing = Signal()
    """The window is about to go: stop threads, close canvases."""

    def __init__(self, viewer: Viewer, window: QObject) -> None:
        super().__init__(window)
        self._viewer = viewer
        self.decisions = Decisions(viewer, self)
        self.kept = Autosave()
        self._removed: list[Labels] = []
        self._edited = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.autosave)
        self._steps: deque[Callable[[], None]] = deque()
        self._stepper = QTimer(self)
        self._stepper.timeout.connect(self._step)
        events = viewer.layers.events
        self._connected = (
            (events.inserted, self._on_inserted),
            (events.removing, self._on_removing),
            (events.removed, self._on_removed),
        )
        for event, call in self._connected:
            event.connect(call)
        for layer in viewer.layers:
            self._watch(layer)
        window.installEventFilter(self)

    def autosave(self) -> None:
        """Write the labels that users made on every scan in the viewer."""
        self._edited = False
        self.decisions.flush()
        removed, self._removed = self._removed, []
        for _, scan in scans_in(self._viewer):
            try:
                self._set_aside(scan, removed)
                self.kept.save(scan, user_labels(self._viewer.layers, scan))
            except (OSError, ScanError) as error:
                from napari.utils.notifications import show_warning

                show_warning(f"The labels of {scan.name} cannot be autosaved: {error}.")

    def later(self, step: Callable[[], None]) -> None:
        """Do something when nothing else waits: napari takes up to 0.2 s to add or remove a layer.

        Steps are done one at a time, in turn, so that the window answers between two of them.
        """
        self._steps.append(step)
        self._stepper.start()

    def _step(self) -> None:
        if self._steps:
            self._steps.popleft()()
        if not self._steps:
            self._stepper.stop()

    def save_edits(self) -> None:
        """Write what was painted since the last autosave."""
        if self._edited:
            self.autosave()

    def _set_aside(self, scan: Scan, removed: list[Labels]) -> None:
        """Keep labels that the user removed, for napari cannot undo that."""
        from napari.utils.notifications import show_info

        for layer in user_labels(removed, scan):
            if layer in self._viewer.layers or not layer.data.any():
                continue
            file = self.kept.set_aside(scan, layer)
            show_info(
                f"Removed {layer.name!r}: its {int((layer.data > 0).sum())} labelled positions "
                f"are kept in {file}; open that file to get them back."
            )

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Save when the window is asked to close, and end when it does."""
        kind = event.type()
        if kind == QEvent.Type.Close:
            self.save_edits()
        # A close that the user asked for may be taken back in napari's dialog; hiding is not.
        if kind in (QEvent.Type.Close, QEvent.Type.Hide) and not event.spontaneous():
            self._end()
        return False

    def _end(self) -> None:
        # Not kept as an attribute: Python could then never let go of a window that was closed.
        window = self.parent()
        if window is not None:
            window.removeEventFilter(self)
        for event, call in self._connected:
            event.disconnect(call)
        self._steps.clear()
        self._stepper.stop()
        self.save_edits()
        self.closing.emit()
        self._timer.timeout.disconnect(self.autosave)

    def _on_inserted(self, event: Any) -> None:
        self._watch(event.value)
        scan = scan_of(event.value)
        if scan is not None:
            self._compare_steps(scan)

    def _compare_steps(self, new: Scan) -> None:
        """Say what napari's warnings about units mean, which come with every layer from now on."""
        from napari.utils.notifications import show_warning

        for _, scan in scans_in(self._viewer):
            if (scan.scan_step is None) != (new.scan_step is None):
                bare, other = (new, scan) if new.scan_step is None else (scan, new)
                show_warning(
                    f"{bare.name} states no scan step, {other.name} does: shown together they have "
                    f"no scale bar. Open {bare.name} with its step in File > IO Utilities > "
                    "Open 4D-STEM scan..."
                )
                return

    def _on_removing(self, event: Any) -> None:
        # The last moment to save what was painted: a viewer that closes empties itself first.
        self.save_edits()

    def _on_removed(self, event: Any) -> None:
        if hasattr(event.value, "brush_size"):
            self._removed.append(event.value)
        self._start_timer()

    def _watch(self, layer: Any) -> None:
        if scan_of(layer) is not None or layer_info(layer):
            self._viewer.canvas.overlays.scale_bar.visible = True
        if not hasattr(layer, "brush_size"):  # labels layers only
            return
        for name in ("paint", "set_data", "features", "colormap", "name"):
            getattr(layer.events, name).connect(self._on_edited)

    def _on_edited(self, event: Any = None) -> None:
        self._edited = True
        self._start_timer()

    def _start_timer(self, event: Any = None) -> None:
        # Started once, not restarted: someone who paints without a pause is saved all the same.
        if not self._timer.isActive():
            self._timer.start(int(1000 * float(preference("autosave_seconds"))))
