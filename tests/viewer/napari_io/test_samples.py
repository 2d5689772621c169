"""Sample data: made on a thread the first time, one at a time, cancelled without a trace."""

from __future__ import annotations

import threading
from functools import partial

import numpy as np
import pytest
from napari.layers import Layer
from qtpy.QtCore import QTimer

from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Progress
from napari_ferro4d.open import open_scan
from napari_ferro4d.scan import Scan
from napari_ferro4d.simulate import Spec, demo_truth, presets, sample_scan_path, truth, write_scan
from napari_ferro4d.viewer.napari_io import being_made, sample_layers
from napari_ferro4d.viewer.session import autosave_file, session

PLUGIN = "napari-ferro4d"
VORTEX = "ermno3-vortex-small"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    # Not XDG_CACHE_HOME: napari's icons are there.
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *a, **k: tmp_path / "cache")


def names(viewer):
    return [layer.name for layer in viewer.layers]


def docks(viewer):
    return [name for name in viewer.window.dock_widgets if name.startswith("Sample")]


def finished(viewer):
    return not being_made(viewer)


def test_the_manifest_offers_every_small_preset(viewer):
    from napari.plugins import _npe2

    offered = {key for plugin, keys in _npe2.sample_iterator() if plugin == PLUGIN for key in keys}
    assert offered == {"demo", *(name for name in presets() if name.endswith("-small"))}
    assert VORTEX in offered


def test_the_demo_brings_its_truth_along(viewer):
    viewer.open_sample(PLUGIN, "demo")
    assert names(viewer) == ["demo", "demo preview", "demo truth"]
    layer = viewer.layers["demo truth"]
    assert not layer.visible
    np.testing.assert_array_equal(layer.data, demo_truth().labels)


def ask_for(viewer, name, make):
    """Do what napari does with a sample."""
    for data, keywords, kind in sample_layers(name, make):
        viewer.add_layer(Layer.create(data, keywords, kind))


def test_a_sample_is_made_while_the_window_answers(viewer, qtbot):
    beats, made = [], []

    def watched(name, report):
        before = len(beats)
        path = sample_scan_path(name, report)
        made.append((threading.current_thread(), len(beats) - before))
        return path

    clock = QTimer(interval=5)
    clock.timeout.connect(lambda: beats.append(None))
    clock.start()
    ask_for(viewer, VORTEX, watched)
    assert not made
    assert names(viewer) == [f"{VORTEX} (being simulated)"]
    assert docks(viewer) == [f"Sample {VORTEX}"]
    qtbot.waitUntil(lambda: finished(viewer), timeout=280_000)
    clock.stop()
    assert names(viewer) == [VORTEX, f"{VORTEX} preview", f"{VORTEX} truth"]
    assert docks(viewer) == []
    ((thread, ticks),) = made
    assert thread is not threading.main_thread()
    assert ticks >= 10  # the event loop went round while the scan was made
    scan = viewer.layers[VORTEX].metadata["ferro4d"]
    shown = viewer.layers[f"{VORTEX} truth"]
    known = truth(scan.source.path)
    np.testing.assert_array_equal(shown.data, known.labels)
    assert list(shown.features["class"])[1:] == list(known.states[: known.labels.max()])
    assert not shown.visible
    assert not shown.editable
    assert viewer.layers.units is not None  # else napari shows no scale bar
    # The second time it comes from the cache, in the place of the first.
    viewer.open_sample(PLUGIN, VORTEX)
    qtbot.waitUntil(lambda: finished(viewer), timeout=60_000)
    assert names(viewer) == [VORTEX, f"{VORTEX} preview", f"{VORTEX} truth"]


@pytest.fixture
def slow(viewer):
    """Ask for a sample scan that takes until it is cancelled or let go."""
    calls, go = [], threading.Event()

    def make(name, report):
        calls.append(name)
        while not go.wait(0.01):
            report(Progress(1, 10, "simulating"))
        raise ScanError("the disk is full.")

    yield partial(ask_for, viewer, VORTEX, make), calls, go
    go.set()


def test_asked_for_twice_it_is_made_once(viewer, slow, qtbot, notes):
    ask, calls, go = slow
    ask()
    qtbot.waitUntil(lambda: calls == [VORTEX], timeout=60_000)
    ask()
    qtbot.wait(200)
    assert calls == [VORTEX]
    assert len(viewer.layers) == len(docks(viewer)) == 1
    go.set()
    qtbot.waitUntil(lambda: finished(viewer), timeout=60_000)
    assert "the disk is full" in notes[-1]
    assert names(viewer) == docks(viewer) == []


@pytest.mark.parametrize("how", ["button", "dock"])
def test_cancelled_it_leaves_nothing_and_can_be_asked_for_again(viewer, slow, qtbot, how):
    ask, calls, _ = slow
    ask()
    qtbot.waitUntil(lambda: calls == [VORTEX], timeout=60_000)
    row = being_made(viewer)[VORTEX]
    if how == "button":
        row._cancel.click()
    else:
        viewer.window.remove_dock_widget(row)
    qtbot.waitUntil(lambda: finished(viewer), timeout=60_000)
    assert names(viewer) == docks(viewer) == []
    ask()
    qtbot.waitUntil(lambda: calls == [VORTEX, VORTEX], timeout=60_000)
    being_made(viewer)[VORTEX].cancel()
    qtbot.waitUntil(lambda: finished(viewer), timeout=60_000)


def test_a_viewer_that_closes_stops_it(viewer, slow, qtbot):
    ask, calls, _ = slow
    ask()
    qtbot.waitUntil(lambda: calls == [VORTEX], timeout=60_000)
    viewer.close()  # before the scan is made: nothing lets it go
    ours = [one for one in threading.enumerate() if one.name == "ferro4d job"]
    assert not ours


def test_without_a_viewer_a_sample_is_its_layers(tmp_path):
    path = write_scan(tiny(), tmp_path / "tiny.zarr")
    layers = sample_layers(VORTEX, lambda name, report: path)
    assert [keywords["name"] for _, keywords, _ in layers] == ["tiny", "tiny preview", "tiny truth"]


def tiny() -> Spec:
    """A simulated scan of 8 x 8 positions."""
    from dataclasses import replace

    from napari_ferro4d.simulate import preset

    spec = preset("ermno3-domains-small")
    return replace(spec, scan=replace(spec.scan, shape=(8, 8)))


@pytest.fixture
def simulated(tmp_path):
    return write_scan(tiny(), tmp_path / "tiny.zarr")


def test_a_simulated_scan_opens_with_its_truth_which_is_no_label_of_the_user(
    viewer, simulated, tmp_path
):
    viewer.open(simulated, plugin=PLUGIN)
    assert names(viewer) == ["tiny", "tiny preview", "tiny truth"]
    scan = viewer.layers["tiny"].metadata["ferro4d"]
    assert isinstance(scan, Scan)
    classifier = viewer.window.add_plugin_dock_widget(PLUGIN, "Classifier")[1]
    assert classifier.labels.labels() is None
    session(viewer).autosave()
    assert not autosave_file(scan.signature).exists()
    viewer.open(simulated, plugin=PLUGIN)
    assert sum(layer.name.startswith("tiny truth") for layer in viewer.layers) == 1


def test_damaged_truth_is_a_warning_and_the_scan_opens(viewer, simulated, notes):
    (simulated / "truth" / "tilt" / "zarr.json").unlink()
    viewer.open(simulated, plugin=PLUGIN)
    assert names(viewer) == ["tiny", "tiny preview"]
    assert len(notes) == 1
    assert "tiny.zarr" in notes[0]
    assert open_scan(simulated).shape[:2] == (8, 8)
