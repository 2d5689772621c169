"""Results folders: round trips, other readers, crashes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ferro4d import ResultsError, Scan
from napari_ferro4d.io import is_results, read_labels
from napari_ferro4d.results import (
    LabelResult,
    MapResult,
    provenance,
    read_label_result,
    read_results,
    write_results,
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


WRITER = """
import os, sys, zarr, numpy as np
from napari_ferro4d.results import MapResult, LabelResult, write_results
path = sys.argv[1]
for _ in sys.stdin:  # every line asks for another writer
    child = os.fork()
    if child == 0:
        break
    print("writer", child, flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)
else:
    sys.exit()
n = 0
while True:
    n += 1
    a = np.full((300, 300), n, np.float32)
    write_results(path, maps=[MapResult("a", a), MapResult("b", a)],
                  labels=[LabelResult("l", a.astype(np.uint16))], provenance=[{"command": str(n)}])
    print("wrote", n, flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts writers by forking")
def test_a_killed_writer_leaves_whole_maps(tmp_path):
    path = tmp_path / "r.zarr"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def said(word):
            for line in process.stdout:
                if line.startswith(word):
                    return line.split()[-1]
            return pytest.fail("the writers ended by themselves")

        for attempt in range(6):
            print("another", file=process.stdin, flush=True)
            writer = int(said("writer"))
            said("wrote")
            time.sleep(0.017 * (attempt + 1))
            os.kill(writer, signal.SIGKILL)
            said("ended")
            results = read_results(path)
            assert {one.name for one in results.maps} == {"a", "b"}
            for one in (*results.maps, *results.labels):
                assert one.data.min() == one.data.max() > 0, "half of one version, half of another"
        process.stdin.close()
    write_results(path, maps=[MapResult("c", MAP)])
    left = [p for p in path.rglob(".partial-*")]
    assert left == []


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
from napari_ferro4d.results import read_results
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
