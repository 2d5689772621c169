"""Sample data: the embedded demo scan, and simulated scans made on a thread the first time.

napari wants a layer from a sample at once, so a scan that is being made has a black one in its
place. A row at the foot of the window says how far it is and has a Cancel button; both go when the
scan is there, was cancelled, or could not be made.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from qtpy.QtCore import QEvent

from napari_ferro4d.jobs import Report
from napari_ferro4d.open import open_scan
from napari_ferro4d.results import MapResult
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import (
    LayerData,
    Origin,
    add_layers,
    layer_info,
    make_room,
    map_layers,
    truth_layer,
)
from napari_ferro4d.viewer.session import Session, session, unwrapped
from napari_ferro4d.viewer.widgets import JobRow

from .reader import kept_labels, layers_of, opened_layers

Make = Callable[[str, Report | None], Path]

_WAITING = "(being simulated)"


def demo_sample() -> list[LayerData]:
    """Return the layers of the demo scan, for File > Open Sample."""
    from napari_ferro4d.simulate import demo_scan, demo_truth

    scan = demo_scan()
    return [*opened_layers(scan), truth_layer(scan, demo_truth().labels, ("+P", "-P"))]


def ermno3_domains_sample() -> list[LayerData]:
    """Simulate, or find in the cache, a scan of two domains of ErMnO3."""
    return sample_layers("ermno3-domains-small")


def ermno3_vortex_sample() -> list[LayerData]:
    """Simulate, or find in the cache, a scan of a vortex in ErMnO3."""
    return sample_layers("ermno3-vortex-small")


def boracite_sample() -> list[LayerData]:
    """Simulate, or find in the cache, a scan of three domain states of boracite."""
    return sample_layers("boracite-small")


class SampleRow(JobRow):
    """Progress of one sample scan, in a dock of its own that closes when it ends.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer that the scan goes to.
    name : str
        Name of the preset.
    make : callable
        Returns the path of the preset's scan; takes its name and a report.
    """

    def __init__(self, viewer: Any, name: str, make: Make) -> None:
        super().__init__()
        self.viewer, self.name, self._make = viewer, name, make
        self.column.setContentsMargins(8, 6, 8, 6)
        session(viewer).closing.connect(self.stop)
        self.running.connect(self._on_end)

    def make(self) -> None:
        """Make the scan on a thread, then add its layers."""

        def work(report: Report) -> tuple[Scan, list[LayerData]]:
            scan = open_scan(self._make(self.name, report))
            return scan, layers_of(scan)

        def done(opened: tuple[Scan, list[LayerData]]) -> None:
            scan, layers = opened
            make_room(self.viewer, scan)
            _, preview, *_ = add_layers(self.viewer, [*layers, *kept_labels(scan)])
            self.viewer.layers.selection.active = preview

        self.start(work, done, f"Simulating {self.name}")

    def event(self, event: Any) -> bool:
        """Cancel when the dock is closed."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.cancel()
        return bool(super().event(event))

    def _on_end(self, running: bool) -> None:
        if not running:
            # Later: this is called before the layers of the scan are added.
            session(self.viewer).later(self._close)

    def _close(self) -> None:
        _remove_waiting(self.viewer, self.name)
        being_made(self.viewer).pop(self.name, None)
        if self.parent() is not None:
            self.viewer.window.remove_dock_widget(self)
        self.deleteLater()


_BEING_MADE: WeakKeyDictionary[Session, dict[str, SampleRow]] = WeakKeyDictionary()
"""The rows of every viewer, by the name of their preset."""


def sample_layers(name: str, make: Make | None = None) -> list[LayerData]:
    """Return the layers of a preset's scan, or one in its place while it is being made.

    Parameters
    ----------
    name : str
        Name of the preset.
    make : callable, optional
        Returns the path of the preset's scan; takes its name and a report. By default the scan is
        simulated the first time, and in the cache from then on.
    """
    import napari

    from napari_ferro4d.simulate import preset, sample_scan_path

    make = make or sample_scan_path
    viewer = unwrapped(napari.current_viewer())
    if viewer is None:  # no window that could stop answering
        return opened_layers(open_scan(make(name, None)))
    rows = being_made(viewer)
    if name in rows:
        # Asked for twice: one of them is enough, but napari wants a layer every time.
        _remove_waiting(viewer, name)
    else:
        row = rows[name] = SampleRow(viewer, name, make)
        viewer.window.add_dock_widget(row, name=f"Sample {name}", area="bottom")
        session(viewer).later(partial(_start, viewer, name))
    scan = preset(name).scan
    step = (scan.step, scan.step)
    black = MapResult(_WAITING, np.zeros(scan.shape, np.float32), step, colormap="gray")
    return map_layers(Origin(name, "", step), black)


def _start(viewer: Any, name: str) -> None:
    """Start to make a scan; after its layer was added, which a scan in the cache would overtake."""
    row = being_made(viewer).get(name)
    if row is not None and row.parent() is not None:
        row.make()


def being_made(viewer: Any) -> dict[str, SampleRow]:
    """Return the rows of the scans that are being made for `viewer`."""
    return _BEING_MADE.setdefault(session(viewer), {})


def _remove_waiting(viewer: Any, name: str) -> None:
    for layer in list(viewer.layers):
        info = layer_info(layer)
        if (info.get("name"), info.get("scan")) == (_WAITING, name):
            viewer.layers.remove(layer)
