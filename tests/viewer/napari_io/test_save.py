"""What is saved from a viewer, and how it comes back."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tifffile

from napari_ferro4d.errors import ResultsError
from napari_ferro4d.open import open_scan
from napari_ferro4d.results import LabelResult, MapResult, read_results, write_results
from napari_ferro4d.viewer.layers import (
    Origin,
    add_layers,
    find_layer,
    label_layer,
    map_layers,
    scan_layers,
)

PLUGIN = "napari-ferro4d"
CLASSES = {1: "up", 2: "down"}
COLOURS = {1: (1.0, 0.0, 0.0, 1.0), 2: (0.0, 0.0, 1.0, 1.0)}


@pytest.fixture
def scan(shared_scan):
    return shared_scan


@pytest.fixture
def shown(shown_again):
    return shown_again


@pytest.fixture
def mapped(shown, scan, dock, finish):
    """A viewer with centre-of-mass maps and a labels layer with named classes."""
    widget = dock("Centre of mass")
    widget.compute()
    finish(widget.row)
    data = np.zeros(scan.scan_shape, np.uint8)
    data[2:5, 3:6], data[8, 9] = 1, 2
    result = LabelResult("labels", data, scan.scan_step, CLASSES, COLOURS)
    add_layers(shown, [label_layer(Origin.of(scan), result)])
    return shown


def save_all(viewer, path):
    return viewer.layers.save(str(path), plugin=PLUGIN)


def test_all_layers_go_to_one_results_folder(mapped, scan, tmp_path, notes):
    assert save_all(mapped, tmp_path / "out.zarr")
    results = read_results(tmp_path / "out.zarr")
    maps = {one.name: one for one in results.maps}
    assert set(maps) == {"preview", "sum", "com_y", "com_x", "com_magnitude", "com_direction"}
    assert maps["com_y"].unit == "px"
    assert maps["com_y"].scan_step == scan.scan_step
    assert maps["com_direction"].rgb
    np.testing.assert_array_equal(maps["com_y"].data, mapped.layers["wedge com_y"].data)
    (labels,) = results.labels
    assert (labels.classes, labels.colours) == (CLASSES, COLOURS)
    commands = [entry["command"] for entry in results.provenance]
    assert commands == ["com", "save"]
    assert {entry["scan_signature"] for entry in results.provenance} == {scan.signature}
    assert any("stays in its own file" in note for note in notes)


def test_a_results_folder_restores_names_units_colours_and_classes(
    mapped, tmp_path, make_napari_viewer, scan
):
    mapped.layers["wedge com_magnitude"].name = "how far"
    mapped.layers["wedge com_y"].contrast_limits = (-0.5, 0.25)
    save_all(mapped, tmp_path / "out.zarr")
    again = make_napari_viewer()
    again.open(tmp_path / "out.zarr", plugin=PLUGIN)
    before = {layer.name: layer for layer in mapped.layers if layer.name != "wedge"}
    after = {layer.name: layer for layer in again.layers}
    assert set(after) == set(before)
    for name, layer in after.items():
        assert type(layer) is type(before[name])
        assert layer.units == before[name].units
        np.testing.assert_allclose(layer.scale, before[name].scale)
        np.testing.assert_array_equal(layer.data, before[name].data)
    assert after["wedge com_y"].contrast_limits == [-0.5, 0.25]
    assert after["wedge com_y"].colormap.name == before["wedge com_y"].colormap.name
    labels = after["wedge labels"]
    np.testing.assert_allclose(labels.get_color(1), COLOURS[1])
    np.testing.assert_allclose(labels.get_color(2), COLOURS[2])
    assert dict(zip(labels.features["index"], labels.features["class"], strict=True))[2] == "down"
    assert find_layer(again, scan.signature, "com_y") is after["wedge com_y"]


def test_names_and_colours_survive_a_second_round(mapped, tmp_path, make_napari_viewer):
    save_all(mapped, tmp_path / "one.zarr")
    again = make_napari_viewer()
    again.open(tmp_path / "one.zarr", plugin=PLUGIN)
    save_all(again, tmp_path / "two.zarr")
    one, two = (read_results(tmp_path / name).labels[0] for name in ("one.zarr", "two.zarr"))
    assert (two.classes, two.colours) == (one.classes, one.colours)


def test_where_maps_come_from_survives_a_second_and_a_third_round(
    mapped, scan, tmp_path, make_napari_viewer
):
    save_all(mapped, tmp_path / "one.zarr")
    mapped.layers.selection = {mapped.layers["wedge com_x"]}
    mapped.layers.save(str(tmp_path / "one.zarr"), selected=True, plugin=PLUGIN)
    first = read_results(tmp_path / "one.zarr").provenance
    assert [entry["command"] for entry in first] == ["com", "save", "save"]
    again = make_napari_viewer()
    again.open(tmp_path / "one.zarr", plugin=PLUGIN)
    save_all(again, tmp_path / "two.zarr")
    second = read_results(tmp_path / "two.zarr").provenance
    assert list(second[:3]) == list(first)
    assert [entry["command"] for entry in second[3:]] == ["save"]
    assert "maps/com_y" in second[0]["made"]
    assert "labels/labels" not in second[0]["made"]
    assert {entry["scan"]["path"] for entry in second if "scan" in entry} == {scan.source.path}
    again.layers.selection = {again.layers["wedge com_y"]}
    again.layers.save(str(tmp_path / "three.zarr"), selected=True, plugin=PLUGIN)
    third = read_results(tmp_path / "three.zarr").provenance
    assert list(third[:2]) == list(first[:2])
    assert [entry["command"] for entry in third] == ["com", "save", "save"]
    again.layers.selection = {again.layers["wedge labels"]}
    again.layers.save(str(tmp_path / "four.zarr"), selected=True, plugin=PLUGIN)
    fourth = read_results(tmp_path / "four.zarr").provenance
    assert [entry["command"] for entry in fourth] == ["save", "save"]
    assert fourth[0] == first[1]


def test_results_know_their_scan(mapped, scan, tmp_path, make_napari_viewer):
    save_all(mapped, tmp_path / "out.zarr")
    results = read_results(tmp_path / "out.zarr")
    assert {one.scan for one in (*results.maps, *results.labels)} == {("wedge", scan.signature)}
    # A later entry about something else says nothing about the scan of these.
    other = {"command": "look", "parameters": {"scan_name": "other"}, "made": []}
    write_results(tmp_path / "out.zarr", provenance=[{**other, "scan_signature": "abc"}])
    again = make_napari_viewer()
    again.open(tmp_path / "out.zarr", plugin=PLUGIN)
    assert find_layer(again, scan.signature, "com_y") is again.layers["wedge com_y"]


def test_layers_of_two_scans_are_refused_with_both_names(mapped, counts, tmp_path):
    np.save(tmp_path / "second.npy", counts[::-1])
    add_layers(mapped, scan_layers(open_scan(tmp_path / "second.npy")))
    with pytest.raises(ResultsError, match="of 2 scans") as refused:
        save_all(mapped, tmp_path / "both.zarr")
    assert "wedge" in str(refused.value)
    assert "second" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "both.zarr").exists()


def test_active_channels_of_an_incomplete_scan_come_back(tmp_path, make_napari_viewer, scan):
    data = np.full((3, *scan.scan_shape), np.nan, np.float32)
    data[0, :8] = 1.0
    data[1, :8] = np.arange(14)
    data[2, :8] = np.arange(8)[:, None]
    plain = MapResult("embedding", data, scan_step=scan.scan_step)
    write_results(tmp_path / "plain.zarr", maps=[plain], provenance=[])
    viewer = make_napari_viewer()
    viewer.open(tmp_path / "plain.zarr", plugin=PLUGIN)
    assert {layer.name for layer in viewer.layers} == {"plain embedding 1", "plain embedding 2"}
    viewer.layers.clear()
    said = dataclasses.replace(plain, active=(2, 1))
    write_results(tmp_path / "said.zarr", maps=[said], provenance=[])
    viewer.open(tmp_path / "said.zarr", plugin=PLUGIN)
    assert [layer.name for layer in viewer.layers] == ["said embedding 2", "said embedding 1"]
    assert [layer.visible for layer in viewer.layers] == [True, False]


def test_layers_of_other_plugins_are_saved_under_their_own_names(viewer, tmp_path):
    viewer.add_image(np.ones((4, 5)), name="by hand", scale=(0.5, 0.5), units=("um", "um"))
    viewer.add_labels(np.arange(20).reshape(4, 5), name="grains")
    save_all(viewer, tmp_path / "mine.zarr")
    results = read_results(tmp_path / "mine.zarr")
    assert [one.name for one in results.maps] == ["by hand"]
    assert results.maps[0].scan_step == pytest.approx((500, 500))
    assert results.labels[0].scan_step is None
    assert len(results.labels[0].colours) == 19


def test_saving_again_replaces_by_name_and_keeps_the_rest(mapped, tmp_path):
    save_all(mapped, tmp_path / "out.zarr")
    labels = mapped.layers["wedge labels"]
    labels.data_setitem((np.array([0]), np.array([0])), 2)
    mapped.layers.selection = {labels}
    mapped.layers.save(str(tmp_path / "out.zarr"), selected=True, plugin=PLUGIN)
    results = read_results(tmp_path / "out.zarr")
    assert results.labels[0].data[0, 0] == 2
    assert len(results.maps) == 6


@pytest.mark.parametrize("name", ["wedge com_y", "wedge labels", "wedge com_direction"])
def test_one_layer_goes_to_a_calibrated_tiff(mapped, tmp_path, name):
    mapped.layers.selection = {mapped.layers[name]}
    path = tmp_path / "one.tif"
    mapped.layers.save(str(path), selected=True, plugin=PLUGIN)
    with tifffile.TiffFile(path) as file:
        np.testing.assert_array_equal(file.asarray(), mapped.layers[name].data)
        assert file.imagej_metadata["unit"] == "nm"
        across, _ = file.pages[0].tags["XResolution"].value, None
        assert across[0] / across[1] == pytest.approx(1 / 2.0)


def test_the_scan_itself_is_not_saved_as_a_map(shown, tmp_path):
    shown.layers.selection = {shown.layers["wedge"]}
    with pytest.raises(ResultsError, match="no map"):
        shown.layers.save(str(tmp_path / "scan.zarr"), selected=True, plugin=PLUGIN)
    assert not (tmp_path / "scan.zarr").exists()


def test_a_folder_of_something_else_is_not_touched(mapped, tmp_path):
    folder = tmp_path / "photos.zarr"
    folder.mkdir()
    (folder / "a.txt").write_text("mine")
    with pytest.raises(ResultsError, match=r"photos\.zarr"):
        save_all(mapped, folder)
    assert [path.name for path in folder.iterdir()] == ["a.txt"]


@pytest.fixture
def channels():
    y, x = np.indices((12, 14))
    maps = np.array([x < 7, y / 12, np.zeros_like(y), x > 6])
    return (maps + np.random.default_rng(5).normal(0, 0.1, maps.shape)).astype(np.float32)


def test_all_channels_of_an_embedding_are_saved_whichever_have_a_layer(
    embedded, shown, channels, tmp_path, make_napari_viewer
):
    names = {f"wedge embedding channel {number}" for number in (0, 1, 3)}
    assert {layer.name for layer in shown.layers if "channel" in layer.name} == names
    shown.layers.remove("wedge embedding channel 1")
    mended = shown.layers["wedge embedding channel 3"]
    mended.data = mended.data + 1
    copy = shown.add_image(
        mended.data, name="my copy", metadata=dict(mended.metadata), units=("nm", "nm")
    )
    shown.layers.selection = {mended, shown.layers["wedge embedding channel 0"], copy}
    shown.layers.save(str(tmp_path / "out.zarr"), selected=True, plugin=PLUGIN)
    maps = {one.name: one for one in read_results(tmp_path / "out.zarr").maps}
    assert set(maps) == {"embedding", "my copy"}
    saved = maps["embedding"]
    assert saved.channels == tuple(f"channel {number}" for number in range(4))
    assert set(saved.active) == {0, 1, 3}
    np.testing.assert_array_equal(saved.data[:3], channels[:3])
    np.testing.assert_array_equal(saved.data[3], channels[3] + 1)
    again = make_napari_viewer()
    again.open(tmp_path / "out.zarr", plugin=PLUGIN)
    assert names <= {layer.name for layer in again.layers}


def test_a_channel_that_was_cut_to_size_does_not_take_the_place_of_its_stack(
    embedded, shown, channels, tmp_path
):
    cut = shown.layers["wedge embedding channel 3"]
    cut.data = cut.data[:5, :5]
    shown.add_image(np.ones((12, 14)), name="a/b", units=("nm", "nm"))
    shown.add_image(np.zeros((12, 14)), name="a:b", units=("nm", "nm"))
    save_all(shown, tmp_path / "cut.zarr")
    maps = {one.name: one.data for one in read_results(tmp_path / "cut.zarr").maps}
    np.testing.assert_array_equal(maps["embedding"], channels)
    np.testing.assert_array_equal(maps["wedge embedding channel 3"], channels[3, :5, :5])
    assert (maps["a_b"].mean(), maps["a_b 2"].mean()) == (1, 0)


def test_embeddings_of_two_models_are_saved_side_by_side(embedded, shown, channels, tmp_path):
    first = embedded.embedding.whole
    other = dataclasses.replace(first, data=channels[::-1].copy())
    origin = embedded.embedding.origin
    for data, keywords, _ in map_layers(origin, other):
        shown.add_image(data, **keywords)
    save_all(shown, tmp_path / "two.zarr")
    maps = {one.name: one.data for one in read_results(tmp_path / "two.zarr").maps}
    np.testing.assert_array_equal(maps["embedding"], channels)
    np.testing.assert_array_equal(maps["embedding 2"], channels[::-1])
