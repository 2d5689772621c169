"""The beta-VAE: how it samples, starts and learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_ferro4d import Scan, embed, train
from napari_ferro4d.learn import Phase, traverse
from napari_ferro4d.learn.networks import (
    CompactAutoencoder,
    build_autoencoder,
    kullback_leibler,
)
from napari_ferro4d.learn.training import objective

HEAVY = Phase(1, 1e-3, l1=0.2, similarity=0.3, divergence=0.05, beta=0.4)


def variational(preset, size=16, embedding=4):
    torch.manual_seed(2)
    network = {"embedding": embedding, "size": size, "variational": True}
    if preset == "paper":
        network |= {"filters": 3, "pooling": [2, 2]}
    return build_autoencoder({"preset": preset, "network": network})


@pytest.mark.parametrize("preset", ["paper", "compact"])
def test_a_beta_vae_samples_in_training_alone(preset):
    network, x = variational(preset), torch.rand(6, 1, 16, 16)
    with torch.no_grad():
        mean = network.encode(x)
        network.train()
        torch.testing.assert_close(network.encode(x), mean)
        samples = network.latent(x.repeat(400, 1, 1, 1))[0].view(400, 6, 4)
        hidden = network.base.encode(x)
        deviation = torch.exp(0.5 * network.log_variance(hidden))
        assert ((samples.mean(0) - mean).abs() < 5 * deviation / 20).all()
        torch.testing.assert_close(samples.std(0), deviation, rtol=0.2, atol=0)
        network.eval()
        assert torch.equal(network.latent(x)[0], network.latent(x)[0])


def test_the_samples_of_a_beta_vae_are_those_of_the_seed():
    network, x = variational("compact"), torch.rand(3, 1, 16, 16)
    found = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        noise = network.noise(3)
        torch.manual_seed(seed)
        drawn = objective(network, x, HEAVY).total
        assert torch.equal(objective(network, x, HEAVY, noise=noise).total, drawn)
        found.append(float(drawn.detach()))
    assert found[0] == found[1] != found[2]


def test_a_beta_vae_starts_as_the_network_it_wraps():
    network, x = variational("compact", embedding=8), torch.rand(40, 1, 16, 16)
    alone = CompactAutoencoder(8, 16)
    for one in (network, alone):
        torch.manual_seed(3)
        one.start(x)
    assert torch.equal(network.scale, alone.scale)
    with torch.no_grad():
        torch.testing.assert_close(network.encode(x), alone.encode(x), rtol=1e-3, atol=1e-4)


def test_the_kl_term_is_zero_for_the_standard_normal_distribution_alone():
    zero = torch.zeros(3, 2)
    assert float(kullback_leibler(zero, zero)) == 0
    # Known: (mean^2 + variance - 1 - log variance) / 2.
    found = float(kullback_leibler(zero + 2.0, zero + np.log(3.0)))
    assert found == pytest.approx((4 + 3 - 1 - np.log(3.0)) / 2)


@pytest.fixture(scope="module")
def scan():
    ky, kx = np.indices((32, 32)) - 16
    mean = 40 * np.exp(-(ky**2 + kx**2) / 8)
    left, right = (mean + 20 * np.exp(-((ky - s) ** 2 + kx**2) / 6) for s in (9, -9))
    means = np.where((np.arange(12) < 6)[None, :, None, None], left, right)
    counts = np.random.default_rng(0).poisson(np.broadcast_to(means, (10, 12, 32, 32)))
    return Scan.from_array(counts.astype(np.uint16))


def test_a_beta_vae_learns_and_maps_the_domains(scan):
    phases = [Phase(4, 1e-3, beta=0.01), Phase(4, 1e-3, beta=0.05)]
    models = [
        train(scan, embedding=4, schedule=phases, variational=True, device="cpu") for _ in range(2)
    ]
    for name, values in models[0].weights.items():
        np.testing.assert_array_equal(values, models[1].weights[name])
    kl = models[0].header["history"]["terms"]["kl"]
    assert kl[-1] < kl[0]
    channels = embed(scan, models[0], device="cpu").channels
    sides = channels[:, :, :6].mean((1, 2)), channels[:, :, 6:].mean((1, 2))
    apart = (sides[0] - sides[1]) / channels[:, :, :6].std((1, 2))
    channel = int(np.abs(apart).argmax())
    assert abs(apart[channel]) > 2
    # The decoder knows it too: what it makes of the mean embeddings differs as the domains do.
    (left,), (right,) = (traverse(models[0], channel, [one[channel]], at=one) for one in sides)
    counts = scan.data.compute().astype(float)
    wanted = np.log1p(counts[:, :6]).mean((0, 1)) - np.log1p(counts[:, 6:]).mean((0, 1))
    found = np.log1p(left) - np.log1p(right)
    wanted = wanted.reshape(found.shape[0], -1, found.shape[1], wanted.shape[1] // found.shape[1])
    assert np.corrcoef(found.ravel(), wanted.mean((1, 3)).ravel())[0, 1] > 0.8
