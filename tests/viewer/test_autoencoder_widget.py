"""Train on a scan, watch, stop, embed, keep the model."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ferro4d.learn import embed, train
from napari_ferro4d.learn.networks import build_autoencoder
from napari_ferro4d.viewer import _model_file
from napari_ferro4d.viewer._plot import LossPlot


@pytest.fixture
def widget(dock):
    widget = dock("Autoencoder")
    widget._device.choose("cpu")
    widget._embedding.setValue(4)
    widget._epochs.setValue(2)
    return widget


@pytest.fixture
def trained(widget, qtbot):
    widget.train_button.click()
    # Training is followed by embedding, in a job of its own.
    qtbot.waitUntil(lambda: "active" in widget.row.text and not widget.row.busy, timeout=120_000)
    return widget


def channels(viewer):
    return [layer for layer in viewer.layers if "embedding" in layer.name]


def test_training_shows_its_loss_and_adds_the_active_channels(shown, scan, trained):
    assert len(trained.plot.losses) == 2
    embedding = embed(scan, trained.model, device="cpu")
    names = [layer.name for layer in channels(shown)]
    assert names == [f"wedge embedding channel {number}" for number in embedding.active]
    for layer, number in zip(channels(shown), embedding.active, strict=True):
        assert layer.data.shape == scan.scan_shape
        np.testing.assert_allclose(layer.data, embedding.channels[number], atol=1e-6)
    assert [layer.visible for layer in channels(shown)] == [True] + [False] * (len(names) - 1)
    (note,) = channels(shown)[0].metadata["ferro4d"]["provenance"]
    said = note["parameters"]
    assert (said["preset"], said["epochs"], said["seed"]) == ("compact", 2, 0)
    assert said["loss"] == pytest.approx(trained.plot.losses[-1])
    assert said["network"]["embedding"] == 4
    assert "history" not in said
    assert note["made"] == ["maps/embedding"]


def test_a_model_is_saved_and_loaded_for_another_scan(shown, trained, tmp_path, qtbot, scan):
    path = _model_file.save(trained.model, tmp_path / "ae.safetensors")
    before = [layer.data.copy() for layer in channels(shown)]
    trained.set_model(_model_file.load(path, "autoencoder"), path.name)
    trained.embed_button.click()
    qtbot.waitUntil(lambda: not trained.row.busy, timeout=60_000)
    for layer, data in zip(channels(shown), before, strict=True):
        np.testing.assert_allclose(layer.data, data, atol=1e-6)


def test_channels_of_an_earlier_embedding_do_not_stay(shown, trained, qtbot):
    trained._embedding.setValue(1)
    trained.train_button.click()
    qtbot.waitUntil(
        lambda: not trained.row.busy and "of 1 channels" in trained.row.text, timeout=120_000
    )
    assert len(channels(shown)) == 1


def test_stop_and_keep_embeds_with_the_last_finished_epoch(shown, scan, widget, qtbot):
    widget._epochs.setValue(5000)
    assert not widget.stop_button.isEnabled()
    widget.train_button.click()
    qtbot.waitUntil(widget.stop_button.isEnabled, timeout=60_000)
    widget.stop_button.click()
    qtbot.waitUntil(lambda: "active" in widget.row.text and not widget.row.busy, timeout=60_000)
    assert widget.model is not None
    assert channels(shown)
    whole = train(scan, embedding=4, epochs=1, device="cpu")
    assert set(widget.model.weights) == set(whole.weights)
    count = sum(one.numel() for one in build_autoencoder(whole.header).parameters())
    assert f"{count:,} parameters" in widget._about.text()


def test_cancel_keeps_nothing_and_the_widget_goes_on(shown, widget, qtbot):
    widget._epochs.setValue(5000)
    widget.train_button.click()
    qtbot.waitUntil(lambda: bool(widget.plot.losses), timeout=60_000)
    widget.row._cancel.click()
    qtbot.waitUntil(lambda: not widget.row.busy, timeout=1000)
    assert widget.model is None
    assert not channels(shown)
    assert widget.train_button.isEnabled()


def test_a_model_for_another_detector_is_one_notification(shown, trained, tmp_path, finish, notes):
    from napari_ferro4d.io import open_scan
    from napari_ferro4d.viewer._layers import add_layers
    from napari_ferro4d.viewer._reader import opened_layers

    np.save(tmp_path / "larger.npy", np.ones((3, 4, 24, 24), np.uint16))
    add_layers(shown, opened_layers(open_scan(tmp_path / "larger.npy", scan_step=1.0, k_step=0.1)))
    trained.scans.choose(shown.layers["larger"])
    trained.embed_button.click()
    finish(trained.row)
    assert len(notes) == 1
    assert "24 x 24" in notes[0]
    assert not [layer for layer in channels(shown) if layer.name.startswith("larger")]


def test_without_a_model_the_buttons_say_what_to_do(widget):
    assert "Train a model first" in widget.embed_button.toolTip()
    assert "Train a model first" in widget.save_button.toolTip()


def test_the_loss_plot_draws_any_number_of_losses(qtbot):
    plot = LossPlot()
    qtbot.addWidget(plot)
    plot.resize(260, 140)
    empty = plot.grab().toImage()
    for losses in ((1.0,), (5.0, 5.0), (900.0, 3.0, 0.5), (float("nan"), 2.0, 1.0)):
        plot.show_losses(losses)
        assert plot.grab().toImage() != empty
