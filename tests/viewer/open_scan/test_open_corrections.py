"""Detector corrections in the dialog that opens scans."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog

PLUGIN = "napari-ferro4d"


@pytest.fixture
def widget(viewer, scan_file):
    widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Open 4D-STEM scan...")[1]
    widget.path.setText(str(scan_file))
    return widget


def test_they_are_folded_away_and_say_what_is_given(widget, tmp_path, monkeypatch):
    form = widget.form.corrections
    assert not form.dark.native.isVisibleTo(widget)
    form.button.click()
    assert form.dark.native.isVisibleTo(widget)
    assert widget.form.hints() == {}
    asked = []

    def choose(parent, title, folder, kinds):
        asked.append(title)
        return str(tmp_path / "dark.npy"), kinds

    monkeypatch.setattr(QFileDialog, "getOpenFileName", choose)
    form.dark.choose()
    form.bin.value = 2
    assert asked == ["Choose the dark image"]
    assert form.button.text() == "Corrections: dark, bin"
    assert widget.form.hints() == {"dark": str(tmp_path / "dark.npy"), "bin": 2}


def test_a_scan_is_opened_corrected_and_says_so(viewer, widget, tmp_path, counts, finish):
    dark = np.full((16, 16), 3.0, np.float32)
    np.save(tmp_path / "dark.npy", dark)
    form = widget.form.corrections
    form.dark.value = str(tmp_path / "dark.npy")
    form.bad.value = "2,3;4,5"
    form.top.value = 2
    form.bottom.value = 14
    form.left.value = 4
    form.bin.value = 2
    widget.open_button.click()
    finish(widget.row)
    scan = viewer.layers["wedge corrected"].metadata["ferro4d"]
    assert scan.detector_shape == (6, 6)
    plain = counts[3, 4].astype(np.float64) - 3  # no bad pixel in the part looked at
    wanted = plain[8:14, 8:16].reshape(3, 2, 4, 2).sum(axis=(1, 3))
    np.testing.assert_allclose(scan.data[3, 4].compute()[3:, 2:], wanted)
    text = "dark image, 2 bad pixels, crop 2:14, 4:16, bin 2"
    assert text in widget.row.text
    centre = viewer.window.add_plugin_dock_widget(PLUGIN, "Centre of mass")[1]
    assert text in centre.scans.tooltip
    assert "wedge corrected preview" in viewer.layers


def test_the_scan_as_recorded_stays_beside_the_corrected_one(viewer, widget, finish):
    widget.open_button.click()
    finish(widget.row)
    widget.form.corrections.bin.value = 2
    widget.open_button.click()
    finish(widget.row)
    assert {layer.name for layer in viewer.layers} == {
        "wedge",
        "wedge preview",
        "wedge corrected",
        "wedge corrected preview",
    }


def test_bad_pixels_are_found(viewer, widget, scan_file, counts, finish):
    counts[:, :, 1, 14] = 60_000
    np.save(scan_file, counts)
    form = widget.form.corrections
    form.search.native.click()
    assert not form.bad.line.enabled
    assert widget.form.hints() == {"bad_pixels": "auto"}
    widget.open_button.click()
    finish(widget.row)
    assert "bad pixel" in widget.row.text
    scan = viewer.layers["wedge corrected"].metadata["ferro4d"]
    assert scan.data[..., 1, 14].compute().max() < 1000


@pytest.mark.parametrize("name", ["dark", "gain", "bad"])
def test_an_image_that_does_not_fit_is_named(viewer, widget, tmp_path, finish, notes, name):
    path = tmp_path / "small.npy"
    np.save(path, np.ones((4, 4), np.uint8))
    getattr(widget.form.corrections, name).value = str(path)
    widget.open_button.click()
    finish(widget.row)
    assert len(viewer.layers) == 0
    assert len(notes) == 1
    assert str(path) in notes[0]
    assert "small.npy" in widget.row.text
    assert str(tmp_path) not in widget.row.text  # a folder fills a line that cannot be broken


def test_a_crop_that_keeps_nothing_cannot_be_opened(widget):
    form = widget.form.corrections
    form.left.value = 5
    assert widget.open_button.isEnabled()
    form.right.value = 5
    assert not widget.open_button.isEnabled()
    assert "columns" in widget.open_button.toolTip()


def test_corrections_stay_for_the_next_file(widget, tmp_path):
    widget.form.corrections.bin.value = 2
    widget.form.scan_step.value = 0.7
    widget.path.setText(str(tmp_path / "other.npy"))
    assert widget.form.hints() == {"bin": 2}
    assert "Corrections stay" in widget.row.text


def test_a_file_that_is_chosen_again_ends_the_search_for_bad_pixels(widget, tmp_path, monkeypatch):
    form = widget.form.corrections
    path = str(tmp_path / "bad.npy")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (path, args[-1]))
    form.bad.choose()
    form.search.native.click()
    assert widget.form.hints() == {"bad_pixels": "auto"}
    form.bad.choose()
    assert widget.form.hints() == {"bad_pixels": path}
