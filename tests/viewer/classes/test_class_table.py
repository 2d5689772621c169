"""Classes: names, colours, directions, counts, and which one is painted with."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_ferro4d.results import LabelResult
from napari_ferro4d.viewer.layers import directions_of


@pytest.fixture
def scan(shared_scan):
    return shared_scan


@pytest.fixture
def shown(shown_again):
    return shown_again


@pytest.fixture
def widget(dock):
    return dock("Classes")


def test_a_new_labels_layer_is_ready_to_paint(shown, widget, scan):
    assert not widget.add_button.isEnabled()
    widget.new_button.click()
    layer = shown.layers["wedge labels"]
    assert layer.data.shape == scan.scan_shape
    assert layer.mode == "paint"
    assert layer.selected_label == 1
    assert [str(unit) for unit in layer.units] == ["nanometer"] * 2
    assert widget.labels.labels() is layer
    assert widget.table.counts == {1: 0, 2: 0}


def test_the_table_counts_names_and_picks_classes(shown, widget, qtbot):
    layer = widget.new_labels()
    layer.brush_size = 1
    layer.paint((2, 3), 2)
    qtbot.waitUntil(lambda: widget.table.item(1, 3).text() == "1", timeout=60_000)
    widget.table.cellClicked.emit(1, 0)
    assert layer.selected_label == 2
    widget.table.item(1, 1).setText("down")
    assert list(layer.features["class"]) == ["unlabelled", "domain 1", "down"]
    widget.add_button.click()
    assert widget.table.counts == {1: 0, 2: 1, 3: 0}
    assert layer.selected_label == 3
    colours = {tuple(layer.get_color(n)) for n in (1, 2, 3)}
    assert len(colours) == 3


def test_the_class_in_the_table_is_the_one_painted_with(widget, scan):
    """By mouse, by the arrow keys, where napari's own controls choose it, and on the prediction."""
    layer = widget.new_labels()
    machine = LabelResult("prediction", np.ones(scan.scan_shape, np.uint8), scan.scan_step)
    prediction = widget.session.decisions.show(scan, machine)

    def marked():
        return {index.row() for index in widget.table.selectedIndexes()}

    assert layer.selected_label == 1
    assert marked() == {0}
    widget.table.selectRow(1)
    assert layer.selected_label == prediction.selected_label == 2
    layer.selected_label = 1
    assert marked() == {0}
    layer.selected_label = 7  # no class yet
    assert marked() == set()
    assert layer.selected_label == 7


@pytest.mark.parametrize(
    ("typed", "kept", "said"),
    [("90", 90.0, "90° ↓"), ("-45°", 315.0, "315° ↗"), ("12,5", 12.5, "12.5° →"), ("up", None, "")],
)
def test_a_direction_is_an_angle_from_right_towards_down(widget, typed, kept, said):
    layer = widget.new_labels()
    widget.table.item(1, 2).setText(typed)
    assert directions_of(layer) == ({} if kept is None else {2: kept})
    assert widget.table.item(1, 2).text() == said
    # A name that is changed afterwards takes nothing away.
    widget.table.item(1, 1).setText("down")
    assert widget.table.item(1, 2).text() == said


def test_a_digit_in_the_table_neither_edits_nor_searches(widget):
    widget.new_labels()
    widget.table.selectRow(0)
    QTest.keyClick(widget.table, Qt.Key.Key_2)
    assert {index.row() for index in widget.table.selectedIndexes()} == {0}
    assert [widget.table.item(row, 1).text() for row in (0, 1)] == ["domain 1", "domain 2"]


def test_labels_of_another_scan_or_shape_are_not_offered(shown, widget, scan):
    shown.add_labels(np.zeros((3, 3), int), name="elsewhere")
    shown.add_labels(np.zeros(scan.scan_shape, int), name="fits")
    assert [layer.name for layer in widget.labels.choices] == ["fits"]
