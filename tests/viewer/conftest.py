"""Small scans on disk, user folders of their own, and a viewer with the widget asked for."""

from __future__ import annotations

import contextlib
import os

import numpy as np
import pytest

from napari_ferro4d.open import open_scan


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """Keep remembered parameters and autosaved labels of one test away from the next."""
    for name in ("CONFIG", "DATA"):
        folder = tmp_path / f"xdg-{name.lower()}"
        folder.mkdir()
        monkeypatch.setenv(f"XDG_{name}_HOME", os.fspath(folder))


@pytest.fixture(scope="session")
def wedge():
    """Patterns whose beam goes up on the left half of the scan and down on the right."""
    rng = np.random.default_rng(4)
    y, x, ky, kx = np.ogrid[:12, :14, :16, :16]
    centre = np.where(x < 7, 6.5, 8.5) + 0.0 * y
    beam = 60 * np.exp(-((ky - centre) ** 2 + (kx - 7.5) ** 2) / 8)
    return rng.poisson(beam).astype(np.uint16)


@pytest.fixture
def counts(wedge):
    return wedge


@pytest.fixture
def scan_file(tmp_path, counts):
    path = tmp_path / "wedge.npy"
    np.save(path, counts)
    return path


@pytest.fixture
def scan(scan_file):
    return open_scan(scan_file, scan_step=(1.5, 2.0), k_step=0.02)


@pytest.fixture
def notes(monkeypatch):
    """Collect the texts of napari's notifications, instead of showing them."""
    from napari.utils.notifications import notification_manager

    seen = []

    def collect(notification):
        seen.append(notification.message)

    notification_manager.notification_ready.connect(collect)
    yield seen
    notification_manager.notification_ready.disconnect(collect)


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer()
    viewer.window.resize(1200, 800)
    return viewer


@pytest.fixture(scope="module")
def shared(qapp):
    """A viewer for all tests of a file: to make one, with what it shows, takes two seconds.

    What they do to its layers is undone with `restored`.
    """
    from app_model import Application
    from napari import Viewer
    from napari._qt._qapp_model.qactions import init_qactions
    from napari._qt.qt_viewer import QtViewer
    from napari._qt.threads.status_checker import StatusChecker
    from napari.plugins import _initialize_plugins

    # As in the fixture of napari: commands are registered once in an application.
    Application.destroy("napari")
    for once in (init_qactions, _initialize_plugins):
        once.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StatusChecker, "start", lambda self: None)
        viewer = Viewer(show=False)
    viewer.window.resize(1200, 800)
    # Where napari looks for viewers that a test forgot.
    QtViewer._instances.discard(viewer.window._qt_viewer)
    yield viewer
    viewer.close()


@pytest.fixture
def restored():
    """Return a context that puts the layers of a viewer back as they were."""
    return _restored


@contextlib.contextmanager
def _restored(viewer):
    from napari_ferro4d.viewer.layers import remove_layers

    before = [(one, one.data, dict(one.metadata), one.visible) for one in viewer.layers]
    selected = set(viewer.layers.selection)
    yield
    kept = [layer for layer, *_ in before]
    remove_layers(viewer, [layer for layer in viewer.layers if layer not in kept])
    for index, (layer, data, metadata, visible) in enumerate(before):
        if layer not in viewer.layers:
            viewer.layers.insert(index, layer)
        if layer.data is not data:
            layer.data = data
        layer.metadata = metadata
        if layer.visible != visible:
            layer.visible = visible
    viewer.layers.selection = selected


@pytest.fixture(scope="module")
def shared_scan(shared, wedge, tmp_path_factory):
    """The scan that the shared viewer shows."""
    from napari_ferro4d.viewer.layers import add_layers, scan_layers

    path = tmp_path_factory.mktemp("scan") / "wedge.npy"
    np.save(path, wedge)
    scan = open_scan(path, scan_step=(1.5, 2.0), k_step=0.02)
    add_layers(shared, scan_layers(scan))
    return scan


@pytest.fixture
def shown_again(shared, shared_scan):
    """The shared viewer with its scan, as if it were new.

    A file whose tests leave the scan alone takes it for `shown`, and `shared_scan` for `scan`.
    """
    from napari_ferro4d.viewer.session import Session

    window = shared.window
    window.resize(1200, 800)
    with _restored(shared):
        yield shared
        for one in list(window.dock_widgets.values()):
            window.remove_dock_widget(one)
        _end_all(window._qt_window.findChildren(Session))
        window._qt_window.hide()
    # What only now was removed, by us, is no later test's business.
    _end_all(window._qt_window.findChildren(Session))


def _end_all(sessions):
    for session in sessions:
        session._end()
        session.setParent(None)


@pytest.fixture
def shown(viewer, scan):
    """A viewer that shows the scan."""
    from napari_ferro4d.viewer.layers import add_layers
    from napari_ferro4d.viewer.napari_io import opened_layers

    add_layers(viewer, opened_layers(scan))
    return viewer


@pytest.fixture
def dock(shown):
    """Open one of our widgets in the viewer as the Plugins menu does."""

    def open_dock(name):
        return shown.window.add_plugin_dock_widget("napari-ferro4d", name)[1]

    return open_dock


@pytest.fixture
def finish(qtbot):
    """Wait for the job in a row to end."""

    def wait(row, seconds=60):
        qtbot.waitUntil(lambda: not row.busy, timeout=int(1000 * seconds))

    return wait


@pytest.fixture
def channels():
    """Two channels, in whose plane the halves of the scan are two clouds, and one of noise."""
    y, x = np.indices((12, 14))
    random = np.random.default_rng(3)
    left = x < 7
    maps = np.array([left, ~left, np.zeros_like(y)]) + random.normal(0, 0.1, (3, *y.shape))
    return maps.astype(np.float32)


@pytest.fixture
def results(tmp_path, scan, channels):
    """A results folder with an embedding of the scan, of `channels` or the test module's own."""
    from napari_ferro4d.learn import Embedding, active_channels
    from napari_ferro4d.results import embedding_result, provenance, write_results

    made = embedding_result(Embedding(channels, active_channels(channels)), scan)
    return write_results(
        tmp_path / "wedge.results.zarr", maps=[made], provenance=[provenance("embed", {}, scan)]
    )


@pytest.fixture
def embedded(shown, dock, results, qtbot):
    """The dock "Embedding", in a viewer that shows the scan and its embedding."""
    shown.open(results, plugin="napari-ferro4d")
    widget = dock("Embedding")
    qtbot.waitUntil(lambda: not widget._rankings, timeout=60_000)
    qtbot.wait(1)
    return widget
