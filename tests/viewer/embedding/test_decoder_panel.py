"""The panel "Decoder": patterns along a channel, decoded in a process of its own."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.trainers import trainers
from napari_ferro4d.learn import Embedding, Model, traverse
from napari_ferro4d.learn.model_files import digest
from napari_ferro4d.results import embedding_result
from napari_ferro4d.viewer.layers import Origin, add_layers, map_layers


@pytest.fixture
def model(scan):
    """An autoencoder that was never trained: what it decodes is all the same its own."""
    import torch

    from napari_ferro4d.learn.data import Preprocess
    from napari_ferro4d.learn.networks import build_autoencoder

    how = Preprocess(scan.detector_shape, 1, 16)
    header = {"preset": "compact", "network": {"embedding": 3, "size": 16}}
    header["preprocess"] = how.to_json()
    torch.manual_seed(0)
    network = build_autoencoder(header)
    weights = {name: value.numpy().copy() for name, value in network.state_dict().items()}
    return Model("autoencoder", header, weights)


def test_the_slider_decodes_in_a_process_that_ends_with_the_dock(
    shown, dock, embedded, model, channels, finish, qtbot, notes
):
    embedded.pick(1)
    panel = embedded.traverse
    embedded.tabs.setCurrentWidget(panel)
    assert "train or load one" in panel._about.text()
    autoencoder = dock("Autoencoder")
    autoencoder.set_model(model, "untrained")
    embedded.refresh()
    assert not trainers()  # nobody has to pay for it who does not decode
    panel.run.click()
    finish(embedded.row)
    (process,) = trainers()
    mean = channels.reshape(3, -1).mean(axis=1)
    ends = np.percentile(channels[1], (0.5, 99.5))
    for value, step in zip(ends, (0, panel.slider.maximum()), strict=True):
        panel.slider.setValue(step)
        expected = traverse(model, 1, [value], at=mean)[0]
        np.testing.assert_allclose(panel.pattern.picture.values, expected, rtol=1e-4, atol=1e-4)
        assert panel.value.text() == f"{value:.3g}"
    panel.change.setChecked(True)
    assert panel.pattern.picture.signed
    embedded.pick(0)
    assert panel.pattern.picture is None
    panel.run.click()
    finish(embedded.row)
    assert panel.pattern.picture is not None
    assert trainers() == [process]

    # A crash is one message, and the next channel is decoded all the same.
    process.kill()
    panel.run.click()
    finish(embedded.row)
    (note,) = notes
    assert note.startswith("the decoder was ended by signal SIGKILL")
    embedded.pick(1)
    panel.run.click()
    finish(embedded.row)
    assert panel.pattern.picture is not None
    (process,) = trainers()

    other = dict(model.header, network={"embedding": 8, "size": 16})
    autoencoder.set_model(type(model)("autoencoder", other, model.weights), "another")
    embedded.refresh()
    assert not panel.run.isEnabled()
    assert "8 channels, the embedding 3" in panel.run.toolTip()
    shown.window.remove_dock_widget(embedded)
    qtbot.waitUntil(lambda: not process.is_running(), timeout=60_000)
    assert len(notes) == 1


def test_closing_the_dock_cancels_what_is_decoded(shown, dock, embedded, model, qtbot, notes):
    embedded.pick(1)
    dock("Autoencoder").set_model(model, "untrained")
    embedded.refresh()
    embedded.traverse.run.click()
    qtbot.waitUntil(lambda: bool(trainers()), timeout=60_000)
    shown.window.remove_dock_widget(embedded)
    qtbot.waitUntil(lambda: not embedded.row.busy and not trainers(), timeout=60_000)
    assert not notes
    assert embedded.traverse.patterns is None


def test_what_is_decoded_of_another_embedding_is_not_shown(
    shown, dock, embedded, scan, model, channels, finish, qtbot, notes
):
    embedded.pick(1)
    dock("Autoencoder").set_model(model, "untrained")
    embedded.refresh()
    embedded.traverse.run.click()
    other = embedding_result(Embedding(2 * channels, (0, 1)), scan)
    add_layers(shown, map_layers(Origin.of(scan), other))
    qtbot.waitUntil(lambda: embedded.embedding.whole is other, timeout=60_000)
    assert embedded.row.busy
    assert embedded.channel == 1
    finish(embedded.row)
    assert embedded.traverse.patterns is None
    assert "meanwhile" in embedded.row.text
    assert not notes


@pytest.mark.parametrize("noted", [lambda d: {"weights": d}, lambda d: {"trained": {"weights": d}}])
def test_only_the_model_that_made_the_embedding_decodes_it(dock, embedded, model, noted):
    """Another one with as many channels would show patterns that have nothing to do with it."""
    embedded.pick(1)
    for layer in embedded.embedding.layers().values():
        entry = {"command": "embed", "parameters": noted(digest(model))}
        layer.metadata["ferro4d"]["provenance"] = [entry]
    autoencoder = dock("Autoencoder")
    weights = {name: value + 1 for name, value in model.weights.items() if name != "found"}
    other = Model("autoencoder", model.header, {**model.weights, **weights})
    for one, right in ((other, False), (model, True)):
        autoencoder.set_model(one, "untrained")
        embedded.refresh()
        assert embedded.traverse.run.isEnabled() == right
        assert ("another model" in embedded.traverse.run.toolTip()) != right
