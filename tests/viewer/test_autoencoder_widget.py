"""Train on a scan in another process, watch, stop, embed, keep the model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest
from qtpy.QtCore import QTimer

from napari_ferro4d.io import Model, open_scan
from napari_ferro4d.learn import LINEAR, PRESETS, Embedding, TrainingState, embed
from napari_ferro4d.learn.networks import build_autoencoder
from napari_ferro4d.viewer import _model_file
from napari_ferro4d.viewer._autoencoder import _train_and_embed
from napari_ferro4d.viewer._layers import add_layers
from napari_ferro4d.viewer._network_form import NetworkForm
from napari_ferro4d.viewer._reader import opened_layers

BLOCKED_S = 0.1
"""How long the window may not answer while a training runs."""


@pytest.fixture
def widget(dock):
    widget = dock("Autoencoder")
    widget.form.device.choose("cpu")
    widget.form.embedding.setValue(4)
    widget.form.epochs.setValue(3)
    return widget


@pytest.fixture
def ended(qtbot):
    """Wait until all that was asked of a widget is done."""

    def wait(widget, seconds=120):
        def over():
            return not widget.row.busy and not widget.session._steps

        qtbot.waitUntil(over, timeout=1000 * seconds)

    return wait


def channels(viewer):
    return [layer for layer in viewer.layers if "embedding" in layer.name]


def trainers():

    def ours(one):
        try:
            return any("_trainer" in word for word in one.cmdline())
        except psutil.Error:  # it has just ended
            return False

    return [one for one in psutil.Process().children() if ours(one)]


class Stopwatch:
    """Measures how long the event loop does not come round, and how busy the process is then."""

    def __init__(self, interval_ms=10):
        self.gaps = []
        self._last = None
        self._timer = QTimer(interval=interval_ms)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def _tick(self):
        now = time.monotonic(), time.process_time()
        if self._last is not None:
            self.gaps.append((now[0] - self._last[0], now[1] - self._last[1]))
        self._last = now

    def take(self):
        """Return the longest gap, and the longest that the process itself was busy in one."""
        gaps, self.gaps = self.gaps, []
        return len(gaps), max(gap for gap, _ in gaps), max(min(gap) for gap in gaps)


@pytest.fixture
def bystander():
    """Return how long a process that does nothing had to wait for a processor, as we might."""
    code = """
import sys, time
longest, last = 0.0, time.monotonic()
sys.stdin.close()
while True:
    time.sleep(0.01)
    now = time.monotonic()
    longest, last = max(longest, now - last), now
    print(longest, flush=True)
"""
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )

    def longest():
        process.terminate()
        said, _ = process.communicate()
        return float(said.split()[-1])

    yield longest
    process.kill()
    process.communicate()


def test_training_is_watched_while_the_window_answers(
    shown, scan, widget, ended, qtbot, bystander, notes
):
    course, seen, watch = widget.course, [], Stopwatch()
    widget.row.progressed.connect(seen.append)
    widget.train_button.click()
    qtbot.waitUntil(lambda: "trained" in [one.message for one in seen], timeout=120_000)
    _, gap, busy = watch.take()
    waited = bystander()
    print(f"longest gap {1000 * gap:.0f} ms, busy {1000 * busy:.0f} ms of it; an idle process")
    print(f"waited {1000 * waited:.0f} ms")
    assert busy < BLOCKED_S
    # What is not busy waits, for something or for a processor that other programs have.
    assert gap < BLOCKED_S or waited > BLOCKED_S / 2
    ended(widget)
    assert not notes
    assert not trainers()

    states = [one.partial for one in seen if isinstance(one.partial, TrainingState)]
    assert any("starting the trainer" in one.message for one in seen)
    assert course.losses.losses == states[-1].losses
    assert len(course.losses.losses) == 3
    rows = {curve.name: curve.values for curve in course.rows.curves}
    assert rows["reconstruction"] == states[-1].terms["reconstruction"]
    assert rows["learning rate"] == states[-1].learning_rates
    assert rows["active channels"] == states[-1].active
    assert len(course.thumbnails.images) == len(states[-1].thumbnails)

    embedding = embed(scan, widget.model, device="cpu")
    names = [layer.name for layer in channels(shown)]
    assert names == [f"wedge embedding channel {number}" for number in embedding.active]
    for layer, number in zip(channels(shown), embedding.active, strict=True):
        np.testing.assert_allclose(layer.data, embedding.channels[number], atol=1e-6)
    assert [layer.visible for layer in channels(shown)] == [True] + [False] * (len(names) - 1)
    assert shown.layers.selection.active is channels(shown)[0]
    (note,) = channels(shown)[0].metadata["ferro4d"]["provenance"]
    said = note["parameters"]
    assert (said["preset"], said["epochs"], said["seed"]) == ("compact", 3, 0)
    assert said["loss"] == pytest.approx(course.losses.losses[-1])
    assert said["network"]["embedding"] == 4
    assert "history" not in said
    assert note["made"] == ["maps/embedding"]


def test_stop_and_keep_embeds_with_the_last_finished_epoch(
    shown, widget, qtbot, ended, tmp_path, scan
):
    widget.form.epochs.setValue(50_000)
    assert not widget.stop_button.isEnabled()
    widget.train_button.click()
    qtbot.waitUntil(widget.stop_button.isEnabled, timeout=120_000)
    widget.stop_button.click()
    ended(widget)
    assert "active" in widget.row.text
    model, before = widget.model, channels(shown)
    epochs = len(model.header["history"]["losses"])
    assert 1 <= epochs <= len(widget.course.losses.losses) + 1
    parameters = dict(build_autoencoder(model.header).named_parameters())
    assert not [name for name in model.weights if name.startswith(("optimizer.", "best."))]
    count = sum(one.numel() for one in parameters.values())
    assert f"{count:,} parameters" in widget._about.text()
    assert before
    assert not widget.stop_button.isEnabled()

    # The model lives on in a file; with another, earlier channels do not stay.
    path = _model_file.save(model, tmp_path / "ae.safetensors")
    again = _model_file.load(path, "autoencoder")
    widget._start(
        lambda report: embed(scan, again, device="cpu"), scan, path.name, "cpu", "Embedding"
    )
    ended(widget)
    assert [layer.name for layer in channels(shown)] == [layer.name for layer in before]
    assert channels(shown)[0] is before[0]
    whole = embed(scan, again, device="cpu")
    for active, names in ((whole.active[-1:], [before[-1].name]), ((), [before[-1].name])):
        result = Embedding(whole.channels, active)
        widget._start(lambda report, r=result: r, scan, path.name, "cpu", "Embedding")
        ended(widget)
        assert [layer.name for layer in channels(shown)] == names
    assert "No channel is active" in widget.row.text


def test_a_stop_before_the_first_epoch_is_written_waits_for_it(scan):
    stop, models = threading.Event(), []
    stop.set()

    def report(progress) -> None:
        if isinstance(progress.partial, Model):
            models.append(progress.partial)

    options = {"embedding": 4, "epochs": 50_000, "device": "cpu"}
    found = _train_and_embed(scan, options, stop, report)
    assert len(found.channels) == 4
    (model,) = models
    assert 1 <= len(model.header["history"]["losses"]) < 1000


def test_cancel_keeps_nothing_and_a_crash_keeps_the_last_epoch(shown, widget, qtbot, ended, notes):
    widget.form.epochs.setValue(50_000)
    widget.train_button.click()
    qtbot.waitUntil(lambda: bool(trainers()), timeout=30_000)
    asked = time.monotonic()
    widget.row._cancel.click()
    ended(widget)
    assert time.monotonic() - asked < 60
    assert widget.model is None
    assert not channels(shown)
    assert widget.train_button.isEnabled()
    qtbot.waitUntil(lambda: not trainers(), timeout=3000)

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
    header = {"preset": "compact", "preprocess": {"detector": [16, 16], "binning": 1, "size": 16}}
    header["network"] = {"embedding": 4, "size": 16}
    parameters = build_autoencoder(header).state_dict()
    weights = {name: one.numpy() for name, one in parameters.items()}
    widget.set_model(Model("autoencoder", header, weights), "small")
    widget.embed_button.click()
    ended(widget)
    assert len(notes) == 2
    assert "24 x 24" in notes[1]
    assert not channels(shown)


def test_without_a_model_the_buttons_say_what_to_do(widget):
    assert "Train a model first" in widget.embed_button.toolTip()
    assert "Train a model first" in widget.save_button.toolTip()
    assert "Train a network first" in widget.form.start.toolTip()


# --- what to train


@pytest.fixture
def fields(qtbot):
    from qtpy.QtWidgets import QComboBox

    form = NetworkForm(QComboBox())
    qtbot.addWidget(form)
    return form


def test_the_form_gives_the_arguments_of_train(fields):
    fields.device.choose("cpu")
    assert fields.options() == {
        "preset": "compact",
        "embedding": 32,
        "schedule": None,
        "epochs": None,
        "device": "cpu",
    }
    assert fields.fold.button.text() == "Training, cpu"
    fields.choose_schedule("paper-walls")
    fields.epochs.setValue(9)
    assert fields.fold.button.text() == "Training, paper-walls, 9 epochs, cpu"
    assert (fields.options()["schedule"], fields.options()["epochs"]) == ("paper-walls", 9)
    fields.choose_schedule("auto")
    assert not fields.epochs.isEnabled()
    assert "epochs" not in fields.options()


def test_every_preset_can_be_chosen_and_linear_ones_have_no_schedule(fields):
    listed = [fields.preset.itemText(index) for index in range(fields.preset.count())]
    assert listed[0] == "compact"
    assert sorted(listed) == sorted([*PRESETS, *LINEAR])
    fields.choose_schedule("paper-ds1")
    fields.epochs.setValue(3)
    for name in LINEAR:
        fields.preset.setCurrentText(name)
        assert fields.options() == {"preset": name, "embedding": 32, "device": "auto"}
        assert name in fields.preset.toolTip()


def test_a_schedule_comes_from_a_file(fields, tmp_path, notes):
    file = tmp_path / "own.toml"
    file.write_text("[[phase]]\nepochs = 3\nlearning_rate = 1e-3\n")
    broken = tmp_path / "broken.toml"
    broken.write_text("[[phase]]\nepochs = 3\nlearning_rte = 1e-3\n")
    assert fields.choose_schedule(str(file))
    assert fields.schedule.currentText() == "own.toml (3 epochs)"
    assert not fields.choose_schedule(str(broken))
    (note,) = notes
    assert "learning_rte" in note
    assert fields.options()["schedule"] == str(file)
    # Remembered for next time, while the file is there.
    kept = fields.parameters()
    fields.choose_schedule("auto")
    fields.set_parameters(kept)
    assert fields.options()["schedule"] == str(file)
    fields.schedule.setCurrentIndex(0)
    file.unlink()
    fields.set_parameters(kept)
    assert fields.options()["schedule"] is None


def test_training_goes_on_from_a_model(fields):
    header = {"preset": "paper", "network": {"embedding": 8, "size": 256}}
    model = Model("autoencoder", header, {})
    assert not fields.start.isEnabled()
    fields.set_model(model)
    fields.start.setChecked(True)
    assert not fields.preset.isEnabled()
    assert (fields.preset.currentText(), fields.embedding.value()) == ("paper", 8)
    options = fields.options()
    assert options["start"] is model
    assert not options.keys() & {"preset", "embedding"}
    fields.set_model(Model("autoencoder", {"preset": "unknown"}, {}))
    assert not fields.start.isChecked()
