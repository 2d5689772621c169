"""``ferro4d classify``; and models and labels, of any verb, that cannot be used."""

from __future__ import annotations

import re

import numpy as np
import pytest

from helpers.command_line import refused, run_json
from napari_ferro4d.results import LabelResult, read_results, write_results


def test_classify_keeps_the_class_numbers(folder, classifier):
    results = read_results(folder / "trained.zarr")
    (prediction,) = (one for one in results.labels if one.name == "prediction")
    assert set(np.unique(prediction.data)) == {3, 7}
    assert (prediction.data[:, :7] == 3).mean() > 0.95
    assert (prediction.data[:, 7:] == 7).mean() > 0.95
    maps = {one.name: one.data for one in results.maps}
    assert set(maps) == {"probability", "novelty"}
    probability = maps["probability"]
    assert maps["novelty"].shape == (12, 14)
    np.testing.assert_allclose(probability.sum(0), 1, atol=1e-5)
    entry = results.provenance[0]
    assert entry["command"] == "classify"
    assert entry["parameters"]["labels"].endswith("labels.npy")


def test_a_saved_classifier_classifies_another_scan(capsys, folder, classifier, tmp_path):
    out = tmp_path / "r.zarr"
    document = run_json(capsys, "classify", folder / "other.npy", "--model", classifier, "-o", out)
    assert document["classes"] == [3, 7]
    (prediction,) = read_results(out).labels
    assert (prediction.data[:, :3] == 3).mean() > 0.9


def test_classify_keeps_the_users_labels_names_and_colours(capsys, folder, tmp_path):
    labels = np.load(folder / "labels.npy")
    colours = {3: (1.0, 0.0, 0.0, 1.0), 7: (0.0, 0.0, 1.0, 1.0)}
    mine = LabelResult("labels", labels, (2.0, 2.0), {3: "+P", 7: "-P"}, colours)
    out = write_results(tmp_path / "r.zarr", labels=[mine])
    model = tmp_path / "m.safetensors"
    arguments = ["classify", folder / "scan.npy", "-o", out, "--save-model", model]
    run_json(capsys, *arguments, "--labels", out / "labels" / "labels")
    images = {one.name: one for one in read_results(out).labels}
    assert set(images) == {"labels", "prediction", "trained_on"}
    np.testing.assert_array_equal(images["labels"].data, labels)
    assert images["labels"].scan_step == (2.0, 2.0)
    assert images["prediction"].classes == {3: "+P", 7: "-P"}
    assert images["prediction"].colours == colours
    # The model brings the names along, to a scan that has no labels.
    other = tmp_path / "other.zarr"
    run_json(capsys, "classify", folder / "other.npy", "--model", model, "-o", other)
    results = read_results(other)
    assert results.labels[0].classes == {3: "+P", 7: "-P"}
    (probability,) = (one for one in results.maps if one.name == "probability")
    assert probability.channels == ("+P", "-P")
    trained = results.provenance[0]["parameters"]["trained"]
    assert trained["preset"] == "fast"
    assert "history" not in trained


BAD = {
    "labels of another shape": (["classify", "scan.npy", "--labels", "shape.npy"], "shape.npy.*11"),
    "labels with one class": (["classify", "scan.npy", "--labels", "one.npy"], "class"),
    "empty labels": (["classify", "scan.npy", "--labels", "none.npy"], "label"),
    "labels that are no integers": (["classify", "scan.npy", "--labels", "float.npy"], "integers"),
    "no such labels": (["classify", "scan.npy", "--labels", "gone.npy"], "gone.npy"),
    "labels and model": (["classify", "scan.npy", "--labels", "x", "--model", "y"], "not allowed"),
    "neither": (["classify", "scan.npy"], "required"),
    "model of another detector": (
        ["embed", "small.npy", "--model", "ae.safetensors"],
        "32.*20|20.*32",
    ),
    "classifier of another detector": (
        ["classify", "small.npy", "--model", "cnn.safetensors"],
        "32.*20|20.*32",
    ),
    "model of the wrong kind": (["embed", "scan.npy", "--model", "cnn.safetensors"], "autoencoder"),
    "no model": (["embed", "scan.npy", "--model", "gone.safetensors"], "gone"),
    "a scan as a model": (["embed", "scan.npy", "--model", "scan.npy"], "scan.npy"),
    "too many channels": (["train", "scan.npy", "--embedding", "999999999999"], "from 1 to 4096"),
    "no channels": (["train", "scan.npy", "--embedding", "0"], "from 1 to 4096"),
    "device": (["classify", "scan.npy", "--labels", "labels.npy", "--device", "cuda:9"], "cuda"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_bad_input_is_one_line_and_exit_code_2(
    capsys, folder, model, classifier, tmp_path, monkeypatch, case
):
    arguments, words = BAD[case]
    monkeypatch.chdir(folder)
    assert re.search(words, refused(capsys, *arguments, "-o", tmp_path / "r.zarr"))
    assert list(tmp_path.iterdir()) == []
