"""The pattern at the probe, its difference to the classes, and the positions to label next."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_ferro4d.learn.data import Neighbourhood
from napari_ferro4d.results import LabelResult, read_results
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.classes import ClassMeans, Suggested, joined_pattern
from napari_ferro4d.viewer.layers import add_layers, scan_layers


@pytest.fixture
def scan(shared_scan):
    return shared_scan


@pytest.fixture
def shown(shown_again):
    return shown_again


@pytest.fixture
def widget(dock):
    return dock("Classes")


@pytest.mark.parametrize("around", [(0, "mean"), (1, "mean"), (2, "mean"), (2, "max")])
@pytest.mark.parametrize("position", [(0, 0), (6, 7), (11, 12)])
def test_a_joined_pattern_is_that_of_the_neighbourhood(scan, around, position):
    missing = np.zeros(scan.scan_shape, bool)
    missing[6, 8] = missing[0, 1] = True
    scan = replace(scan, missing=missing)
    np.testing.assert_allclose(
        joined_pattern(scan, position, around),
        Neighbourhood(*around).of(scan).data[position].compute(),
        rtol=1e-6,
    )


def test_the_pattern_at_the_probe_is_shown_alone_and_joined(widget, counts, qtbot):
    def shows(expected):
        qtbot.waitUntil(
            lambda: (
                widget.pattern.pattern is not None
                and np.allclose(widget.pattern.pattern, expected, rtol=1e-5)
            ),
            timeout=60_000,
        )

    shows(counts[6, 7])
    widget.probe.move(3, 4)
    shows(counts[3, 4])
    widget.pattern.over.setCurrentText("maximum of 5 x 5")
    shows(counts[1:6, 2:7].max((0, 1)))
    widget.pattern.over.setCurrentText("mean of 3 x 3")
    shows(counts[2:5, 3:6].mean((0, 1)))
    np.testing.assert_allclose(widget.pattern.image.picture.values, widget.pattern.pattern)


def test_what_is_left_without_the_mean_of_a_class(widget, counts, qtbot):
    layer = widget.new_labels()
    layer.brush_size = 1
    for place in ((1, 2), (3, 3), (4, 1)):
        layer.paint(place, 1)
    layer.paint((5, 10), 2)
    mean = counts[[1, 3, 4], [2, 3, 1]].mean(0)
    panel = widget.pattern
    qtbot.waitUntil(lambda: set(panel.means) == {1, 2}, timeout=60_000)
    qtbot.waitUntil(lambda: panel.strip.count() == 3, timeout=60_000)
    np.testing.assert_allclose(panel.means[1], mean)
    assert panel.strip.item(1).text() == "\N{MINUS SIGN} domain 1"
    panel.strip.itemClicked.emit(panel.strip.item(1))
    assert panel.image.picture.signed
    here = counts[6, 7].astype(float)
    np.testing.assert_allclose(panel.image.picture.values, np.log1p(here) - np.log1p(mean))
    panel.log.setChecked(False)
    np.testing.assert_allclose(panel.image.picture.values, here - mean)
    # A label taken back is taken out of the mean.
    layer.undo()
    layer.undo()
    qtbot.waitUntil(lambda: set(panel.means) == {1}, timeout=60_000)
    np.testing.assert_allclose(panel.means[1], counts[[1, 3], [2, 3]].mean(0))


def test_small_pictures_follow_the_probe_and_the_scale(widget, qtbot):
    layer, panel = widget.new_labels(), widget.pattern
    layer.brush_size = 1
    layer.paint((1, 2), 1)
    layer.paint((5, 10), 2)

    def pictures():
        strip = panel.strip
        return [strip.item(i).icon().pixmap(60).toImage() for i in range(strip.count())]

    def others_than(before):
        qtbot.waitUntil(
            lambda: all(a != b for a, b in zip(before, pictures(), strict=True)), timeout=60_000
        )
        return pictures()

    qtbot.waitUntil(lambda: panel.strip.count() == 3, timeout=60_000)
    blank = pictures()[0].copy()
    blank.fill(0)
    first = others_than([blank] * 3)
    assert first[1] != first[2]
    widget.probe.move(3, 4)
    second = others_than(first)
    panel.log.setChecked(False)
    others_than(second)


def test_of_hundreds_of_classes_those_with_most_labels_are_shown(widget, scan, qtbot):
    layer, panel = widget.new_labels(), widget.pattern
    data = np.arange(scan.scan_shape[0] * scan.scan_shape[1]).reshape(scan.scan_shape) + 1
    data[0, :2] = 150  # three labels of this one
    layer.data = data.astype(np.uint16)
    qtbot.waitUntil(lambda: len(panel.means) > 0, timeout=60_000)
    assert list(panel.means) == [*range(3, 14), 150]
    assert panel.strip.count() == 13


def test_means_of_many_labels_come_from_a_pass_and_go_on_from_there(scan, counts, qtbot):
    averager, means = ClassMeans(one_by_one=20), []
    averager.averaged.connect(lambda scan, found: means.append(found))
    labels = np.ones(scan.scan_shape, np.uint8)
    averager.request(scan, labels)
    qtbot.waitUntil(lambda: len(means) == 1, timeout=60_000)
    np.testing.assert_allclose(means[0][1], counts.mean((0, 1)))
    labels = labels.copy()
    labels[0, :5] = 2
    averager.request(scan, labels)
    qtbot.waitUntil(lambda: len(means) == 2, timeout=60_000)
    np.testing.assert_allclose(means[1][1], counts[labels == 1].mean(0))
    np.testing.assert_allclose(means[1][2], counts[labels == 2].mean(0))


def test_suggestions_lose_their_point_with_the_label_and_get_it_back(shown, scan):
    suggested = Suggested(shown)
    suggested.set_scan(scan)
    assert (suggested.positions, suggested.left, suggested.next()) == ([], [], None)
    suggested.show(np.array([[1, 2], [3, 4], [5, 6]]))
    layer = suggested.layer
    assert layer.name == "wedge suggested"
    assert list(layer.text.values) == ["1", "2", "3"]
    assert not layer.editable
    labels = np.zeros(scan.scan_shape, np.uint8)
    labels[3, 4] = 1
    suggested.follow(labels)
    assert layer.data.tolist() == [[1, 2], [5, 6]]
    assert list(layer.text.values) == ["1", "3"]
    labels[:] = 1
    suggested.follow(labels)
    assert len(layer.data) == 0
    assert suggested.next() is None
    labels[:] = 0
    suggested.follow(labels)
    assert layer.data.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert suggested.positions == [(1, 2), (3, 4), (5, 6)]


def test_the_next_suggestion_is_the_one_after_the_probe_and_then_the_first(shown, scan):
    suggested = Suggested(shown)
    suggested.set_scan(scan)
    suggested.show(np.array([[1, 2], [3, 4], [5, 6]]))
    assert suggested.next() == (1, 2)
    assert suggested.visit((1, 2)) == 0
    assert suggested.next() == (3, 4)
    assert suggested.visit((9, 9)) is None  # somewhere else for a while
    assert suggested.next() == (3, 4)
    suggested.visit((5, 6))
    assert suggested.next() == (1, 2)
    suggested.show(np.zeros((0, 2), int))
    assert suggested.layer is None


def test_a_picture_of_a_suggestion_is_there_to_click(widget, scan, qtbot):
    widget.suggested.show(np.array([[1, 2], [3, 4]]))
    widget._follow()
    strip = widget.suggestions.strip
    assert [strip.item(row).text() for row in range(strip.count())] == ["1", "2"]
    strip.itemClicked.emit(strip.item(1))
    assert widget.probe.position == (3, 4)
    assert "suggestion 2, 2 left" in widget.pattern.text.text()
    assert strip.currentRow() == 1
    widget.label(1)
    assert widget.probe.position == (1, 2)
    assert "suggestion 1, 1 left" in widget.pattern.text.text()


def test_a_scan_of_another_shape_has_other_labels(shown, widget, scan, counts, qtbot, notes):
    widget.label(1)
    assert widget.table.counts == {1: 1, 2: 0}
    other = Scan.from_array(counts[:5, :6])
    add_layers(shown, scan_layers(other)[:1])
    widget.scans.value = widget.scans.choices[-1]
    assert widget.labels.labels() is None
    assert widget.person_labels() is None
    widget.probe.move(4, 5)
    widget.label(2)
    assert widget.labels.labels().data.shape == (5, 6)
    qtbot.waitUntil(lambda: set(widget.pattern.means) == {2}, timeout=60_000)
    np.testing.assert_allclose(widget.pattern.means[2], counts[4, 5])
    widget.scans.value = widget.scans.choices[0]
    qtbot.waitUntil(lambda: set(widget.pattern.means) == {1}, timeout=60_000)
    assert widget.labels.labels().data[6, 7] == 1


@pytest.mark.parametrize("method", ["informed", "boundary", "boundary, iterated", "random"])
def test_suggested_positions_are_new_ones_to_go_to(shown, widget, finish, method):
    widget.suggestions.method.setCurrentText(method)
    widget.suggestions.budget.value = 5
    truth = np.where(np.arange(14) < 7, 1, 2) * np.ones((12, 1), int)
    before = set()
    for _ in range(2):
        widget.suggestions.button.click()
        assert not widget.suggestions.button.isEnabled()
        finish(widget.row)
        positions = widget.suggested.positions
        assert 4 <= len(set(positions)) == len(positions) <= 5
        assert not before & set(positions)
        assert widget.probe.position == positions[0]
        for position in positions:
            widget.label(int(truth[position]))
        assert widget.suggested.left == []
        before |= set(positions)
    labels = widget.labels.labels().data
    assert {tuple(place) for place in np.argwhere(labels).tolist()} == before


def test_nothing_left_to_suggest_is_said(widget, finish):
    layer = widget.new_labels()
    layer.data_setitem(np.nonzero(layer.data == 0), 1)
    widget.suggestions.button.click()
    finish(widget.row)
    assert "nothing to suggest" in widget.row.text
    assert widget.suggested.layer is None
    assert widget.suggestions.button.isEnabled()


def test_another_scan_has_other_suggestions(shown, widget, scan, counts):
    widget.suggested.show(np.array([[1, 2]]))
    other = replace(scan, signature="another")
    add_layers(shown, scan_layers(other)[:1])
    widget.scans.value = widget.scans.choices[-1]
    assert widget.scans.scan() is other
    assert widget.suggested.positions == []
    assert widget.suggestions.strip.count() == 0
    widget.scans.value = widget.scans.choices[0]
    assert widget.suggested.positions == [(1, 2)]


def test_suggestions_are_not_saved(shown, widget, tmp_path, notes):
    widget.suggested.show(np.array([[1, 2]]))
    assert shown.layers.save(str(tmp_path / "out.zarr"), plugin="napari-ferro4d")
    assert [one.name for one in read_results(tmp_path / "out.zarr").maps] == ["preview"]
    assert not any("suggested" in note for note in notes)


def test_a_position_that_the_file_lacks_is_not_labelled(shown, widget, scan):
    missing = np.zeros(scan.scan_shape, bool)
    missing[6, 7] = True
    shown.layers["wedge"].metadata = {"ferro4d": replace(scan, missing=missing)}
    before = list(shown.layers)
    widget.label(1)
    assert "no pattern" in widget.row.text
    assert list(shown.layers) == before
    layer = widget.new_labels()
    widget.label(1)
    assert not layer.data.any()


def test_a_key_that_labels_nothing_adds_no_layer(shown, widget, scan):
    before = list(shown.layers)
    widget.label(7)
    assert "no class 7" in widget.row.text
    widget.label(0)
    assert "no label" in widget.row.text
    assert list(shown.layers) == before
    # A decision on the prediction is taken away without one, too.
    machine = LabelResult("prediction", np.ones(scan.scan_shape, np.uint8), scan.scan_step)
    prediction = widget.session.decisions.show(scan, machine)
    prediction.brush_size = 1
    prediction.paint(widget.probe.position, 2)
    widget.session.decisions.flush()
    widget.label(0)
    assert widget.session.decisions.decided(scan) is None
    assert prediction.data[widget.probe.position] == 1
    widget.label(2)
    assert widget.labels.labels().data[widget.probe.position] == 2
