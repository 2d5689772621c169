"""What the training engine feeds the network with: the cache of patterns, and portions."""

from __future__ import annotations

import tempfile

import numpy as np
import pytest
import torch

from helpers.training_scans import counts, model_of_two_epochs, same
from napari_ferro4d import Scan, ScanError, train
from napari_ferro4d.learn import Model, Phase
from napari_ferro4d.learn.compute import ALONE, Portion, available_memory, fitting, smaller
from napari_ferro4d.learn.data import (
    FILE_BYTES,
    BatchLoader,
    Preprocess,
    Room,
    batches,
    find_room,
    read_patterns,
)
from napari_ferro4d.learn.networks import Autoencoder, PaperAutoencoder, build_autoencoder
from napari_ferro4d.learn.training import Gradient

GIB = 2**30
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def scan() -> Scan:
    return Scan.from_array(counts())


@pytest.fixture(scope="module")
def model() -> Model:
    return model_of_two_epochs()


# The cache


def test_patterns_in_a_file_train_the_same_model_and_leave_no_file(
    scan, model, monkeypatch, tmp_path
):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr("napari_ferro4d.learn.data.pattern_cache.MEMORY_SHARE", 0)
    said, files = set(), set()

    def report(progress) -> None:
        said.add(progress.message.split(":")[0])
        files.update(tmp_path.iterdir())

    other = train(scan, embedding=4, epochs=2, device="cpu", report=report)
    assert same(model, other)
    assert any("into a temporary file" in words for words in said)
    assert not files


def test_the_cache_takes_half_of_the_free_memory_and_most_of_the_disk():
    room = find_room()
    assert room.memory == pytest.approx(0.5 * available_memory(), rel=0.2)
    assert 0 < room.file <= FILE_BYTES


def test_a_file_of_patterns_beyond_disk_or_limit_is_one_error(scan, tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    how = Preprocess((16, 16), 1, 16)
    with pytest.raises(ScanError, match="has no room"):
        read_patterns([scan], how, room=Room(0, 80 * 1024 - 1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(ScanError, match=r"cannot be kept there \(File too large\)"):
            read_patterns([scan], how, room=Room(0, GIB))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_only_what_has_room_nowhere_is_thinned_and_that_is_said(scan, monkeypatch, tmp_path):
    # Room for 20 of 80 patterns of 1 kB: every second row and column.
    monkeypatch.setattr("napari_ferro4d.learn.data.pattern_cache.MEMORY_SHARE", 0)
    monkeypatch.setattr("napari_ferro4d.learn.data.pattern_cache.FILE_BYTES", 20 * 1024)
    said = set()
    path = tmp_path / "c.safetensors"
    thin = train(
        scan,
        embedding=4,
        epochs=1,
        device="cpu",
        checkpoint=path,
        report=lambda p: said.add(p.message),
    )
    assert thin.header["every"] == 2
    assert any("only every 2th row and column" in words for words in said)
    # A resumed training takes the same positions, whatever room there is now.
    monkeypatch.undo()
    resumed = train(scan, embedding=4, epochs=2, device="cpu", resume=path)
    assert resumed.header["every"] == 2


def test_batches_from_a_file_are_those_from_memory():
    patterns = np.random.default_rng(0).random((50, 4, 4), np.float32)
    chosen = batches(50, 8, seed=3, epoch=1)
    direct, fetched = (
        [x.clone() for x in BatchLoader(patterns, CPU, on_disk).batches(chosen)]
        for on_disk in (False, True)
    )
    assert len(direct) == 7
    for index, a, b in zip(chosen, direct, fetched, strict=True):
        assert torch.equal(a, torch.from_numpy(patterns[index])[:, None])
        assert torch.equal(a, b)


@pytest.mark.parametrize("total", [1, 15, 100, 4097])
def test_every_pattern_is_in_one_batch_and_batches_cover_the_scan(total):
    chosen = batches(total, 32, seed=0, epoch=5)
    assert np.array_equal(np.sort(np.concatenate(chosen)), np.arange(total))
    for batch in chosen[:-1]:
        # Half of each batch for either of two processes that hold half of the patterns.
        assert abs(np.count_nonzero(batch < total // 2) - 16) <= 1


# Portions


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
