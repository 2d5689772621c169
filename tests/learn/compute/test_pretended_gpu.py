"""Learning on a GPU gives what it gives on the CPU: on one that is only pretended to be there."""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
import torch

from helpers.pretended_cuda import GPU, Pretended, pretended_cuda
from helpers.training_scans import counts, same
from napari_ferro4d import Scan, classify, embed, train
from napari_ferro4d.learn import Phase, devices
from napari_ferro4d.learn.compute import ALONE, Portion
from napari_ferro4d.learn.data import BatchLoader, batches
from napari_ferro4d.learn.model_files import load_optimizer, optimizer_arrays
from napari_ferro4d.learn.networks import Autoencoder, PaperAutoencoder, build_autoencoder
from napari_ferro4d.learn.training import Gradient, objective, survey

CPU = torch.device("cpu")


@pytest.fixture
def gpu(monkeypatch):
    with pretended_cuda(monkeypatch):
        yield monkeypatch


@pytest.fixture(scope="module")
def scan() -> Scan:
    return Scan.from_array(counts())


def test_the_pretended_gpu_refuses_what_a_real_one_does(gpu):
    there, here = torch.ones(3).to(GPU), torch.ones(3)
    with pytest.raises(RuntimeError, match="same device"):
        there + here
    with pytest.raises(RuntimeError, match="same device"):
        here[torch.tensor([0]).to(GPU)]
    with pytest.raises(TypeError, match="numpy"):
        there.numpy()
    assert there[torch.tensor([0])].device == GPU
    assert torch.equal((2 * there).cpu(), 2 * here)


@pytest.mark.parametrize(
    "options",
    [
        {"schedule": [Phase(2, 1e-3, l1=1e-2, similarity=1e-3, divergence=1e-4)]},
        {"schedule": [Phase(2, 1e-3, beta=1e-3)], "variational": True},
    ],
    ids=["sparse", "variational"],
)
def test_a_model_trained_on_a_gpu_is_that_of_the_cpu(scan, options, monkeypatch, tmp_path):
    path = tmp_path / "c.safetensors"
    expected = train(scan, embedding=4, device="cpu", **options)
    with pretended_cuda(monkeypatch):
        assert devices() == ["auto", "cpu", "cuda:0"]
        found = train(scan, embedding=4, device="auto", **options)
        train(scan, embedding=4, epochs=1, device="cuda", checkpoint=path, **options)
        resumed = train(scan, device="cuda", resume=path, **options)
        embedded = embed(scan, found, device="cuda")
    assert found.header["portion"]["device"] == "cuda"
    assert same(found, expected)
    assert same(resumed, expected)
    assert np.array_equal(embedded.channels, embed(scan, expected, device="cpu").channels)


def test_a_linear_baseline_embeds_on_a_gpu_as_on_the_cpu(scan, gpu):
    model = train(scan, preset="nmf", embedding=3, device="cpu")
    here, there = (embed(scan, model, device=device).channels for device in ("cpu", "cuda"))
    assert np.array_equal(here, there)


def test_a_classifier_trained_on_a_gpu_is_that_of_the_cpu(gpu):
    scan = Scan.from_array(counts(4, 6))
    labels = np.zeros(scan.scan_shape, np.uint8)
    labels[:, :2], labels[:, -2:] = 1, 2
    here, there = (
        classify(scan, labels, preset="paper", epochs=1, device=device)
        for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(here.probability, there.probability, atol=1e-6)


PAPER = {
    "preset": "paper",
    "network": {"embedding": 4, "size": 32, "filters": 16, "pooling": [4, 2]},
    "divergence": "code",
}
WEIGHTS = Phase(1, 1e-3, l1=0.1, similarity=0.3, divergence=0.05)


def stepped(
    device: torch.device, portion: Portion, network: Autoencoder | None = None
) -> tuple[list[float], dict[str, np.ndarray]]:
    """Return the loss and its terms of a batch, and the optimiser's arrays after a step.

    In single precision on the CPU; on the GPU, which is pretended, in the one that pays.
    """
    torch.manual_seed(0)
    built = build_autoencoder(PAPER)
    network = built if network is None else network
    network.load_state_dict(built.state_dict())
    network.to(device, memory_format=torch.channels_last)
    precision = torch.float32 if device == CPU else None
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    patterns = torch.rand(6, 1, 32, 32).to(device)
    gradient = Gradient(network, PAPER, portion, ALONE, device, precision)
    terms = gradient.add(patterns, WEIGHTS, 6, None)
    optimizer.step()
    arrays = optimizer_arrays(optimizer)
    load_optimizer(optimizer, arrays)
    assert {v.device for state in optimizer.state.values() for v in state.values()} == {device}
    optimizer.step()
    return terms.tolist(), arrays


@pytest.mark.parametrize("portion", [Portion(4), Portion(2, recompute=True)])
def test_the_papers_network_learns_in_half_precision_on_a_gpu(portion, gpu):
    terms, arrays = stepped(CPU, Portion(6))
    autocast = torch.autocast
    used = []

    def on_cpu(kind, dtype, enabled):
        used.append((kind, dtype, enabled))
        return autocast("cpu", dtype, enabled=enabled)

    gpu.setattr(torch, "autocast", on_cpu)
    found, others = stepped(GPU, portion)
    assert used[0] == ("cuda", torch.bfloat16, True)
    assert found == pytest.approx(terms, rel=0.02, abs=1e-4)
    moments = [name for name in arrays if name.endswith("exp_avg")]
    flat, other = (np.concatenate([a[n].ravel() for n in moments]) for a in (arrays, others))
    # Two to three digits in each of twenty layers.
    assert np.linalg.norm(other - flat) < 0.15 * np.linalg.norm(flat)
    assert np.linalg.norm(other - flat) > 0


def test_where_a_gpu_has_no_bfloat16_it_computes_in_single_precision(gpu):
    gpu.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    gpu.setattr(torch, "autocast", partial(_unused_unless_off, torch.autocast))
    terms, _ = stepped(GPU, Portion(6))
    assert terms == pytest.approx(stepped(CPU, Portion(6))[0], rel=1e-5)


def _unused_unless_off(autocast, kind, dtype, enabled):
    assert not enabled
    return autocast("cpu", dtype, enabled=False)


def test_half_precision_keeps_the_similarity_of_a_batch_in_parts():
    generator = torch.Generator().manual_seed(0)
    network = build_autoencoder({"preset": "pca", "network": {"embedding": 8, "size": 16}})
    network.unmixing.copy_(torch.rand(8, 256, generator=generator))
    batch = torch.rand(64, 1, 16, 16, generator=generator)
    with torch.autocast("cpu", torch.bfloat16):
        whole = survey(network, batch, WEIGHTS, 64)
        together = objective(network, batch, WEIGHTS).similarity
        parts = [objective(network, part, WEIGHTS, whole=whole) for part in batch.split(16)]
    assert float(sum(part.similarity for part in parts)) == pytest.approx(float(together), rel=1e-5)


class Stream:
    """A stream of a GPU, on which copies are made when somebody waits for them, no earlier."""

    current: Stream | None = None

    def __init__(self, device: torch.device) -> None:
        assert device == GPU
        self.waiting = []

    @contextmanager
    def entered(self):
        Stream.current = self
        yield
        Stream.current = None

    def synchronize(self) -> None:
        for copy in self.waiting:
            copy()
        self.waiting.clear()


def test_patterns_that_a_gpu_has_no_room_for_are_fetched_batch_by_batch(monkeypatch):
    patterns = np.random.default_rng(0).random((50, 4, 4), np.float32)
    chosen = batches(50, 8, seed=3, epoch=1)
    to, empty, used = torch.Tensor.to, torch.empty, []

    def copied(tensor, *args, non_blocking=False, **kwargs):
        stream = Stream.current
        if not non_blocking or stream is None:
            return to(tensor, *args, **kwargs)
        there = Pretended(torch.full_like(tensor, torch.nan))
        stream.waiting.append(lambda: there.raw.copy_(tensor))
        return there

    with pretended_cuda(monkeypatch, memory=100):
        monkeypatch.setattr(torch.Tensor, "to", copied)
        monkeypatch.setattr(torch.Tensor, "record_stream", lambda one, _: used.append(len(one)))
        monkeypatch.setattr(torch, "empty", lambda *shape, pin_memory: empty(*shape))
        monkeypatch.setattr(torch.cuda, "Stream", Stream)
        monkeypatch.setattr(torch.cuda, "stream", Stream.entered)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda _: None)
        found = [batch.raw for batch in BatchLoader(patterns, GPU).batches(chosen)]
    assert used == [len(index) for index in chosen]
    for batch, index in zip(found, chosen, strict=True):
        assert torch.equal(batch, torch.from_numpy(patterns[index])[:, None])


def test_on_a_gpu_every_step_tells_the_last_loss_known(scan, gpu):
    said = []
    # After the first step of an epoch, none waits for its loss.
    gpu.setattr("napari_ferro4d.learn.training.autoencoder_fit.TELL_EVERY_S", 1e9)
    train(scan, embedding=4, epochs=2, device="cuda", report=lambda p: said.append(p.message))
    steps = [words for words in said if words.startswith("epoch")]
    assert len(steps) >= 4
    assert all(", loss " in words for words in steps)


class ShortOfMemory(PaperAutoencoder):
    """Has no memory for more than two patterns."""

    def __init__(self) -> None:
        super().__init__(**PAPER["network"])
        self.kept = []

    def decode(self, embedding):
        assert all(one() is None for one in self.kept), "what failed still takes memory"
        image = super().decode(embedding)
        if len(embedding) > 2:
            self.kept.append(weakref.ref(image))
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return image


def test_a_gradient_that_ran_out_of_memory_leaves_none_taken(gpu):
    expected, _ = stepped(GPU, Portion(2))
    network = ShortOfMemory()
    found, _ = stepped(GPU, Portion(4), network)
    assert len(network.kept) == 1
    assert found == pytest.approx(expected, rel=0.01)
