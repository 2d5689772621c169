"""What training minimises: its terms, their gradients, and the parts of a batch."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch

from napari_ferro4d.learn import Phase
from napari_ferro4d.learn.networks import PaperAutoencoder, VariationalAutoencoder, kullback_leibler
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


# Against plain loops over the batch, as the reference has them


def batch() -> torch.Tensor:
    embedding = torch.relu(torch.from_numpy(RNG.normal(size=(6, 5))))
    embedding[2] = 0.0
    return embedding


def test_activity_is_the_l1_norm_of_the_batch_over_its_length():
    z = batch()
    assert float(activity(z)) == pytest.approx(sum(abs(float(v)) for v in z.ravel()) / 6)


def test_similarity_skips_zero_vectors_but_divides_by_the_whole_batch():
    z = batch()
    rows = [row for row in z.numpy() if row.sum() != 0]
    total = sum(sum(a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in rows) - 1 for a in rows)
    assert float(similarity(z)) == pytest.approx(total / 12)


def test_divergence_is_over_non_zero_activations_only():
    z = batch()
    total = 0.0
    for row in z.numpy():
        on = row[row != 0]
        total += sum(abs(a - b) for a in on for b in on) / 2
    assert float(divergence(z)) == pytest.approx(total / 6)


@pytest.mark.parametrize("term", [activity, similarity, divergence])
def test_gradients_are_right_and_finite_for_dead_vectors(term):
    z = batch().clamp_min(0)
    z.requires_grad_()
    term(z).backward()
    assert torch.isfinite(z.grad).all()
    alive = (z.detach() + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(term, alive)
