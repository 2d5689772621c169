"""The demo: interrupted it keeps what is done, run again it does the whole job."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from napari_ferro4d.cli import asked_labels, clear_results, main, separation, wall_distance
from napari_ferro4d.open import open_scan
from napari_ferro4d.results import MapResult, provenance, read_results, write_results
from napari_ferro4d.scan import Scan
from napari_ferro4d.simulate import demo_scan, demo_truth, truth


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A folder in which the demo was stopped while it trained, and what it said."""
    folder = tmp_path_factory.mktemp("demo") / "new"
    command = [sys.executable, "-m", "napari_ferro4d", "demo", "--headless", "-o", str(folder)]
    lines = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        for line in process.stderr:  # which is a pipe, not a terminal
            lines.append(line)
            if "step 3" in line:
                process.send_signal(signal.SIGINT)
        out = process.stdout.read()
    return folder, lines, out, process.returncode


def test_interrupted_it_keeps_what_is_done_and_says_so(interrupted):
    folder, lines, out, code = interrupted
    assert code == 130
    assert out == ""
    assert [line.split("] ")[1][:11] for line in lines[:-1]] == [
        f"step {n} of 4" for n in (1, 2, 3)
    ]
    assert lines[-1] == f"ferro4d: interrupted; {folder} keeps scan.zarr, results.zarr.\n"
    assert {path.name for path in folder.iterdir()} == {"scan.zarr", "results.zarr"}
    maps = {one.name: one.data for one in read_results(folder / "results.zarr").maps}
    labels = truth(folder / "scan.zarr").labels
    assert separation(maps["com_y"], labels) > 0.95
    assert open_scan(folder / "scan.zarr").shape == (64, 64, 128, 128)


def test_it_does_the_whole_job_on_the_scan_that_is_there(capsys, interrupted):
    folder = interrupted[0]
    before = (folder / "scan.zarr" / "zarr.json").stat().st_mtime_ns
    assert main(["demo", "-o", str(folder), "--headless", "--json"]) == 0
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert "it is there already" in said.err
    assert (folder / "scan.zarr" / "zarr.json").stat().st_mtime_ns == before

    assert 20 <= document["classifier_labels"] <= 50
    assert f"{100 * document['classifier_accuracy']:.1f} % right on the truth" in said.err
    assert document["classifier_accuracy"] >= 0.95
    assert document["autoencoder_auc"] >= 0.95
    assert document["wall_distance_nm"] < 1.4
    results = read_results(folder / "results.zarr")
    assert {one.scan[1] for one in results.maps} == {open_scan(folder / "scan.zarr").signature}
    names = {one.name for one in results.maps}
    assert {"sum", "com_y", "com_x", "embedding", "probability"} <= names
    labels = {one.name: one.data for one in results.labels}
    assert set(labels) == {"prediction", "labels", "walls"}
    # What was scored is what is in the folder.
    known = truth(folder / "scan.zarr").labels
    unseen = labels["labels"] == 0
    right = (labels["prediction"] == known)[unseen].mean()
    assert document["classifier_accuracy"] == pytest.approx(right)
    scores = json.loads((folder / "scores.json").read_text())
    assert scores.items() <= document.items()
    with (folder / "domains.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["positions"]) for row in rows) == 64 * 64
    assert document["domains"] == len(rows)
    assert document["domains_in_truth"] == 2
    for name in document["files"]:
        assert (folder / name).exists()


def test_it_says_where_it_cannot_write(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "mine" / "results.zarr").mkdir(parents=True)
    (tmp_path / "mine" / "results.zarr" / "notes.txt").write_text("")
    for name in ("file", "mine"):
        assert main(["demo", "-o", str(tmp_path / name), "--headless"]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert str(tmp_path / name) in said
    assert (tmp_path / "mine" / "results.zarr" / "notes.txt").exists()


@pytest.mark.parametrize(
    ("command", "same", "stays"),
    [("demo com", True, True), ("demo com", False, False), ("com", False, True)],
)
def test_only_results_of_an_earlier_demo_on_another_scan_go(tmp_path, command, same, stays):
    made, other = (Scan.from_array(np.full((2, 3, 4, 4), n, np.uint8)) for n in (1, 2))
    image = MapResult("sum", np.zeros((2, 3), np.float32), scan=("made", made.signature))
    done = provenance(command, {}, made)
    folder = write_results(tmp_path / "r.zarr", maps=[image], provenance=[done])
    clear_results(folder, made if same else other)
    assert folder.exists() is stays


def test_labels_are_those_of_the_truth_where_it_is_asked():
    scan, known = demo_scan(), demo_truth().labels
    labels = asked_labels(scan, known, 30)
    assert 20 <= np.count_nonzero(labels) <= 30
    assert (labels[labels > 0] == known[labels > 0]).all()


def test_separation_is_the_share_of_pairs_in_the_right_order():
    known = np.array([[1, 1, 2, 2]])
    assert separation(np.array([[3.0, 1.0, 2.0, 0.0]]), known) == pytest.approx(3 / 4)
    assert separation(np.array([[0.0, 2.0, 1.0, 3.0]]), known) == pytest.approx(3 / 4)


def test_a_wall_beside_the_true_one_is_as_far_away_as_it_lies():
    known, found = np.zeros((2, 5, 9), bool)
    known[:, 4] = found[:, 7] = True
    assert wall_distance(found, known, (1.0, 1.5)) == pytest.approx(4.5)
    assert wall_distance(known, known, (1.0, 1.5)) == 0
    assert wall_distance(found & False, known, (1.0, 1.5)) is None
