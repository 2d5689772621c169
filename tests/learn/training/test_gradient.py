"""The gradient of a batch: in portions that fit into memory, it is that of the whole."""

from __future__ import annotations

import pytest
import torch

from napari_ferro4d.learn import Phase
from napari_ferro4d.learn.compute import ALONE, Portion, fitting, smaller
from napari_ferro4d.learn.networks import Autoencoder, PaperAutoencoder, build_autoencoder
from napari_ferro4d.learn.training import Gradient

GIB = 2**30
CPU = torch.device("cpu")


def test_a_portion_is_what_fits_the_memory():
    paper = {"preset": "paper", "network": {"embedding": 32, "size": 256}}
    assert fitting(paper, 80 * GIB, cpu=False) == Portion(32)
    assert fitting(paper, 12 * GIB, cpu=False) == Portion(8)
    assert fitting(paper, GIB, cpu=False) == Portion(1, recompute=True)
    assert fitting(paper, 80 * GIB, cpu=True) == Portion(1)
    small = {"preset": "paper", "network": {"size": 64, "filters": 32}}
    assert fitting(small, GIB, cpu=False).patterns == 32
    compact = {"preset": "compact", "network": {"size": 64}}
    assert fitting(compact, 20 * GIB, cpu=True) == Portion(64)


def test_a_portion_is_halved_down_to_one_pattern_computed_twice():
    tried = [Portion(32)]
    while (less := smaller(tried[-1], "paper")) is not None:
        tried.append(less)
    assert [p.patterns for p in tried] == [32, 16, 8, 4, 2, 1, 1]
    assert tried[-1].recompute
    assert smaller(Portion(1), "compact") is None


def gradient_of(
    portion: Portion, phase: Phase, header: dict, network: Autoencoder | None = None
) -> tuple[list[float], torch.Tensor]:
    torch.manual_seed(0)
    built = build_autoencoder(header)
    network = built if network is None else network
    network.load_state_dict(built.state_dict())
    x = torch.rand(6, 1, 16, 16)
    terms = Gradient(network, header, portion, ALONE, CPU, torch.float32).add(x, phase, 6, None)
    return terms.tolist(), torch.cat([p.grad.flatten() for p in network.parameters()])


@pytest.mark.parametrize("weight", [0.0, 0.3])
@pytest.mark.parametrize("reading", ["code", "text"])
def test_a_batch_in_portions_has_the_gradient_of_the_whole(weight, reading):
    network = {"embedding": 4, "size": 16, "filters": 3, "pooling": [2, 2]}
    header = {"preset": "paper", "network": network, "divergence": reading}
    phase = Phase(1, 1e-3, l1=0.1, similarity=weight, divergence=0.05)
    whole, expected = gradient_of(Portion(6), phase, header)
    assert expected.abs().max() > 0
    for portion in (Portion(4), Portion(1, recompute=True)):
        terms, gradient = gradient_of(portion, phase, header)
        assert terms == pytest.approx(whole, rel=1e-5)
        torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-5)
    # To compute insides twice changes no bit.
    assert torch.equal(
        gradient_of(Portion(6, recompute=True), phase, header)[1],
        gradient_of(Portion(6), phase, header)[1],
    )


class ShortOfMemory(PaperAutoencoder):
    """Has no memory for the first batch."""

    def __init__(self, **sizes) -> None:
        super().__init__(**sizes)
        self.calls = []

    def latent(self, x, noise=None):
        self.calls.append((len(x), torch.is_grad_enabled()))
        if len(self.calls) == 1:
            raise MemoryError
        return super().latent(x, noise)


def test_a_batch_that_has_to_be_parted_halfway_keeps_the_similarity_of_the_whole():
    sizes = {"embedding": 4, "size": 16, "filters": 3, "pooling": [2, 2]}
    header = {"preset": "paper", "network": sizes, "divergence": "code"}
    phase = Phase(1, 1e-3, l1=0.1, similarity=0.3)
    whole, expected = gradient_of(Portion(6), phase, header)
    network = ShortOfMemory(**sizes)
    terms, found = gradient_of(Portion(6), phase, header, network)
    # After the first attempt, the similarity's pass without a gradient, and the two parts.
    assert network.calls == [(6, True), (3, False), (3, False), (3, True), (3, True)]
    assert terms == pytest.approx(whole, rel=1e-5)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
