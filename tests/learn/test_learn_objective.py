"""What training minimises, the beta-VAE, and what a channel means to the decoder."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch

from napari_ferro4d import ModelError, Scan, ScanError, embed, train
from napari_ferro4d.learn import Model, Phase, traverse
from napari_ferro4d.learn.model_files import network_arrays
from napari_ferro4d.learn.networks import (
    CompactAutoencoder,
    PaperAutoencoder,
    VariationalAutoencoder,
    build_autoencoder,
    kullback_leibler,
)
from napari_ferro4d.learn.training import (
    Terms,
    Whole,
    activity,
    divergence,
    objective,
    similarity,
    survey,
)

RNG = np.random.default_rng(0)


def embeddings(count):
    """Yield batches of few different numbers: zeros and equal activations are the rule."""
    rng = np.random.default_rng(1)
    for _ in range(count):
        shape = rng.integers(1, 6), rng.integers(1, 7)
        yield rng.choice([0.0, 0.0, 1.0, 1.5, 2.25, -0.75, 3.0], shape)


def pairwise(z, reading):
    """Return the divergence as the paper defines it, with d x d differences."""
    total = 0.0
    for row in z:
        on = row[row != 0] if reading == "code" else row
        total = total + (on[:, None] - on[None, :]).abs().sum() / 2
    return total / len(z)


@pytest.mark.parametrize("reading", ["code", "text"])
def test_sorting_gives_the_divergence_and_gradient_of_the_definition(reading):
    for values in embeddings(200):
        found, gradients = [], []
        for term in (divergence, pairwise):
            z = torch.tensor(values, requires_grad=True)
            found.append(term(z, reading))
            gradients.append(torch.autograd.grad(found[-1], z)[0])
        torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


def test_similarity_is_the_sum_of_cosines():
    for values in embeddings(200):
        rows = [row / np.linalg.norm(row) for row in values if row.sum() != 0]
        wanted = (sum(a @ b for a in rows for b in rows) - len(rows)) / (2 * len(values))
        assert float(similarity(torch.tensor(values))) == pytest.approx(wanted, abs=1e-12)


def test_the_divergence_keeps_its_precision_between_large_and_nearly_equal_activations():
    z = torch.tensor(1000 + RNG.random((8, 32)), dtype=torch.float32)
    wanted = float(pairwise(z.double(), "code"))
    assert float(divergence(z)) == pytest.approx(wanted, rel=1e-4)


def test_an_unknown_reading_is_refused():
    with pytest.raises(ValueError, match="'added'"):
        divergence(torch.ones(1, 2), "added")


TERMS = {
    "activity": activity,
    "similarity": similarity,
    "divergence, code": lambda z: divergence(z, "code"),
    "divergence, text": lambda z: divergence(z, "text"),
    "kl, mean": lambda z: kullback_leibler(z, torch.full_like(z, 0.3)),
    "kl, variance": lambda z: kullback_leibler(torch.full_like(z, 0.3), z),
}


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("signed", [False, True])
def test_the_gradient_of_each_term_is_right_numerically(name, signed):
    # At least 0.01 away from 0 and from each other, where these terms have kinks.
    values = RNG.permutation(np.linspace(0.1, 2.0, 28)).reshape(4, 7)
    signs = RNG.choice([-1, 1], values.shape) if signed else 1
    z = torch.tensor(values * signs, requires_grad=True)
    assert torch.autograd.gradcheck(TERMS[name], z)


def paper(**more):
    torch.manual_seed(1)
    return PaperAutoencoder(4, size=16, filters=3, pooling=(2, 2), **more)


HEAVY = Phase(1, 1e-3, l1=0.2, similarity=0.3, divergence=0.05, beta=0.4)


@pytest.mark.parametrize("reading", ["code", "text"])
@pytest.mark.parametrize("variational", [False, True])
def test_the_gradient_of_the_whole_objective_is_right_numerically(reading, variational):
    network = VariationalAutoencoder(paper(), 4) if variational else paper()
    network.double()
    noise = network.noise(3)
    x = torch.tensor(RNG.random((3, 1, 16, 16)))
    parameters = [p for p in network.parameters() if p.numel() < 100]
    terms = objective(network, x, HEAVY, reading, noise=noise)
    gradients = torch.autograd.grad(terms.total, parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        direction = torch.tensor(RNG.normal(size=parameter.shape))
        ends = []
        for step in (1e-6, -2e-6):
            parameter.data += step * direction
            with torch.no_grad():
                ends.append(float(objective(network, x, HEAVY, reading, noise=noise).total))
        parameter.data += 1e-6 * direction
        slope = (ends[0] - ends[1]) / 2e-6
        assert slope == pytest.approx(float((gradient * direction).sum()), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize(("reading", "sign"), [("code", -1), ("text", 1)])
def test_the_total_weighs_the_terms(reading, sign):
    network, x = paper(), torch.tensor(RNG.random((5, 1, 16, 16)), dtype=torch.float32)
    network.scale.fill_(0.5)
    with torch.no_grad():
        terms = objective(network, x, HEAVY, reading)
        z = network.encode(x)
        mse = (network.decode(z) - x).square().mean()
    assert float(terms.reconstruction) == pytest.approx(float(mse) / 0.25, rel=1e-5)
    assert float(terms.divergence) == pytest.approx(float(pairwise(z, reading)), rel=1e-5)
    assert float(terms.activity) == pytest.approx(float(activity(z)), rel=1e-5)
    assert float(terms.kl) == 0
    wanted = terms.reconstruction + 0.2 * terms.activity + 0.3 * terms.similarity
    wanted = wanted + sign * 0.05 * terms.divergence
    assert float(terms.total) == pytest.approx(float(wanted), rel=1e-5)


@pytest.mark.parametrize("variational", [False, True])
@pytest.mark.parametrize("cuts", [[1, 1, 1, 1, 1, 1, 1], [3, 4], [2, 5]])
def test_parts_of_a_batch_add_up_to_the_whole(variational, cuts):
    network = (VariationalAutoencoder(paper(), 4) if variational else paper()).double()
    x, noise = torch.tensor(RNG.random((7, 1, 16, 16))), network.noise(7)
    x[2] = -50.0  # a dark pattern, whose embedding may well be zero
    at_once = objective(network, x, HEAVY, noise=noise)
    at_once.total.backward()
    wanted = [p.grad for p in network.parameters()]
    network.zero_grad()
    whole = survey(network, x, HEAVY, 2, noise)
    parts, begin = [], 0
    for length in cuts:
        here = slice(begin, begin + length)
        drawn = None if noise is None else noise[here]
        parts.append(objective(network, x[here], HEAVY, noise=drawn, whole=whole))
        parts[-1].total.backward()
        begin += length
    for field in fields(Terms):
        total = sum(float(getattr(part, field.name).detach()) for part in parts)
        assert total == pytest.approx(float(getattr(at_once, field.name).detach()), rel=1e-9)
    for parameter, gradient in zip(network.parameters(), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-12)


def test_a_batch_is_surveyed_only_where_similarity_has_a_weight():
    whole = survey(paper(), torch.rand(5, 1, 16, 16), Phase(1, 1e-3, l1=1.0), 2)
    assert whole == Whole(5) or (whole.patterns, whole.direction) == (5, None)


# The beta-VAE


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


# Traversal


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
