"""``ferro4d suggest``, and the loop of suggesting, labelling and classifying."""

from __future__ import annotations

import re

import numpy as np
import pytest

from helpers.command_line import refused, run_json
from helpers.labelled_scans import striped
from napari_ferro4d.cli import main


def test_it_prints_positions_and_what_is_to_be_said(capsys, folder):
    document = run_json(capsys, "suggest", folder / "scan.npy", "--budget", 7)
    assert set(document) == {"positions", "message"}
    assert document["message"] == ""
    places = {(y, x) for y, x in document["positions"]}
    assert len(places) == 7
    assert all(0 <= y < 12 and 0 <= x < 14 for y, x in places)


def test_the_message_is_for_people_too(capsys, folder):
    arguments = ["suggest", folder / "scan.npy", "--labels", folder / "one.npy", "--budget", 3]
    assert main([*map(str, arguments)]) == 0
    told = capsys.readouterr()
    assert "labels are of one class" in told.out + told.err


def test_suggest_label_classify_and_again(capsys, folder, tmp_path):
    truth = np.where(np.arange(14) < 7, 3, 7) * np.ones((12, 1), int)
    labels = np.zeros((12, 14), np.uint8)
    given = []
    for seed in range(3):
        found = run_json(
            capsys, "suggest", folder / "scan.npy", *given, "--budget", 10, "--seed", seed
        )
        for y, x in found["positions"]:
            assert labels[y, x] == 0
            labels[y, x] = truth[y, x]
        if not found["positions"]:
            assert "nothing is to be gained" in found["message"]
            break
        np.save(tmp_path / "labels.npy", labels)
        given = ["--labels", tmp_path / "labels.npy"]
    out = tmp_path / "r.zarr"
    told = run_json(capsys, "classify", folder / "scan.npy", *given, "-o", out)
    assert told["classes"] == [3, 7]
    assert sum(told["positions_per_class"]) == truth.size
    assert abs(told["positions_per_class"][0] - 84) <= 4
    assert told["spatial_strength"] in (0, 1, 2)
    # Figures, or why there are none.
    assert (told["validation_accuracy"] is None) == ("why_no_figure" in told)


def test_figures_are_in_the_document(capsys, folder, tmp_path):
    scan, truth = striped(nx=40, wall=20, ny=40)
    np.save(tmp_path / "scan.npy", scan.data.compute())
    labels = np.zeros((40, 40), np.uint8)
    labels[2::5, 2::5] = np.where(truth == truth[0, 0], 3, 7)[2::5, 2::5]
    labels[12, 7] = 7
    np.save(tmp_path / "labels.npy", labels)
    given = ["--labels", tmp_path / "labels.npy", "-o", tmp_path / "r.zarr"]
    told = run_json(capsys, "classify", tmp_path / "scan.npy", *given)
    low, high = told["validation_accuracy_range"]
    assert low <= told["validation_accuracy"] <= high
    assert 0 <= told["balanced_accuracy"] <= 1
    assert 0 <= told["calibration_error"] <= 1
    assert np.sum(told["confusion"]) == 64
    y, x, label, predicted, probability = told["disagreements"][0]
    assert (y, x, label, predicted) == (12, 7, 7, 3)
    assert 0.5 < probability <= 1


BAD = {
    "labels of another shape": (["--labels", "shape.npy"], "shape.npy.*11"),
    "labels that are no integers": (["--labels", "float.npy"], "integers"),
    "no such labels": (["--labels", "gone.npy"], "gone.npy"),
    "no budget": (["--budget", "0"], "budget"),
    "no method": (["--method", "guess"], "guess"),
    "no step": (["--labels", "labels.npy", "--method", "boundary", "--step", "-1"], "step"),
    "all labelled": (["--labels", "full.npy"], "every position"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_bad_input_is_one_line_and_exit_code_2(capsys, folder, tmp_path, monkeypatch, case):
    arguments, words = BAD[case]
    np.save(tmp_path / "full.npy", np.ones((12, 14), np.uint8))
    monkeypatch.chdir(folder)
    arguments = [tmp_path / "full.npy" if one == "full.npy" else one for one in arguments]
    assert re.search(words, refused(capsys, "suggest", "scan.npy", *arguments))
