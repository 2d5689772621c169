"""The network, the losses and a training step against the paper's own code."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.m3_reference import reference, small
from napari_ferro4d.learn import convert, load_model, save_model
from napari_ferro4d.learn.model_files import load_network
from napari_ferro4d.learn.networks import Autoencoder, build_autoencoder, kullback_leibler
from napari_ferro4d.learn.training import Phase, activity, divergence, objective, similarity

CPU = torch.device("cpu")
LEARNING_RATE = 3e-5


def theirs(kind="ConvAutoencoder", shape=None, embedding=5, seed=0):
    """Return the reference's autoencoder with weights of its own."""
    torch.manual_seed(seed)
    arguments = small() if shape is None else shape
    return getattr(reference(), kind)(
        embedding_size=embedding, device=CPU, learning_rate=LEARNING_RATE, **arguments
    )


def ours(model, folder) -> Autoencoder:
    """Return our network with the weights of the reference's, by way of a checkpoint file."""
    torch.save({"net": model.autoencoder.state_dict()}, folder / "reference.pkl")
    return built(convert(folder / "reference.pkl"))


def built(model) -> Autoencoder:
    network = build_autoencoder(model.header)
    load_network(network, model.weights)
    return network


def relative(found, wanted):
    return float((found - wanted).abs().max() / wanted.abs().max())


def test_the_papers_network_gives_the_references_numbers(tmp_path):
    # The beta-VAE holds the plain encoder, whose last layer is listened to: one pass tests both.
    model = theirs("VariationalAutoencoder", small(256, 128, (4, 4, 2)), embedding=32)
    network = ours(model, tmp_path)
    for parts in (network.base.parameters(), [*plain(model.encoder), *model.decoder.parameters()]):
        assert sum(p.numel() for p in parts) == 4_700_770
    heard = []
    model.encoder.relu_1.register_forward_hook(lambda *call: heard.append(call[2]))
    x = torch.log1p(torch.poisson(torch.full((1, 256, 256), 3.0)))
    with torch.inference_mode():
        _, mean, log_variance = model.encoder(x)
        embedding = network.base.encode(x[:, None])
        frozen = network.base.frozen_encode()(x[:, None])
        assert heard[0].max() > 0.1
        for found, wanted in (
            (embedding, heard[0]),
            (frozen, heard[0]),
            (network.mean(embedding), mean),
            (network.log_variance(embedding), log_variance),
        ):
            assert (found - wanted).abs().max() < 1e-5
        image = model.decoder(heard[0])
        assert (network.decode(heard[0])[:, 0] - image).norm() < 1e-5 * image.norm()


def plain(encoder):
    """Yield the parameters of a beta-VAE's encoder without its two heads."""
    return (p for name, p in encoder.named_parameters() if not name.startswith("set_"))


@pytest.mark.parametrize("kind", ["ConvAutoencoder", "VariationalAutoencoder"])
@pytest.mark.parametrize("pooling", [(2, 2), (4, 2), (2, 3, 2), (4,)])
@pytest.mark.parametrize(
    ("precision", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)]
)
def test_networks_of_other_sizes_agree_too(kind, pooling, precision, tolerance, tmp_path):
    model = theirs(kind, small(24, 4, pooling))
    network = ours(model, tmp_path).eval().to(precision)
    model.autoencoder.to(precision)
    x = torch.rand(3, 24, 24, dtype=precision)
    with torch.inference_mode():
        wanted = model.encoder(x)
        wanted = wanted if kind == "ConvAutoencoder" else wanted[1]
        assert wanted.abs().max() > 0.01
        assert relative(network.encode(x[:, None]), wanted) < tolerance
        assert relative(network.decode(wanted)[:, 0], model.decoder(wanted)) < tolerance


def embeddings():
    """Yield batches with zeros, a dead vector, equal activations, negative ones; a dead batch."""
    rng = np.random.default_rng(0)
    for n, d in ((1, 2), (4, 7), (32, 32)):
        z = np.maximum(rng.normal(size=(n, d)), 0)
        yield torch.tensor(z, dtype=torch.float32)
        z[0] = 0
        yield torch.tensor(z, dtype=torch.float32)
        yield torch.tensor(np.round(z * 2), dtype=torch.float32)
        yield torch.tensor(rng.normal(size=(n, d)), dtype=torch.float32)
    yield torch.zeros(3, 4)


def test_each_loss_term_and_its_gradient_are_the_references():
    code = reference()
    for batch in embeddings():
        pairs = [
            (activity, lambda z: torch.norm(z, 1) / len(z)),
            (similarity, code.ContrastiveLoss(1.0)),
            (divergence, code.DivergenceLoss(len(batch), 1.0)),
        ]
        for our, their in pairs:
            values, gradients = [], []
            for term in (our, their):
                z = batch.clone().requires_grad_()
                value = torch.as_tensor(term(z))
                if value.requires_grad:
                    value.backward()
                values.append(value.detach().float())
                gradients.append(torch.zeros_like(z) if z.grad is None else z.grad)
            torch.testing.assert_close(*values, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


def test_the_kl_term_is_the_references():
    # Its expression is a line of the training loop: run that, with nothing else in the loss.
    model = theirs("VariationalAutoencoder")
    x = torch.rand(4, 16, 16)
    model.optimizer.step = lambda: None  # the loss alone is wanted
    torch.manual_seed(3)
    without = model.loss_function([x], beta=0.0)
    torch.manual_seed(3)
    difference = model.loss_function([x], beta=1.0) - without
    with torch.no_grad():
        _, mean, log_variance = model.encoder(x)
    assert difference == pytest.approx(float(kullback_leibler(mean, log_variance)), rel=1e-3)
    assert difference > 1e-4


PHASES = [
    Phase(1, LEARNING_RATE),
    Phase(1, LEARNING_RATE, l1=5e-3, similarity=5e-5, divergence=2e-4),
    Phase(1, LEARNING_RATE, l1=0.3, similarity=0.2, divergence=0.1),
    Phase(1, LEARNING_RATE, l1=5e-3, beta=0.7),
]


@pytest.mark.parametrize("phase", PHASES)
def test_training_steps_are_the_references(phase, tmp_path):
    kind = "VariationalAutoencoder" if phase.beta else "ConvAutoencoder"
    model = theirs(kind)
    network = ours(model, tmp_path)
    optimizer = torch.optim.Adam(network.parameters(), lr=phase.learning_rate)
    weights = phase.l1, phase.similarity, phase.divergence
    for step in range(2):
        before = flat(network.parameters())
        x = torch.rand(6, 16, 16)
        torch.manual_seed(step)
        loss = model.loss_function([x], *weights, beta=phase.beta or None)
        torch.manual_seed(step)
        optimizer.zero_grad()
        terms = objective(network, x[:, None], phase)
        terms.total.backward()
        optimizer.step()
        if not phase.l1:
            loss -= 0.5  # the constant that the reference adds where this term is zero
        assert float(terms.total.detach()) == pytest.approx(loss, rel=1e-5)
        wanted, found = flat(ours(model, tmp_path).parameters()), flat(network.parameters())
        # Adam moves every number by about the learning rate, however small its gradient. Some have
        # none but rounding, such as a bias in front of a norm: their steps are not comparable.
        gradient = flat(p.grad for p in network.parameters()).abs()
        sure = gradient > 1e-5 * gradient.max()
        assert sure.float().mean() > 0.85
        assert (found - wanted)[sure].abs().max() < 1e-2 * LEARNING_RATE
        assert step or (found - before)[sure].abs().min() > 0.9 * LEARNING_RATE


def flat(tensors):
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


@pytest.mark.parametrize("kind", ["ConvAutoencoder", "VariationalAutoencoder"])
def test_a_checkpoint_that_the_reference_saved_becomes_a_model(kind, tmp_path, capfd):
    model = theirs(kind, small(256, 2, (4, 4, 2)), embedding=4)
    more = {"beta": 0.2, "beta_schedule": [0.1, 2]} if kind == "VariationalAutoencoder" else {}
    model.Train(
        torch.rand(2, 256, 256), epochs=1, folder_path=str(tmp_path), with_scheduler=False, **more
    )
    (saved,) = tmp_path.glob("*.pkl")
    converted = convert(saved, detector=(512, 512))
    assert converted.header["converted"]["epoch"] == 0
    assert converted.header["converted"].get("beta") == (pytest.approx(0.3) if more else None)
    assert converted.header["preprocess"]["binning"] == 2
    again = load_model(save_model(converted, tmp_path / "model.safetensors"))
    x = torch.rand(2, 256, 256)
    with torch.inference_mode():
        wanted = model.encoder(x)
        found = built(again).eval().encode(x[:, None])
    assert relative(found, wanted[1] if more else wanted) < 1e-5


def test_the_papers_cycle_is_the_references_scheduler():
    from napari_ferro4d.learn.training import SCHEDULES, learning_rate

    phase = SCHEDULES["paper-ds2"][1]
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=phase.learning_rate)
    scheduler = torch.optim.lr_scheduler.CyclicLR(
        optimizer, base_lr=3e-5, max_lr=5e-5, step_size_up=15, cycle_momentum=False
    )
    for epoch in range(60):
        wanted = optimizer.param_groups[0]["lr"]
        # Constant during an epoch, as the reference steps once after each.
        for done in (0.0, 0.3, 0.999):
            assert learning_rate(phase, (epoch + done) / 60) == pytest.approx(wanted, rel=1e-9)
        optimizer.step()
        scheduler.step()
