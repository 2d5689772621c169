"""What a channel means to the decoder."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_ferro4d import ModelError, ScanError
from napari_ferro4d.learn import Model, traverse
from napari_ferro4d.learn.model_files import network_arrays
from napari_ferro4d.learn.networks import PaperAutoencoder


def paper(**more):
    torch.manual_seed(1)
    return PaperAutoencoder(4, size=16, filters=3, pooling=(2, 2), **more)


@pytest.fixture
def model():
    network = {"embedding": 4, "size": 16, "filters": 3, "pooling": [2, 2]}
    how = {"detector": [16, 16], "binning": 1, "size": 16}
    header = {"preset": "paper", "network": network, "preprocess": how}
    return Model("autoencoder", header, network_arrays(paper()))


def test_a_traversal_decodes_to_counts_along_one_channel(model):
    found = traverse(model, 1, [0.0, 0.5, 2.0])
    assert found.shape == (3, 16, 16)
    assert found.dtype == np.float32
    with torch.no_grad():
        for value, pattern in zip((0.0, 0.5, 2.0), found, strict=True):
            image = paper().decode(torch.tensor([[0.0, value, 0.0, 0.0]]))[0, 0]
            wanted = np.exp(image.numpy()) - 1
            np.testing.assert_allclose(pattern, wanted, rtol=1e-4, atol=1e-6)
        # What `at` says of the channel itself does not matter.
        (held,) = traverse(model, 1, np.array([0.5]), at=[0.0, 99.0, 0.25, 1.0])
        wanted = np.exp(paper().decode(torch.tensor([[0.0, 0.5, 0.25, 1.0]]))[0, 0].numpy()) - 1
        np.testing.assert_allclose(held, wanted, rtol=1e-4, atol=1e-6)
    assert np.abs(held - found[1]).max() > 1e-3


@pytest.mark.parametrize(
    ("channel", "values", "at", "words"),
    [
        (4, [1.0], None, "no channel 4.* 0 to 3"),
        (-1, [1.0], None, "no channel -1"),
        (0, [], None, "one or more numbers"),
        (0, [[1.0]], None, "one or more numbers"),
        (0, [np.nan], None, "finite"),
        (0, [1.0], [0.0, np.nan, 0.0, 0.0], "finite"),
        (0, [1.0], [0.0, 1.0], r"shape \(2,\).* 4 numbers"),
    ],
)
def test_what_cannot_be_decoded_is_explained(model, channel, values, at, words):
    with pytest.raises(ScanError, match=words):
        traverse(model, channel, values, at)


def test_only_an_autoencoder_is_traversed(model):
    with pytest.raises(ModelError, match="classifier"):
        traverse(Model("classifier", model.header, model.weights), 0, [1.0])
    lie = {**model.header, "network": {**model.header["network"], "embedding": 10**6}}
    with pytest.raises(ModelError, match="changed"):
        traverse(Model("autoencoder", lie, model.weights), 5000, [1.0])
