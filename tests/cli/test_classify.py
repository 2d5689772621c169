"""``ferro4d classify``; and models and labels, of any verb, that cannot be used."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest

from helpers.command_line import refused, run_json
from helpers.scan_frames import write_mib, write_mib_series
from napari_ferro4d.cli import main
from napari_ferro4d.learn import Model, load_model, save_model
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


def test_a_model_classifies_many_scans_into_a_folder(capsys, folder, classifier, tmp_path):
    scans = [folder / "scan.npy", folder / "other.npy"]
    out = tmp_path / "results"
    document = run_json(capsys, "classify", *scans, "--model", classifier, "-o", out)
    assert [one["classes"] for one in document["scans"]] == [[3, 7], [3, 7]]
    assert {path.name for path in out.iterdir()} == {"scan.zarr", "other.zarr"}
    for path, shape in (("scan.zarr", (12, 14)), ("other.zarr", (5, 6))):
        results = read_results(out / path)
        (prediction,) = results.labels
        assert prediction.data.shape == shape
        assert (prediction.data[:, : shape[1] // 2] == 3).mean() > 0.9
        assert results.provenance[0]["parameters"]["model"] == str(classifier)


def test_a_model_classifies_all_scans_of_a_folder(capsys, folder, classifier, tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    for name in ("scan.npy", "other.npy"):
        shutil.copy(folder / name, scans)
    (scans / "notes.txt").write_text("no scan")
    out = tmp_path / "results"
    document = run_json(capsys, "classify", scans, "--model", classifier, "-o", out)
    assert len(document["scans"]) == 2
    assert {path.name for path in out.iterdir()} == {"scan.zarr", "other.zarr"}


def test_a_scan_in_several_files_is_classified_once(capsys, folder, classifier, tmp_path):
    counts = np.load(folder / "scan.npy").astype(np.uint16)
    scans = tmp_path / "scans"
    scans.mkdir()
    write_mib_series(scans, counts[::-1])
    for name in ("first", "second"):
        path = write_mib(tmp_path, counts if name == "first" else counts[:, ::-1])
        path.rename(scans / f"{name}.mib")
        path.with_suffix(".hdr").rename(scans / f"{name}.hdr")
    out = tmp_path / "results"
    document = run_json(capsys, "classify", scans, "--model", classifier, "-o", out)
    names = {"first.zarr", "second.zarr", "scan_000001.zarr"}
    assert {path.name for path in out.iterdir()} == names
    assert {one["results"] for one in document["scans"]} == {str(out / name) for name in names}
    (mirrored,) = read_results(out / "second.zarr").labels
    assert (mirrored.data[:, :7] == 7).mean() > 0.9


def test_a_folder_with_one_scan_has_a_folder_of_results(capsys, folder, classifier, tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    shutil.copy(folder / "other.npy", scans)
    out = tmp_path / "results"
    document = run_json(capsys, "classify", scans, "--model", classifier, "-o", out)
    assert [one["results"] for one in document["scans"]] == [str(out / "other.zarr")]
    assert document["errors"] == []
    assert len(read_results(out / "other.zarr").labels) == 1


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_bad_scan_is_said_and_the_others_classified(
    capsys, folder, classifier, tmp_path, options
):
    scans = tmp_path / "scans"
    scans.mkdir()
    shutil.copy(folder / "other.npy", scans / "a.npy")
    (scans / "b.mib").write_bytes(b"MQ1, and no more")
    shutil.copy(folder / "small.npy", scans / "c.npy")
    shutil.copy(folder / "other.npy", scans / "d.npy")
    out = tmp_path / "results"
    arguments = ["classify", scans, "--model", classifier, "-o", out, *options]
    assert main([str(one) for one in arguments]) == 2
    captured = capsys.readouterr()
    assert {path.name for path in out.iterdir()} == {"a.zarr", "d.zarr"}
    broken, small = captured.err.splitlines()
    assert broken.startswith(f"ferro4d: {scans / 'b.mib'}: ")
    assert str(scans / "c.npy") in small
    assert "20" in small
    if options:
        document = json.loads(captured.out)
        assert [one["classes"] for one in document["scans"]] == [[3, 7], [3, 7]]
        assert [one["scan"] for one in document["errors"]] == [
            str(scans / "b.mib"),
            str(scans / "c.npy"),
        ]
        assert f"ferro4d: {document['errors'][0]['error']}" == broken
    else:
        assert str(out / "a.zarr") in captured.out
        assert str(out / "d.zarr") in captured.out


def test_a_scan_unlike_the_training_data_is_warned_of(capsys, folder, classifier, tmp_path):
    unlike = np.random.default_rng(0).poisson(30, (5, 6, 32, 32)).astype(np.uint8)
    np.save(tmp_path / "unlike.npy", unlike)
    arguments = ["classify", tmp_path / "unlike.npy", "--model", classifier]
    document = run_json(capsys, *arguments, "-o", tmp_path / "r.zarr")
    assert "unlike all that the model was trained on" in document["warning"]
    assert document["validation_accuracy"] is None
    assert "trained before" in document["why_no_figure"]


def test_what_becomes_of_the_classes_is_said_as_an_option(capsys, folder, tmp_path):
    given = ["--labels", folder / "labels.npy", "--symmetry", "mirror-y: 3->7, 7->3"]
    model = tmp_path / "m.safetensors"
    arguments = ["classify", folder / "scan.npy", *given, "--save-model", model]
    run_json(capsys, *arguments, "-o", tmp_path / "r.zarr")
    assert load_model(model).header["symmetry"] == ["mirror-y: 3->7, 7->3"]


@pytest.fixture(scope="session")
def bad(folder, classifier):
    """More of what is bad in `folder`: labels with negative numbers, a model that is no more."""
    labels = np.load(folder / "labels.npy").astype(np.int16)
    np.save(folder / "negative.npy", -labels)
    known = load_model(classifier)
    header = {**known.header, "preset": "compact"}
    save_model(Model("classifier", header, known.weights), folder / "compact.safetensors")
    # The file ends before the last three rows, which is where the labels are.
    raw = np.load(folder / "scan.npy")[:9]
    (folder / "short.raw").write_bytes(raw.tobytes())
    late = np.zeros_like(labels)
    late[10, :7], late[10, 7:] = 3, 7
    np.save(folder / "late.npy", late)
    (folder / "empty").mkdir()


TRAINING = ["--preset", "fast", "--neighbourhood", "0", "--neighbourhood-reduce", "mean"]
TRAINING += ["--epochs", "3", "--symmetry", "mirror-x: 3->3, 7->7"]

SHORT = ["--detector-shape", "32,32", "--dtype", "u1", "--scan-shape", "12,14", "--incomplete"]

BAD = {
    "labels of another shape": (["classify", "scan.npy", "--labels", "shape.npy"], "shape.npy.*11"),
    "labels with one class": (["classify", "scan.npy", "--labels", "one.npy"], "class"),
    "labels below 0": (["classify", "scan.npy", "--labels", "negative.npy"], "negative values"),
    "labels where nothing was recorded": (
        ["classify", "short.raw", "--labels", "late.npy", *SHORT, "pad"],
        "no position is labelled",
    ),
    "labels of many scans": (
        ["classify", "scan.npy", "other.npy", "--labels", "labels.npy"],
        "labels are of one scan.*--save-model",
    ),
    "many scans of one name": (
        ["classify", "scan.npy", "scan.npy", "--model", "cnn.safetensors"],
        "one at a time",
    ),
    "a folder without scans": (
        ["classify", "empty", "--model", "cnn.safetensors"],
        "empty: holds no 4D-STEM scan",
    ),
    "labels of a scan, and a folder": (
        ["classify", "empty", "--labels", "labels.npy"],
        "empty",
    ),
    "epochs of fast": (
        ["classify", "scan.npy", "--labels", "labels.npy", "--epochs", "3"],
        "knows no epochs",
    ),
    "how to train a model that is trained": (
        ["classify", "scan.npy", "--model", "cnn.safetensors", *TRAINING],
        "leave out --preset, --neighbourhood, --neighbourhood-reduce, --epochs, --symmetry, or",
    ),
    "a symmetry of other classes": (
        ["classify", "scan.npy", "--labels", "labels.npy", "--symmetry", "mirror-x: 1->2, 2->1"],
        "class 3 is labelled",
    ),
    "a classifier of a preset that is gone": (
        ["classify", "scan.npy", "--model", "compact.safetensors"],
        "compact, which is no more",
    ),
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
@pytest.mark.usefixtures("model", "classifier", "bad")
def test_bad_input_is_one_line_and_exit_code_2(capsys, folder, tmp_path, monkeypatch, case):
    arguments, words = BAD[case]
    monkeypatch.chdir(folder)
    assert re.search(words, refused(capsys, *arguments, "-o", tmp_path / "r.zarr"))
    assert list(tmp_path.iterdir()) == []
