"""A picture of a napari window that shows a scan and its results; what the demo ends with.

``python -m napari_ferro4d.viewer.screenshot RESULTS SCAN OUT.png`` makes it in a process of its
own.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.open import open_scan
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import KEY, LayerData, scan_layers

if TYPE_CHECKING:
    from napari import Viewer

_PANELS = (
    ("preview", "labels"),
    ("com_direction",),
    ("com_y",),
    ("embedding",),
    ("probability",),
    ("sum", "prediction"),
)
"""What is seen in each cell of the grid, from the bottom up, where the results have it."""

_STRIDE = 3
"""Layers per cell: a picture, labels on it, and room for the probe."""


def screenshot_results(
    results_path: str | os.PathLike[str],
    scan: Scan,
    out_png: str | os.PathLike[str],
    size: tuple[int, int] = (1600, 1000),
) -> Path:
    """Open a napari window with a scan and its results, save a picture of it, close it.

    Parameters
    ----------
    results_path : path
        The results folder.
    scan : Scan
        The scan they are of.
    out_png : path
        The picture to write.
    size : tuple of int
        Width and height of the window in pixels.

    Returns
    -------
    Path
        The picture written.

    Raises
    ------
    ScanError
        If the results cannot be read or the picture cannot be written. Without a display the Qt
        library ends the process.
    """
    import napari

    from napari_ferro4d.viewer.napari_io import results_layers

    layers = [*scan_layers(scan), *results_layers(results_path)]
    panels = _panels(layers)
    viewer = napari.Viewer(show=True, show_welcome_screen=False)
    try:
        viewer.window._qt_window.resize(*size)
        first = _add_grid(viewer, panels, layers)
        _add_docks(viewer, first + _STRIDE - 1)
        viewer.fit_to_view()
        _wait(lambda: False, seconds=0.5)  # canvases are drawn a moment after they are asked to
        picture = viewer.window._qt_window.grab()
    finally:
        viewer.close()
    if not picture.save(os.fspath(out_png)):
        raise ScanError(f"{out_png}: the picture cannot be written.")
    return Path(out_png)


def _panels(layers: list[LayerData]) -> list[list[LayerData]]:
    """Return what is seen in each cell of the grid, from the bottom up."""
    named: dict[str, list[LayerData]] = {}
    for layer in layers:
        info = layer[1]["metadata"][KEY]
        if not isinstance(info, Scan):
            named.setdefault(info["name"], []).append(layer)
    classes = named["prediction"][0][0] if "prediction" in named else None
    return [
        [max(named[name], key=lambda layer: _interest(layer[0], classes)) for name in names]
        for names in _PANELS
        if all(name in named for name in names)
    ]


def _interest(channel: np.ndarray, classes: np.ndarray | None) -> float:
    """Return how much a channel has to show: how well it tells the predicted classes apart.

    The share of its variance that is between classes; its spread where nothing was predicted.
    """
    if channel.ndim != 2 or classes is None:
        return float(np.nanstd(channel))
    total = float(np.nanvar(channel)) or 1.0
    means = np.zeros(channel.shape)
    for number in np.unique(classes):
        means[classes == number] = np.nanmean(channel[classes == number])
    return float(np.var(means)) / total


def _add_grid(viewer: Viewer, panels: list[list[LayerData]], layers: list[LayerData]) -> int:
    """Add all layers so that each cell of napari's grid, `_STRIDE` in a row, shows one panel.

    Hidden layers fill up the cells. Those that are left take no cell; they come first, in whole
    strides, so that the layer list shows the visible ones at its top. Returns the index of the
    first layer of the first cell.
    """
    from napari.layers import Layer

    shown = [layer for panel in panels for layer in panel]
    under = {layer[1]["name"] for panel in panels for layer in panel[:-1]}
    hidden = [layer for layer in layers if not any(layer is one for one in shown)]
    ordered: list[LayerData] = []
    for index, panel in enumerate(panels):
        # The probe comes into the first cell later.
        fill = _STRIDE - len(panel) - (index == 0)
        ordered += [*panel, *hidden[:fill]]
        hidden = hidden[fill:]
    below = len(hidden) - len(hidden) % _STRIDE
    for data, keywords, kind in [*hidden[:below], *ordered, *hidden[below:]]:
        visible = any(data is one[0] for one in shown)
        layer = Layer.create(data, {**keywords, "visible": visible}, kind)
        layer.name_overlay.visible = visible and keywords["name"] not in under
        if kind == "labels":
            layer.opacity = 1.0 if keywords["metadata"][KEY]["name"] == "labels" else 0.6
        viewer.add_layer(layer)
    viewer.canvas.grid.stride = _STRIDE
    viewer.canvas.grid.shape = (2, -1)
    viewer.canvas.grid.spacing = 8
    viewer.canvas.grid.enabled = True
    return below


def _add_docks(viewer: Viewer, probe_index: int) -> None:
    """Add the diffraction dock, with its probe in the first cell, and the centre-of-mass dock."""
    from napari_ferro4d.viewer.centre_of_mass import ComWidget
    from napari_ferro4d.viewer.diffraction import DiffractionWidget

    diffraction = DiffractionWidget(viewer)
    viewer.window.add_dock_widget(diffraction, name="Diffraction", area="right")
    viewer.window.add_dock_widget(ComWidget(viewer), name="Centre of mass", area="right")
    probe: Any = diffraction.probe.layer
    viewer.layers.move(viewer.layers.index(probe), probe_index)
    viewer.layers.selection = {probe}
    overlays = viewer.canvas.overlays
    overlays.scale_bar.visible = True
    overlays.scale_bar.gridded = True
    _wait(lambda: diffraction.pattern is not None)


def _wait(done: Callable[[], bool], seconds: float = 10.0) -> None:
    """Let Qt work until something is done, or for some time."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def main(arguments: list[str]) -> int:
    """Make a picture: ``RESULTS SCAN OUT.png``."""
    results, scan, picture = arguments
    try:
        screenshot_results(results, open_scan(scan), picture)
    except ScanError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
