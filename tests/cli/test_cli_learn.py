"""train, embed and classify as a user meets them on the command line."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from napari_ferro4d.cli import main
from napari_ferro4d.learn import load_model
from napari_ferro4d.results import LabelResult, read_results, write_results


def half_and_half(rng, ny=12, nx=14, size=32):
    """Return a scan whose left half differs from its right half by one reflection."""
    ky, kx = np.indices((size, size)) - size / 2
    mean = 40 * np.exp(-(ky**2 + kx**2) / 8)
    left, right = (mean + 20 * np.exp(-((ky - s) ** 2 + kx**2) / 6) for s in (9, -9))
    means = np.where((np.arange(nx) < nx // 2)[None, :, None, None], left, right)
    return rng.poisson(np.broadcast_to(means, (ny, nx, size, size))).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("learn")
    rng = np.random.default_rng(0)
    np.save(folder / "scan.npy", half_and_half(rng))
    np.save(folder / "other.npy", half_and_half(rng, 5, 6))
    np.save(folder / "small.npy", half_and_half(rng, 5, 6, size=20))
    labels = np.zeros((12, 14), np.uint8)
    labels[::2, 1:4:2], labels[::2, 9:13:2] = 3, 7
    np.save(folder / "labels.npy", labels)
    np.save(folder / "one.npy", np.where(labels == 3, labels, 0))
    np.save(folder / "none.npy", np.zeros_like(labels))
    np.save(folder / "shape.npy", labels[1:])
    np.save(folder / "float.npy", labels.astype(float))
    return folder


def run_json(capsys, *arguments):
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def model(folder):
    path = folder / "ae.safetensors"
    arguments = ["train", folder / "scan.npy", "-o", path, "--epochs", 2, "--embedding", 6]
    assert main([str(a) for a in arguments]) == 0
    return path


@pytest.fixture(scope="module")
def classifier(folder):
    path = folder / "cnn.safetensors"
    arguments = ["classify", folder / "scan.npy", "--labels", folder / "labels.npy"]
    arguments += ["-o", folder / "trained.zarr", "--save-model", path]
    assert main([str(a) for a in arguments]) == 0
    return path


def test_train_leaves_a_model_and_no_checkpoint(model, folder):
    loaded = load_model(model)
    assert loaded.kind == "autoencoder"
    assert loaded.header["preset"] == "compact"
    assert not list(folder.glob("*checkpoint*"))


def test_embed_maps_another_scan_too(capsys, folder, model, tmp_path):
    for name, shape in (("scan", (12, 14)), ("other", (5, 6))):
        out = tmp_path / f"{name}.zarr"
        document = run_json(capsys, "embed", folder / f"{name}.npy", "--model", model, "-o", out)
        assert document["maps"] == ["maps/embedding"]
        (embedding,) = read_results(out).maps
        assert embedding.data.shape == (6, *shape)
        assert embedding.data.dtype == np.float32
        assert set(document["active_channels"]) <= set(range(6))


def test_classify_keeps_the_class_numbers(folder, classifier):
    results = read_results(folder / "trained.zarr")
    (prediction,) = (one for one in results.labels if one.name == "prediction")
    assert set(np.unique(prediction.data)) == {3, 7}
    assert (prediction.data[:, :7] == 3).mean() > 0.95
    assert (prediction.data[:, 7:] == 7).mean() > 0.95
    (probability,) = results.maps
    np.testing.assert_allclose(probability.data.sum(0), 1, atol=1e-5)
    entry = results.provenance[0]
    assert entry["command"] == "classify"
    assert entry["parameters"]["labels"].endswith("labels.npy")


def test_a_saved_classifier_classifies_another_scan(capsys, folder, classifier, tmp_path):
    out = tmp_path / "r.zarr"
    document = run_json(capsys, "classify", folder / "other.npy", "--model", classifier, "-o", out)
    assert document["classes"] == [3, 7]
    (prediction,) = read_results(out).labels
    assert (prediction.data[:, :3] == 3).mean() > 0.9


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
    capsys.readouterr()
    try:
        code = main([*arguments, "-o", str(tmp_path / "r.zarr")])
    except SystemExit as stopped:  # argparse leaves this way
        code = stopped.code
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert re.search(words, captured.err)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["m.pt", "scan.npy/m.safetensors"])
def test_a_model_that_cannot_be_saved_is_refused_before_training(
    capsys, folder, target, monkeypatch
):
    monkeypatch.setattr("napari_ferro4d.learn.train", lambda *_, **__: pytest.fail("it trained"))
    assert main(["train", str(folder / "scan.npy"), "-o", str(folder / target)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_an_interrupted_training_goes_on_where_it_was(capsys, folder, tmp_path):
    path = tmp_path / "m.safetensors"
    arguments = ["train", str(folder / "scan.npy"), "-o", str(path), "--epochs", "400"]
    process = subprocess.Popen(
        [sys.executable, "-m", "napari_ferro4d", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    checkpoint = tmp_path / "m.checkpoint.safetensors"
    while not checkpoint.exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130
    assert error.count("\n") == 1
    assert "--resume" in error
    assert not path.exists()
    done = len(load_model(checkpoint).header["history"]["losses"])
    assert 1 <= done < 400
    document = run_json(capsys, *arguments[:-1], done + 3, "--resume")
    assert document["epochs"] == done + 3
    assert path.exists()
    assert not checkpoint.exists()


def test_a_new_training_keeps_the_checkpoint_of_an_interrupted_one(capsys, folder, tmp_path):
    checkpoint = tmp_path / "m.checkpoint.safetensors"
    checkpoint.write_bytes(b"hours of work")
    path = tmp_path / "m.safetensors"
    arguments = ["train", str(folder / "scan.npy"), "-o", str(path), "--epochs", "1"]
    assert main(arguments) == 0
    old = tmp_path / "m.checkpoint.old.safetensors"
    assert old.read_bytes() == b"hours of work"
    assert str(old) in capsys.readouterr().err


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
    assert results.maps[0].channels == ("+P", "-P")
    trained = results.provenance[0]["parameters"]["trained"]
    assert trained["preset"] == "compact"
    assert "history" not in trained


def test_an_interrupt_before_the_first_epoch_promises_no_checkpoint(capsys, folder, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_ferro4d.learn.train", interrupt, raising=False)
    assert main(["train", str(folder / "scan.npy"), "-o", str(folder / "never.safetensors")]) == 130
    assert "nothing was written" in capsys.readouterr().err
