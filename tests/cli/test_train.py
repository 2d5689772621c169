"""``ferro4d train``: a model, checkpoints, and going on after an interrupt."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields

import numpy as np
import pytest

from helpers.command_line import refused, run_json
from napari_ferro4d.cli import main
from napari_ferro4d.learn import TrainingOptions, load_model, train
from napari_ferro4d.results import read_results


def test_train_leaves_a_model_and_no_checkpoint(model, folder):
    loaded = load_model(model)
    assert loaded.kind == "autoencoder"
    assert loaded.header["preset"] == "compact"
    assert not list(folder.glob("*checkpoint*"))


@pytest.mark.parametrize("target", ["m.pt", "scan.npy/m.safetensors"])
def test_a_model_that_cannot_be_saved_is_refused_before_a_scan_is_opened(capsys, folder, target):
    """Let alone a network trained, of which hours would be lost."""
    said = refused(capsys, "train", folder / "gone.npy", "-o", folder / target)
    assert str(folder / target).removesuffix("/m.safetensors") in said
    assert "gone.npy" not in said


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


def test_an_interrupt_before_the_first_epoch_promises_no_checkpoint(capsys, folder, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("torch.optim.Adam.step", interrupt)
    assert main(["train", str(folder / "scan.npy"), "-o", str(folder / "never.safetensors")]) == 130
    said = "ferro4d: interrupted before the first epoch was over; nothing was written.\n"
    assert capsys.readouterr().err == said
    assert not list(folder.glob("never*"))


def test_learning_takes_corrected_scans(capsys, scan, images, tmp_path):
    """Counts below zero, which subtracting the dark image leaves, are none for the logarithm."""
    pytest.importorskip("torch")
    np.save(tmp_path / "dark.npy", np.full((16, 16), 5.0))
    model, out = tmp_path / "m.safetensors", tmp_path / "r.zarr"
    more = [*images, "--bad-pixels", "auto", "--bin", "2"]
    run_json(capsys, "train", scan, "-o", model, "--epochs", 1, "--embedding", 4, *more)
    document = run_json(capsys, "embed", scan, "--model", model, "-o", out, *more)
    assert document["maps"] == ["maps/embedding"]
    assert read_results(out).provenance[0]["scan"]["corrections"]["bin"] == 2


def test_what_a_training_is_to_be_is_the_same_as_one_object_and_as_arguments():
    taken = inspect.signature(train).parameters
    more = ("scans", "resume", "checkpoint", "report")
    options = {one.name: one.default for one in fields(TrainingOptions)}
    assert {n: taken[n].default for n in taken if n not in more} == options
