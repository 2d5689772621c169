"""Results folders, label files, TIFFs and model files: round trips, other readers, crashes."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ferro4d import LabelsError, ModelError, ResultsError, Scan, ScanError
from napari_ferro4d.io import (
    LabelResult,
    MapResult,
    Model,
    is_results,
    load_model,
    provenance,
    read_label_result,
    read_labels,
    read_results,
    save_model,
    write_results,
    write_tiff,
)

MAP = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(0, 4, (5, 7)).astype(np.uint8)


def test_maps_and_labels_come_back_as_they_were(tmp_path):
    stack = np.stack([MAP, -MAP])
    colour = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    path = write_results(
        tmp_path / "r.zarr",
        maps=[
            MapResult("com_y", MAP, (1.4, 1.5), "px", (), "PiYG", (-1.0, 1.0)),
            MapResult("probability", stack, (1.4, 1.5), channels=("+P", "-P")),
            MapResult("direction", colour, (1.4, 1.5), rgb=True),
        ],
        labels=[
            LabelResult("prediction", LABELS, (1.4, 1.5), {1: "+P"}, {1: (1.0, 0.0, 0.2, 1.0)})
        ],
        provenance=[provenance("com", {"mask_radius": 3}, Scan.from_array(np.ones((2, 2, 3, 3))))],
    )
    results = read_results(path)
    maps = {one.name: one for one in results.maps}
    np.testing.assert_array_equal(maps["com_y"].data, MAP)
    assert maps["com_y"].scan_step == (1.4, 1.5)
    assert (maps["com_y"].unit, maps["com_y"].colormap) == ("px", "PiYG")
    assert maps["com_y"].contrast_limits == (-1.0, 1.0)
    np.testing.assert_array_equal(maps["probability"].data, stack)
    assert maps["probability"].channels == ("+P", "-P")
    np.testing.assert_array_equal(maps["direction"].data, colour)
    assert maps["direction"].rgb
    (label,) = results.labels
    np.testing.assert_array_equal(label.data, LABELS)
    assert label.data.dtype == np.uint8
    assert label.classes == {1: "+P"}
    assert label.colours[1] == pytest.approx((1.0, 0.0, 0.2, 1.0), abs=1 / 255)
    (entry,) = results.provenance
    assert entry["command"] == "com"
    assert entry["parameters"] == {"mask_radius": 3}
    assert entry["versions"]["napari-ferro4d"]
    assert len(entry["scan_signature"]) == 16


def test_the_folder_is_the_ome_zarr_that_others_read(tmp_path):
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    path = write_results(
        tmp_path / "r.zarr",
        maps=[MapResult("com_y", MAP, (1.4, 1.5))],
        labels=[LabelResult("prediction", LABELS, (1.4, 1.5), {1: "+P"})],
    )
    root = zarr.open_group(path, mode="r")
    assert root.metadata.zarr_format == 3
    assert root["maps/com_y/0"].dtype == np.float32
    assert root["labels/prediction/0"].dtype == np.uint8
    assert list(root["labels"].attrs["ome"]["labels"]) == ["prediction"]
    assert root.attrs["ferro4d"]["provenance"] == []
    ome = root["maps/com_y"].attrs["ome"]
    assert ome["version"] == "0.5"
    assert ome["multiscales"][0]["axes"][0] == {"name": "y", "type": "space", "unit": "nanometer"}
    (node,) = Reader(parse_url(path / "maps" / "com_y"))()
    np.testing.assert_array_equal(np.asarray(node.data[0]), MAP)


def test_results_are_added_to_and_replaced_by_name(tmp_path):
    path = tmp_path / "r.zarr"
    write_results(path, maps=[MapResult("a", MAP)], provenance=[{"command": "one"}])
    write_results(
        path,
        maps=[MapResult("b", MAP), MapResult("a", -MAP)],
        labels=[LabelResult("x", LABELS)],
        provenance=[{"command": "two"}],
    )
    results = read_results(path)
    assert [one.name for one in results.maps] == ["a", "b"]
    np.testing.assert_array_equal(results.maps[0].data, -MAP)
    assert [entry["command"] for entry in results.provenance] == ["one", "two"]


@pytest.mark.parametrize("name", ["", "../evil", "a/b", ".hidden", "a\\b", "nul\0"])
def test_a_name_cannot_leave_the_folder(tmp_path, name):
    with pytest.raises(ResultsError, match="cannot name"):
        write_results(tmp_path / "r.zarr", maps=[MapResult("fine", MAP), MapResult(name, MAP)])
    assert not (tmp_path / "r.zarr").exists()


def test_nothing_is_written_where_something_else_is(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("precious")
    with pytest.raises(ResultsError, match="not a results folder"):
        write_results(tmp_path / "thesis", maps=[MapResult("a", MAP)])
    assert [p.name for p in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]
    with pytest.raises(ResultsError, match="not a results folder"):
        read_results(tmp_path / "thesis")
    assert not is_results(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "bad",
    [
        {"maps": [MapResult("a", MAP[0])]},
        {"maps": [MapResult("a", MAP, rgb=True)]},
        {"labels": [LabelResult("a", MAP)]},
        {"labels": [LabelResult("a", LABELS[None])]},
    ],
)
def test_arrays_of_the_wrong_shape_are_refused_whole(tmp_path, bad):
    with pytest.raises(ResultsError):
        write_results(tmp_path / "r.zarr", **bad)
    assert not (tmp_path / "r.zarr").exists()


def test_a_damaged_folder_is_one_clear_error(tmp_path):
    path = write_results(tmp_path / "r.zarr", maps=[MapResult("a", MAP)])
    (path / "maps" / "a" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    with pytest.raises(ResultsError, match="damaged"):
        read_results(path)


@settings(max_examples=20, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    dtype=st.sampled_from(["u1", "u2", "i4", "i8"]),
    top=st.integers(0, 120),
)
def test_labels_of_any_type_come_back(tmp_path_factory, shape, dtype, top):
    labels = np.random.default_rng(top).integers(0, top + 1, shape).astype(dtype)
    path = tmp_path_factory.mktemp("labels") / "r.zarr"
    write_results(path, labels=[LabelResult("labels", labels)])
    np.testing.assert_array_equal(read_labels(path, shape), labels)


KILLED = """
import sys, numpy as np
from napari_ferro4d.io import MapResult, LabelResult, write_results
path = sys.argv[1]
print("ready", flush=True)
n = 0
while True:
    n += 1
    a = np.full((300, 300), n, np.float32)
    write_results(path, maps=[MapResult("a", a), MapResult("b", a)],
                  labels=[LabelResult("l", a.astype(np.uint16))], provenance=[{"command": str(n)}])
    print(n, flush=True)
"""


def test_a_killed_writer_leaves_whole_maps(tmp_path):
    path = tmp_path / "r.zarr"
    for attempt in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "ready\n"
        process.stdout.readline()
        time.sleep(0.017 * (attempt + 1))
        process.kill()
        process.communicate()
        results = read_results(path)
        assert {one.name for one in results.maps} == {"a", "b"}
        for one in (*results.maps, *results.labels):
            assert one.data.min() == one.data.max() > 0, "half of one version, half of another"
    write_results(path, maps=[MapResult("c", MAP)])
    left = [p for p in path.rglob(".partial-*")]
    assert left == []


# --- labels and TIFF


@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_labels_from_files(tmp_path, suffix):
    path = tmp_path / f"labels{suffix}"
    np.save(path, LABELS) if suffix == ".npy" else tifffile.imwrite(path, LABELS)
    np.testing.assert_array_equal(read_labels(path, (5, 7)), LABELS)


def test_labels_that_cannot_be_are_named(tmp_path):
    np.save(tmp_path / "float.npy", MAP)
    np.save(tmp_path / "stack.npy", np.zeros((2, 3, 4), int))
    np.save(tmp_path / "negative.npy", LABELS.astype(int) - 9)
    (tmp_path / "broken.tif").write_bytes(b"II*\0 nothing")
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "empty").mkdir()
    for name in (
        "float.npy",
        "stack.npy",
        "negative.npy",
        "broken.tif",
        "broken.npy",
        "empty",
        "no",
    ):
        with pytest.raises(LabelsError, match=name):
            read_labels(tmp_path / name)
    np.save(tmp_path / "fine.npy", LABELS)
    with pytest.raises(LabelsError, match=r"5 x 7.*6 x 6"):
        read_labels(tmp_path / "fine.npy", (6, 6))


def test_one_of_several_label_images_has_to_be_named(tmp_path):
    path = write_results(
        tmp_path / "r.zarr", labels=[LabelResult("a", LABELS), LabelResult("b", LABELS + 1)]
    )
    with pytest.raises(LabelsError, match="a, b"):
        read_labels(path)
    np.testing.assert_array_equal(read_labels(path / "labels" / "b"), LABELS + 1)


def test_tiffs_carry_the_calibration_that_imagej_reads(tmp_path):
    path = write_tiff(tmp_path / "com.tif", MAP, (1.4, 1.6), "px")
    with tifffile.TiffFile(path) as tif:
        np.testing.assert_array_equal(tif.asarray(), MAP)
        assert tif.imagej_metadata["unit"] == "nm"
        tags = tif.pages[0].tags
        x, y = (tags[name].value for name in ("XResolution", "YResolution"))
        assert x[1] / x[0] == pytest.approx(1.6, rel=1e-6)
        assert y[1] / y[0] == pytest.approx(1.4, rel=1e-6)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "i8", "?", "f8"])
def test_tiffs_hold_every_type_exactly(tmp_path, dtype):
    image = LABELS.astype(dtype)
    path = write_tiff(tmp_path / "a.tif", image)
    np.testing.assert_array_equal(tifffile.imread(path).astype(dtype), image)


def test_what_a_tiff_cannot_hold_is_refused(tmp_path):
    with pytest.raises(ResultsError):
        write_tiff(tmp_path / "a.tif", np.zeros((2, 3, 4, 5)))
    with pytest.raises(ResultsError, match="16 bits"):
        write_tiff(tmp_path / "a.tif", np.full((2, 2), 70_000))
    assert list(tmp_path.iterdir()) == []


# --- models

MODEL = Model(
    "autoencoder",
    {"preset": "compact", "detector": [64, 64]},
    {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array([3], np.int64)},
)


def test_a_model_comes_back(tmp_path):
    loaded = load_model(save_model(MODEL, tmp_path / "m.safetensors"))
    assert loaded.kind == "autoencoder"
    assert loaded.header == MODEL.header
    for name, value in MODEL.weights.items():
        np.testing.assert_array_equal(loaded.weights[name], value)


def test_a_model_file_that_is_none_is_named(tmp_path):
    whole = save_model(MODEL, tmp_path / "m.safetensors").read_bytes()
    (tmp_path / "short.safetensors").write_bytes(whole[:-5])
    (tmp_path / "empty.safetensors").write_bytes(b"")
    (tmp_path / "pickle.safetensors").write_bytes(b"\x80\x04K\x01.")
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(2)}, tmp_path / "others.safetensors")
    save_file({"a": np.zeros(2)}, tmp_path / "json.safetensors", {"ferro4d": "[1]"})
    kind = {"ferro4d": json.dumps({"kind": "toaster"})}
    save_file({"a": np.zeros(2)}, tmp_path / "kind.safetensors", kind)
    for name in ("short", "empty", "pickle", "others", "json", "kind", "missing"):
        with pytest.raises(ModelError, match=name):
            load_model(tmp_path / f"{name}.safetensors")


def test_a_model_is_only_saved_under_its_ending(tmp_path):
    with pytest.raises(ModelError, match="safetensors"):
        save_model(MODEL, tmp_path / "m.pt")


def test_a_failed_save_keeps_the_old_model(tmp_path):
    path = save_model(MODEL, tmp_path / "m.safetensors")
    before = path.read_bytes()
    unwritable = Model("autoencoder", {"when": object()}, MODEL.weights)
    with pytest.raises(TypeError):
        save_model(unwritable, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ScanError, match="file"):
        write_results(tmp_path / "file" / "r.zarr", maps=[MapResult("a", MAP)])
    with pytest.raises(ScanError, match="file"):
        save_model(MODEL, tmp_path / "file" / "m.safetensors")
    with pytest.raises(ScanError, match="file"):
        write_tiff(tmp_path / "file" / "m.tif", MAP)


# --- what a folder remembers


def test_a_folder_is_of_one_scan(tmp_path):
    path = write_results(tmp_path / "r.zarr", maps=[MapResult("a", MAP, scan=("one", "s1"))])
    write_results(path, labels=[LabelResult("b", LABELS, scan=("one", "s1"))])
    write_results(path, maps=[MapResult("unknown", MAP)])
    with pytest.raises(ResultsError, match=r"2 scans \(one, two\)|2 scans \(two, one\)"):
        write_results(path, maps=[MapResult("c", MAP, scan=("two", "s2"))])
    results = read_results(path)
    assert {one.name: one.scan for one in results.maps} == {
        "a": ("one", "s1"),
        "unknown": ("", ""),
    }
    assert results.labels[0].scan == ("one", "s1")


def test_provenance_says_what_it_made(tmp_path):
    path = write_results(
        tmp_path / "r.zarr", maps=[MapResult("a", MAP)], provenance=[{"command": "one"}]
    )
    write_results(path, labels=[LabelResult("b", LABELS)], provenance=[{"command": "two"}])
    made = [(entry["command"], entry["made"]) for entry in read_results(path).provenance]
    assert made == [("one", ["maps/a"]), ("two", ["labels/b"])]


def test_active_channels_are_remembered(tmp_path):
    stack = np.stack([MAP, -MAP, MAP])
    path = write_results(tmp_path / "r.zarr", maps=[MapResult("embedding", stack, active=(2, 0))])
    assert read_results(path).maps[0].active == (2, 0)


READS = """
import sys
from napari_ferro4d.io import read_results
while True:
    read_results(sys.argv[1])
    print("read", flush=True)
"""


def test_reading_while_another_process_writes_harms_neither(tmp_path):
    path = write_results(tmp_path / "r.zarr", maps=[MapResult("a", MAP)])
    reader = subprocess.Popen(
        [sys.executable, "-c", READS, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert reader.stdout.readline() == b"read\n"
    for number in range(25):
        write_results(path, maps=[MapResult("a", np.full((5, 7), number, np.float32))])
    assert reader.poll() is None, reader.stderr.read()
    reader.kill()
    reader.communicate()
    assert read_results(path).maps[0].data.min() == 24


def test_an_old_map_that_a_dead_writer_set_aside_is_still_read(tmp_path):
    path = write_results(tmp_path / "r.zarr", maps=[MapResult("a", MAP)])
    (path / "maps" / "a").rename(path / "maps" / ".partial-old-a")
    np.testing.assert_array_equal(read_results(path).maps[0].data, MAP)
    write_results(path, maps=[MapResult("b", MAP)])
    assert sorted(p.name for p in (path / "maps").iterdir() if p.is_dir()) == ["a", "b"]


def test_what_a_dead_writer_left_unfinished_is_passed_over_in_silence(tmp_path):
    # Warnings are errors here, zarr's about a folder that is no group yet among them.
    path = write_results(tmp_path / "r.zarr", maps=[MapResult("a", MAP)])
    (path / "maps" / ".partial-1234-a" / "0").mkdir(parents=True)
    assert [one.name for one in read_results(path).maps] == ["a"]
    (path / "maps" / "lost").mkdir()
    with pytest.raises(ResultsError, match="damaged"):
        read_results(path)


def test_labels_bring_their_class_names(tmp_path):
    label = LabelResult("labels", LABELS, classes={1: "+P"}, colours={1: (1.0, 0.0, 0.0, 1.0)})
    path = write_results(tmp_path / "r.zarr", labels=[label])
    found = read_label_result(path / "labels" / "labels", (5, 7))
    assert found.classes == {1: "+P"}
    assert found.colours == {1: (1.0, 0.0, 0.0, 1.0)}
