"""Train on a scan in another process, watch, stop, embed, keep the model."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest
from magicgui.widgets import ComboBox
from qtpy.QtCore import QTimer

from helpers.trainers import trainers
from napari_ferro4d.learn import (
    LINEAR,
    PRESETS,
    Embedding,
    Model,
    TrainingOptions,
    TrainingState,
    embed,
)
from napari_ferro4d.learn.networks import build_autoencoder
from napari_ferro4d.open import open_scan
from napari_ferro4d.viewer.autoencoder import NetworkForm, train_and_embed
from napari_ferro4d.viewer.layers import add_layers
from napari_ferro4d.viewer.napari_io import opened_layers
from napari_ferro4d.viewer.widgets import load_or_say, save_or_say


@pytest.fixture
def widget(dock):
    widget = dock("Autoencoder")
    widget.form.device.choose("cpu")
    widget.form.embedding.value = 4
    widget.form.epochs.value = 3
    return widget


@pytest.fixture
def ended(qtbot):
    """Wait until all that was asked of a widget is done."""

    def wait(widget, seconds=240):
        def over():
            return not widget.row.busy and not widget.session._steps

        qtbot.waitUntil(over, timeout=1000 * seconds)

    return wait


def channels(viewer):
    return [layer for layer in viewer.layers if "embedding" in layer.name]


def test_training_is_watched_while_the_window_answers(shown, scan, widget, ended, notes):
    course, seen, turns, processes = widget.course, [], [], []
    turn = 0
    clock = QTimer(interval=10)

    def count():
        nonlocal turn
        turn += 1

    def note_turn(progress):
        seen.append(progress)
        turns.append(turn)
        processes.append(len(trainers()))

    clock.timeout.connect(count)
    clock.start()
    widget.row.progressed.connect(note_turn)
    widget.form.seed.value = 7
    widget.form.divergence.value = "text"
    widget.train_button.click()
    ended(widget)
    clock.stop()
    assert not notes
    assert not trainers()
    # The work was that of one other process, and the window went on between the reports.
    states = [one.partial for one in seen if isinstance(one.partial, TrainingState)]
    assert len(states) > 1
    assert max(processes) == 1
    assert len(set(turns)) > 2
    assert turn > len(seen)

    assert any("starting the trainer" in one.message for one in seen)
    assert course.losses.losses == states[-1].losses
    assert len(course.losses.losses) == 3
    rows = {curve.name: curve.values for curve in course.rows.curves}
    assert rows["reconstruction"] == states[-1].terms["reconstruction"]
    assert rows["learning rate"] == states[-1].learning_rates
    assert rows["active channels"] == states[-1].active
    assert len(states[-1].active) == 3
    assert len(course.thumbnails.images) == len(states[-1].thumbnails)

    embedding = embed(scan, widget.model, device="cpu")
    names = [layer.name for layer in channels(shown)]
    assert names == [f"wedge embedding channel {number}" for number in embedding.active]
    for layer, number in zip(channels(shown), embedding.active, strict=True):
        np.testing.assert_allclose(layer.data, embedding.channels[number], atol=1e-6)
    assert [layer.visible for layer in channels(shown)] == [True] + [False] * (len(names) - 1)
    # Hidden ones that come later do not take the selection away.
    assert len(names) > 1
    assert set(shown.layers.selection) == {channels(shown)[0]}
    assert (
        shown.window._qt_viewer.controls.currentWidget()
        is (shown.window._qt_viewer.controls.widgets[channels(shown)[0]])
    )
    (note,) = channels(shown)[0].metadata["ferro4d"]["provenance"]
    said = note["parameters"]
    assert (said["preset"], said["epochs"], said["seed"]) == ("compact", 3, 7)
    assert said["divergence"] == "text"
    assert said["loss"] == pytest.approx(course.losses.losses[-1])
    assert said["network"]["embedding"] == 4
    assert "history" not in said
    assert note["made"] == ["maps/embedding"]


def test_stop_and_keep_embeds_with_the_last_finished_epoch(
    shown, widget, qtbot, ended, tmp_path, scan
):
    for button in (widget.embed_button, widget.save_button):
        assert "Train a model first" in button.toolTip()
    assert "Train a network first" in widget.form.start.native.toolTip()
    widget.form.epochs.value = 50_000
    widget.form.variational.value = True
    assert not widget.stop_button.isEnabled()
    widget.train_button.click()
    qtbot.waitUntil(widget.stop_button.isEnabled, timeout=120_000)
    widget.stop_button.click()
    ended(widget)
    assert "active" in widget.row.text
    model, before = widget.model, channels(shown)
    assert model.header["network"]["variational"]
    assert "KL" in [curve.name for curve in widget.course.rows.curves]
    epochs = len(model.header["history"]["losses"])
    assert 1 <= epochs <= len(widget.course.losses.losses) + 1
    parameters = dict(build_autoencoder(model.header).named_parameters())
    assert not [name for name in model.weights if name.startswith(("optimizer.", "best."))]
    count = sum(one.numel() for one in parameters.values())
    assert f"{count:,} parameters" in widget._about.text()
    assert before
    assert not widget.stop_button.isEnabled()

    # The model lives on in a file; with another, earlier channels do not stay.
    path = save_or_say(model, tmp_path / "ae.safetensors")
    again = load_or_say(path, "autoencoder")
    widget.set_model(again, path.name)
    widget.embed_button.click()
    ended(widget)
    assert [layer.name for layer in channels(shown)] == [layer.name for layer in before]
    assert channels(shown)[0] is before[0]
    whole = embed(scan, again, device="cpu")
    for active, names in ((whole.active[-1:], [before[-1].name]), ((), [before[-1].name])):
        result = Embedding(whole.channels, active)
        widget._start(lambda report, r=result: (r, again), scan, path.name, "cpu", "Embedding")
        ended(widget)
        assert [layer.name for layer in channels(shown)] == names
    assert "No channel is active" in widget.row.text


def test_a_stop_before_the_first_epoch_is_written_waits_for_it(scan):
    stop, models = threading.Event(), []
    stop.set()

    def report(progress) -> None:
        if isinstance(progress.partial, Model):
            models.append(progress.partial)

    options = TrainingOptions(embedding=4, epochs=50_000, device="cpu")
    found, model = train_and_embed(scan, options, stop, report)
    assert len(found.channels) == 4
    assert models == [model]
    assert 1 <= len(model.header["history"]["losses"]) < 1000


def test_cancel_keeps_nothing_and_a_crash_keeps_the_last_epoch(shown, widget, qtbot, ended, notes):
    widget.form.epochs.value = 50_000
    widget.train_button.click()
    qtbot.waitUntil(lambda: bool(trainers()), timeout=30_000)
    widget.row._cancel.click()
    ended(widget)
    assert widget.model is None
    assert not channels(shown)
    assert widget.train_button.isEnabled()
    qtbot.waitUntil(lambda: not trainers(), timeout=60_000)

    widget.train_button.click()
    # The first epoch is in the checkpoint once the second is over.
    qtbot.waitUntil(lambda: len(widget.course.losses.losses) > 1, timeout=120_000)
    (trainer,) = trainers()
    os.kill(trainer.pid, signal.SIGKILL)
    ended(widget)
    (note,) = notes
    assert "SIGKILL" in note
    assert "is kept" in note
    epochs = len(widget.model.header["history"]["losses"])
    assert epochs >= len(widget.course.losses.losses) - 1
    assert f"after epoch {epochs} " in note
    assert widget.embed_button.isEnabled()
    assert not channels(shown)
    assert not trainers()


def test_what_the_trainer_cannot_do_is_one_notification(shown, widget, ended, notes, tmp_path):
    np.save(tmp_path / "negative.npy", np.full((3, 4, 24, 24), -1, np.int16))
    add_layers(
        shown, opened_layers(open_scan(tmp_path / "negative.npy", scan_step=1.0, k_step=0.1))
    )
    widget.scans.choose(shown.layers["negative"])
    widget.train_button.click()
    ended(widget)
    (note,) = notes
    assert "negative.npy: some counts are negative" in note
    assert "Training failed" in widget.row.text
    assert widget.model is None


# --- what to train


@pytest.fixture
def fields(qtbot):
    form = NetworkForm(ComboBox(choices=["a scan"]))
    qtbot.addWidget(form)
    return form


def test_the_form_gives_the_arguments_of_train(fields):
    fields.device.choose("cpu")
    assert fields.options() == {
        "preset": "compact",
        "embedding": 32,
        "schedule": None,
        "divergence": "code",
        "epochs": None,
        "device": "cpu",
        "seed": 0,
        "variational": False,
    }
    assert fields.fold.button.text() == "Training, cpu"
    fields.choose_schedule("paper-walls")
    fields.epochs.value = 9
    assert fields.fold.button.text() == "Training, paper-walls, 9 epochs, cpu"
    assert (fields.options()["schedule"], fields.options()["epochs"]) == ("paper-walls", 9)
    fields.choose_schedule("auto")
    assert not fields.epochs.native.isEnabled()
    assert "epochs" not in fields.options()


def test_seed_reading_of_the_divergence_and_beta_vae_are_given_where_they_matter(fields):
    fields.seed.value = 3
    fields.divergence.value = "text"
    fields.variational.value = True
    options = fields.options()
    assert [options[name] for name in ("seed", "divergence", "variational")] == [3, "text", True]
    assert fields.fold.button.text() == "Training, beta-VAE, divergence of the text, seed 3"
    kept = fields.parameters()
    # A linear baseline takes only the seed, the schedule auto is for sparse networks only.
    fields.preset.value = "ica"
    assert fields.options() == {"preset": "ica", "embedding": 32, "device": "auto", "seed": 3}
    assert "linear baseline" in fields.variational.native.toolTip()
    fields.preset.value = "compact"
    fields.choose_schedule("auto")
    assert "variational" not in fields.options()
    assert not fields.variational.value
    assert "auto" in fields.variational.native.toolTip()
    fields.schedule.value = None
    fields.divergence.value = "code"
    fields.set_parameters(kept)
    assert fields.options() == options


def test_every_preset_can_be_chosen_and_linear_ones_have_no_schedule(fields):
    listed = list(fields.preset.choices)
    assert listed[0] == "compact"
    assert sorted(listed) == sorted([*PRESETS, *LINEAR])
    fields.choose_schedule("paper-ds1")
    fields.epochs.value = 3
    for name in LINEAR:
        fields.preset.value = name
        assert not fields.options().keys() & {"schedule", "epochs", "divergence", "variational"}
        assert name in fields.preset.native.toolTip()


def test_a_schedule_comes_from_a_file(fields, tmp_path, notes):
    file = tmp_path / "own.toml"
    file.write_text("[[phase]]\nepochs = 3\nlearning_rate = 1e-3\n")
    broken = tmp_path / "broken.toml"
    broken.write_text("[[phase]]\nepochs = 3\nlearning_rte = 1e-3\n")
    assert fields.choose_schedule(str(file))
    assert fields.schedule.current_choice == "own.toml (3 epochs)"
    assert not fields.choose_schedule(str(broken))
    (note,) = notes
    assert "learning_rte" in note
    assert fields.options()["schedule"] == str(file)
    # Remembered for next time, while the file is there.
    kept = fields.parameters()
    fields.choose_schedule("auto")
    fields.set_parameters(kept)
    assert fields.options()["schedule"] == str(file)
    fields.schedule.value = None
    file.unlink()
    fields.set_parameters(kept)
    assert fields.options()["schedule"] is None


def test_training_goes_on_from_a_model(fields):
    header = {"preset": "paper", "network": {"embedding": 8, "size": 256}}
    model = Model("autoencoder", header, {})
    assert not fields.start.native.isEnabled()
    fields.set_model(model)
    fields.start.value = True
    assert not fields.preset.native.isEnabled()
    assert (fields.preset.value, fields.embedding.value) == ("paper", 8)
    options = fields.options()
    assert options["start"] is model
    assert not options.keys() & {"preset", "embedding", "variational"}
    assert not fields.variational.value
    network = {**header["network"], "variational": True}
    fields.set_model(Model("autoencoder", {**header, "network": network}, {}))
    assert fields.variational.value
    assert "variational" not in fields.options()
    fields.set_model(Model("autoencoder", {"preset": "unknown"}, {}))
    assert not fields.start.value
