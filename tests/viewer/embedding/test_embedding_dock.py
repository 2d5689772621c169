"""The dock that reads embeddings, used as a user does: channels, ranges, differences."""

from __future__ import annotations

import threading
import time

import dask.array as da
import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from scipy.stats import spearmanr

from helpers.plots import drag, point_of
from napari_ferro4d.embedding import proxies, within
from napari_ferro4d.learn import Embedding, active_channels
from napari_ferro4d.open import open_scan
from napari_ferro4d.results import embedding_result, provenance, write_results
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import Origin, add_layers, map_layers, scan_layers

PLUGIN = "napari-ferro4d"
DOMAIN, THICKNESS, NOISE, WALL, OFF = range(5)


@pytest.fixture(scope="module")
def counts():
    """Patterns of two domains, left and right, under which the specimen gets thicker downwards.

    What differs is which of two reflections, above or below the beam, is the brighter.
    """
    y, x, ky, kx = np.ogrid[:24, :28, :25, :25]

    def disk(centre):
        return np.hypot(ky - centre, kx - 12) <= 3

    up = np.where(x < 14, 0.3, 0.15)
    beam = (30 - y) * (disk(12) + up * disk(4) + (0.45 - up) * disk(20))
    return np.random.default_rng(4).poisson(beam).astype(np.uint16)


@pytest.fixture(scope="module")
def channels():
    """A channel for the domains, one for the thickness, noise, the wall, and one that is off."""
    y, x = np.indices((24, 28))
    random = np.random.default_rng(7)
    maps = [x < 14, y / 23, np.zeros_like(y), np.abs(x - 13.5) < 2, np.zeros_like(y)]
    noisy = [
        one + random.normal(0, spread, y.shape)
        for one, spread in zip(maps, (0.15, 0.03, 0.3, 0.1, 0.0), strict=True)
    ]
    return np.array(noisy, np.float32)


@pytest.fixture(scope="module")
def scan(counts, tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "wedge.npy"
    np.save(path, counts)
    return open_scan(path, scan_step=(1.5, 2.0), k_step=0.02)


@pytest.fixture(scope="module")
def embedding(channels, scan):
    return embedding_result(Embedding(channels, active_channels(channels)), scan)


@pytest.fixture(scope="module")
def loaded(shared, scan, embedding):
    """A viewer that shows the scan and its embedding."""
    add_layers(shared, [*scan_layers(scan), *map_layers(Origin.of(scan), embedding)])
    return shared


@pytest.fixture
def shown(loaded, restored):
    with restored(loaded):
        yield loaded


@pytest.fixture
def widget(shown, qtbot):
    widget = open_dock(shown)
    qtbot.waitUntil(lambda: not widget._rankings, timeout=60_000)
    qtbot.wait(1)
    yield widget
    for one in list(shown.window.dock_widgets.values()):
        shown.window.remove_dock_widget(one)


def open_dock(viewer):
    return viewer.window.add_plugin_dock_widget(PLUGIN, "Embedding")[1]


@pytest.fixture
def results(tmp_path, scan, embedding):
    return write_results(
        tmp_path / "wedge.results.zarr",
        maps=[embedding],
        provenance=[provenance("embed", {}, scan)],
    )


def drag_range(histogram, start, end):
    """Drag on a histogram from a value to a value."""
    drag(histogram, [(start, 1), (end, 1)], steps=8)


def overlay(viewer):
    return viewer.layers["wedge embedding range"]


def rows(table):
    return [
        [table.item(row, column).text() for column in (1, 3)] for row in range(table.rowCount())
    ]


def box(table, channel):
    """Return the box of a channel in the table."""
    items = [table.item(row, 0) for row in range(table.rowCount())]
    return next(item for item in items if item.data(Qt.ItemDataRole.UserRole) == channel)


def test_all_channels_are_listed_and_can_be_shown(shown, widget, channels, scan, qtbot):
    names = {layer.name for layer in shown.layers if "embedding" in layer.name}
    assert names == {f"wedge embedding channel {number}" for number in (0, 1, 3)}
    assert set(widget.order[:3]) == {DOMAIN, THICKNESS, WALL}
    assert set(widget.order[3:]) == {NOISE, OFF}
    assert [text for name, text in rows(widget.table) if name in ("2", "4")] == ["noise"] * 2
    seen = [n for n in range(5) if box(widget.table, n).checkState() == Qt.CheckState.Checked]
    assert seen == [widget.channel]
    box(widget.table, NOISE).setCheckState(Qt.CheckState.Checked)
    added = shown.layers["wedge embedding channel 2"]
    np.testing.assert_array_equal(added.data, channels[NOISE])
    assert tuple(added.scale) == (1.5, 2.0)
    assert added.visible
    box(widget.table, NOISE).setCheckState(Qt.CheckState.Unchecked)
    assert not added.visible
    row = [name for name, _ in rows(widget.table)].index("3")
    place = widget.table.visualItemRect(widget.table.item(row, 1)).center()
    QTest.mouseClick(widget.table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert widget.channel == WALL
    maps = {layer.name: layer.visible for layer in shown.layers if "channel" in layer.name}
    assert [name for name, seen in maps.items() if seen] == ["wedge embedding channel 3"]
    shown.layers["wedge embedding channel 0"].visible = True
    checked = Qt.CheckState.Checked
    qtbot.waitUntil(lambda: box(widget.table, DOMAIN).checkState() == checked, timeout=60_000)
    # Another embedding of the same scan takes the place of this one.

    result = embedding_result(Embedding(channels[::-1].copy(), (4, 3, 1)), scan)
    add_layers(shown, map_layers(Origin.of(scan), result))
    qtbot.waitUntil(
        lambda: widget.embedding is not None and widget.embedding.whole is result, timeout=60_000
    )
    widget.pick(4)
    counted = np.histogram(channels[DOMAIN], 200)[0]
    np.testing.assert_array_equal(widget.range.histogram.histogram.counts, counted)


def test_extrinsic_channels_are_marked_and_a_dock_opened_again_knows_all(
    shown, scan, widget, channels, finish, qtbot
):
    widget.mark_button.click()
    finish(widget.row)
    expected = spearmanr(channels[THICKNESS].ravel(), proxies(scan)["thickness"].ravel())[0]
    said = dict(rows(widget.table))
    assert said["1"] == f"thickness {expected:.2f}, extrinsic".replace("-", "\N{MINUS SIGN}")
    assert abs(expected) > 0.9
    assert widget.extrinsic == {THICKNESS}
    assert widget.order[:2] in ([DOMAIN, WALL], [WALL, DOMAIN])
    assert "1 of 5 channels" in widget.row.text
    for theme, dark_text in (("light", True), ("dark", False)):
        shown.theme = theme
        qtbot.waitUntil(
            lambda dark=dark_text: all(
                (widget.table.item(row, 3).foreground().color().lightness() < 128) == dark
                for row in range(5)
            ),
            timeout=60_000,
        )
    widget.pick(DOMAIN)
    drag_range(widget.range.histogram, 0.5, 1.0)
    chosen = widget.range.histogram.range
    widget.tabs.setCurrentWidget(widget.difference)
    widget.difference.share.setValue(12.0)
    widget.difference.run.click()
    finish(widget.row)
    shown.window.remove_dock_widget(widget)
    again = open_dock(shown)
    assert again.extrinsic == {THICKNESS}
    assert again.channel == DOMAIN
    assert again.range.histogram.range == chosen
    assert again.tabs.currentWidget() is again.difference
    assert again.difference.share.value() == 12.0


def test_positions_and_mean_pattern_follow_the_range_that_is_dragged(
    shown, widget, channels, counts, qtbot
):
    widget.pick(DOMAIN)
    view = widget.range.histogram
    drag_range(view, 0.6, 1.2)
    low, high = view.range
    assert (low, high) == pytest.approx((0.6, 1.2), abs=0.03)
    mask = within(channels[DOMAIN], low, high)
    assert 0 < mask.sum() < mask.size
    np.testing.assert_array_equal(overlay(shown).data, mask)
    assert overlay(shown).visible
    qtbot.waitUntil(lambda: not widget.range.live.busy, timeout=60_000)
    assert widget.range.mean.patterns == mask.sum()
    np.testing.assert_allclose(widget.range.pattern.picture.values, counts[mask].mean(axis=0))
    assert f"{mask.sum()} of {mask.size}" in widget.range.said.text()

    panel = widget.range
    drag_range(view, view.range[1], 1.1)
    assert view.range == pytest.approx((0.6, 1.1), abs=0.03)
    width = view.range[1] - view.range[0]
    drag_range(view, 0.8, 0.9)
    assert view.range[0] == pytest.approx(0.7, abs=0.04)
    assert view.range[1] - view.range[0] == pytest.approx(width)
    panel.ends.low.setValue(0.65)
    panel.ends.low.editingFinished.emit()
    assert view.range[0] == pytest.approx(0.65)
    np.testing.assert_array_equal(overlay(shown).data, within(channels[DOMAIN], *view.range))
    kept = view.range
    widget.pick(THICKNESS)
    assert view.range is None
    assert not overlay(shown).visible
    widget.pick(DOMAIN)
    assert view.range == kept
    widget.tabs.setCurrentWidget(widget.classes)
    assert not overlay(shown).visible
    widget.tabs.setCurrentWidget(panel)
    assert overlay(shown).visible
    QTest.mouseDClick(view, Qt.MouseButton.LeftButton, pos=point_of(view, (0.9, 1)))
    assert view.range is None
    assert not overlay(shown).visible
    assert panel.pattern.picture is None


def test_differences_by_both_definitions_with_their_error(
    shown, widget, channels, counts, finish, notes
):
    widget.pick(DOMAIN)
    widget.tabs.setCurrentWidget(widget.difference)
    panel = widget.difference
    panel.share.setValue(10.0)
    panel.run.click()
    finish(widget.row)
    values = channels[DOMAIN]
    n = round(0.1 * values.size)
    ordered = np.sort(values.ravel())
    high, low = counts[values >= ordered[-n]], counts[values <= ordered[n - 1]]
    expected = high.mean(axis=0) - low.mean(axis=0)
    picture = panel.pattern.picture
    np.testing.assert_allclose(picture.values, expected)
    assert picture.signed
    assert panel.pattern.limits[0] == -panel.pattern.limits[1]
    error = np.sqrt(high.sum(axis=0) / len(high) ** 2 + low.sum(axis=0) / len(low) ** 2)
    ratio = np.abs(expected) / np.where(error > 0, error, np.inf)
    panel.only_sure.setChecked(True)
    np.testing.assert_array_equal(panel.pattern.picture.sure, ratio >= 3)
    assert 0 < panel.pattern.picture.sure.sum() < ratio.size
    assert f"{100 * np.mean(ratio >= 3):.3g} % of the pixels" in panel.said.text()
    panel.log.setChecked(True)
    logs = np.log1p(high.mean(axis=0)) - np.log1p(low.mean(axis=0))
    np.testing.assert_allclose(panel.pattern.picture.values, logs)
    extremes = shown.layers["wedge extremes"]
    assert (extremes.data == 1).sum() == len(high)
    assert list(extremes.features["class"])[1:] == [
        "top 10 % of channel 0",
        "bottom 10 % of channel 0",
    ]
    panel.log.setChecked(False)
    panel.against.setCurrentIndex(panel.against.findData(THICKNESS))
    panel.run.click()
    finish(widget.row)
    other = channels[THICKNESS] >= np.sort(channels[THICKNESS].ravel())[-n]
    top = values >= ordered[-n]
    expected = counts[top & ~other].mean(axis=0) - counts[other & ~top].mean(axis=0)
    np.testing.assert_allclose(panel.pattern.picture.values, expected)
    assert shown.layers["wedge extremes"] is extremes
    widget.pick(OFF)
    panel.against.setCurrentIndex(0)
    panel.run.click()
    finish(widget.row)
    assert len(notes) == 1
    assert "no contrast" in notes[0]


def test_a_difference_is_dropped_when_another_embedding_takes_the_place_of_its_own(
    shown, widget, channels, scan, finish
):
    widget.pick(DOMAIN)
    panel = widget.difference
    panel.run.click()
    finish(widget.row)
    assert "channel 0" in panel.said.text()
    widget.pick(WALL)
    assert panel.found is not None
    panel.run.click()
    result = embedding_result(Embedding(channels[::-1].copy(), (4, 3, 1)), scan)
    add_layers(shown, map_layers(Origin.of(scan), result))
    widget.choice.refresh()
    assert widget.embedding.whole is result
    assert panel.found is None
    assert panel.pattern.picture is None
    finish(widget.row)
    assert "dropped" in widget.row.text
    assert panel.found is None


def test_without_an_embedding_or_its_scan_the_dock_says_what_to_open(viewer, results, scan, qtbot):
    widget = open_dock(viewer)
    assert widget.choice.currentText() == "no embedding yet"
    for button in (widget.mark_button, widget.difference.run, widget.classes.run):
        assert not button.isEnabled()
        assert "Embed a scan" in button.toolTip()
    viewer.open(results, plugin=PLUGIN)
    qtbot.waitUntil(lambda: widget.embedding is not None, timeout=60_000)
    assert "Open the scan wedge" in widget.mark_button.toolTip()
    assert not widget.difference.run.isEnabled()
    assert widget.classes.run.isEnabled()
    widget.pick(DOMAIN)
    drag_range(widget.range.histogram, 0.5, 1.0)
    assert "Open the scan" in widget.range.said.text()
    assert overlay(viewer).data.any()
    assert viewer.layers.index(overlay(viewer)) > viewer.layers.index(
        viewer.layers["wedge embedding channel 0"]
    )
    add_layers(viewer, scan_layers(scan))
    assert widget.scan is scan
    assert widget.mark_button.isEnabled()
    qtbot.waitUntil(lambda: "The mean of" in widget.range.said.text(), timeout=60_000)


@pytest.fixture
def slow(viewer, counts, channels):
    """A viewer with a scan on a slow disk, and its embedding."""

    readers = set()

    def read(block):
        if block.size:
            readers.add(threading.current_thread())
            time.sleep(0.1)
        return block

    lazy = da.from_array(counts, chunks=(1, *counts.shape[1:]))
    scan = Scan.from_array(lazy.map_blocks(read, dtype=counts.dtype, meta=counts[:0, :0, :0, :0]))
    add_layers(viewer, scan_layers(scan))
    result = embedding_result(Embedding(channels, (0,)), scan)
    add_layers(viewer, map_layers(Origin.of(scan), result))
    widget = open_dock(viewer)
    widget.readers = readers
    return widget


def test_on_a_slow_disk_a_first_look_comes_soon_and_the_next_range_ends_the_pass(
    slow, counts, channels, qtbot
):
    seen = []
    slow.readers.clear()
    slow.range.live.averaged.connect(seen.append)
    drag_range(slow.range.histogram, 0.5, 1.4)
    qtbot.waitUntil(lambda: "first look" in slow.range.said.text(), timeout=60_000)
    first = seen[-1]
    assert 0 < first.patterns < first.of
    qtbot.waitUntil(lambda: "%" in slow.range.said.text(), timeout=60_000)
    slow.range.ends.low.setValue(-0.3)
    slow.range.ends.high.setValue(0.3)
    slow.range.ends.high.editingFinished.emit()
    mask = within(channels[DOMAIN], -0.3, 0.3)
    qtbot.waitUntil(lambda: seen[-1].patterns == mask.sum(), timeout=60_000)
    np.testing.assert_allclose(seen[-1].mean, counts[mask].mean(axis=0))
    # The window read nothing itself; the pass over the first range was given up.
    assert threading.main_thread() not in slow.readers
    assert not any(one.patterns == one.of and one.mask is first.mask for one in seen)
