"""The networks: their sizes, and how they start."""

from __future__ import annotations

import pytest
import torch

from napari_ferro4d import ModelError
from napari_ferro4d.learn.networks import (
    CompactAutoencoder,
    PaperAutoencoder,
    PaperClassifier,
    principal_components,
)


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_the_papers_networks_have_the_papers_number_of_parameters():
    assert parameters(PaperAutoencoder(32)) == 4_700_770
    assert parameters(PaperClassifier(3)) == 2_120_963


def test_the_papers_classifier_is_the_published_one_though_it_pools_first():
    torch.manual_seed(0)
    network, x = PaperClassifier(3, 32), torch.randn(4, 1, 32, 32)
    layers = list(network.layers)
    for pool in (1, 4, 7):
        layers[pool : pool + 2] = reversed(layers[pool : pool + 2])
    published = torch.nn.Sequential(*layers)
    kinds = [type(layer).__name__ for layer in published]
    block = ["Conv2d", "ReLU", "MaxPool2d"]
    assert kinds == [*block * 3, "Flatten", "Linear", "ReLU", "Linear"]
    results = []
    for model in (network, published):
        model.zero_grad()
        out = model(x)
        torch.nn.functional.cross_entropy(out, torch.tensor([0, 1, 2, 0])).backward()
        results += [out.detach(), [p.grad.clone() for p in network.parameters()]]
    torch.testing.assert_close(results[0], results[2])
    torch.testing.assert_close(results[1], results[3])


def test_the_papers_autoencoder_maps_256_to_256_through_a_sparse_embedding():
    network = PaperAutoencoder(32, filters=2)
    with torch.inference_mode():
        z = network.encode(torch.rand(1, 1, 256, 256))
        assert z.shape == (1, 32)
        assert z.min() >= 0
        assert network.decode(z).shape == (1, 1, 256, 256)


@pytest.mark.parametrize("size", [16, 32, 48, 64])
def test_the_compact_network_starts_as_a_principal_component_analysis(size):
    torch.manual_seed(0)
    factors, patterns = torch.randn(40, 3), torch.randn(3, size * size)
    x = (factors @ patterns + 2.0).view(40, 1, size, size)
    network = CompactAutoencoder(8, size)
    network.start(x)
    with torch.inference_mode():
        z = network.encode(x)
        assert z.shape == (40, 8)
        assert z.min() >= 0
        # Three factors fit into four pairs of channels without loss.
        torch.testing.assert_close(network.decode(z), x, rtol=1e-3, atol=1e-2)


def test_principal_components_leave_out_what_does_not_vary():
    centred = torch.outer(torch.linspace(-1, 1, 9), torch.tensor([0.6, 0.8, 0.0]))
    axes, deviations = principal_components(centred, 3)
    assert axes.shape == (3, 1)
    assert axes[:, 0].abs().tolist() == pytest.approx([0.6, 0.8, 0.0], abs=1e-5)
    assert float(deviations[0]) == pytest.approx(float(centred.square().sum(1).mean().sqrt()))


def test_a_header_that_describes_no_network_is_a_model_error():
    from napari_ferro4d.learn.networks import build_autoencoder, build_classifier

    for build in (build_autoencoder, build_classifier):
        with pytest.raises(ModelError, match="train it again"):
            build({"preset": "huge", "network": {}})
    with pytest.raises(ModelError, match=r"'compact', .* train it again from its labels"):
        build_classifier({"preset": "compact", "network": {"classes": 3, "size": 64}})
