"""Learning on a GPU: what can be known of it without one, and how what it fails by is said."""

from __future__ import annotations

import logging
import warnings
import weakref
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
import torch

from napari_ferro4d import ModelError, Scan, ScanError, classify, embed, load_model, train
from napari_ferro4d.learn import Phase, devices, gradient, memory
from napari_ferro4d.learn.device import choose_device, working_on
from napari_ferro4d.learn.feed import Feed
from napari_ferro4d.learn.gradient import Gradient
from napari_ferro4d.learn.losses import objective, survey
from napari_ferro4d.learn.memory import Portion, is_out_of_memory
from napari_ferro4d.learn.networks import build_autoencoder
from napari_ferro4d.learn.order import batches
from napari_ferro4d.learn.pieces import Pieces
from napari_ferro4d.learn.ranks import ALONE, joined
from napari_ferro4d.learn.weights import load_optimizer, optimizer_arrays, seeded
from pretended_cuda import GPU, Pretended, asked_anew, pretended_cuda
from training_scans import counts, same

CPU = torch.device("cpu")
OLD_DRIVER = (
    "CUDA initialization: The NVIDIA driver on your system is too old (found version 11040)"
)
NO_KERNEL = (
    "CUDA error: no kernel image is available for execution on the device\n"
    "CUDA kernel errors might be asynchronously reported at some other API call"
)


@pytest.fixture
def gpu(monkeypatch):
    with pretended_cuda(monkeypatch):
        yield monkeypatch


@pytest.fixture(scope="module")
def scan() -> Scan:
    return Scan.from_array(counts())


# The same on a GPU


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


@pytest.mark.parametrize("preset", ["pca", "nmf"])
def test_a_linear_baseline_embeds_on_a_gpu_as_on_the_cpu(scan, preset, gpu):
    model = train(scan, preset=preset, embedding=3, device="cpu")
    here, there = (embed(scan, model, device=device).channels for device in ("cpu", "cuda"))
    assert np.array_equal(here, there)


@pytest.mark.parametrize("preset", ["compact", "paper"])
def test_a_classifier_trained_on_a_gpu_is_that_of_the_cpu(preset, gpu):
    scan = Scan.from_array(counts(4, 6))
    labels = np.zeros(scan.scan_shape, np.uint8)
    labels[:, :2], labels[:, -2:] = 1, 2
    here, there = (
        classify(scan, labels, preset=preset, epochs=1, device=device) for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(here.probability, there.probability, atol=1e-6)


PAPER = {
    "preset": "paper",
    "network": {"embedding": 4, "size": 32, "filters": 16, "pooling": [4, 2]},
    "divergence": "code",
}
WEIGHTS = Phase(1, 1e-3, l1=0.1, similarity=0.3, divergence=0.05)


def stepped(device: torch.device, portion: Portion) -> tuple[list[float], dict[str, np.ndarray]]:
    """Return the loss and its terms of a batch, and the optimiser's arrays after a step."""
    torch.manual_seed(0)
    network = build_autoencoder(PAPER).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    patterns = torch.rand(6, 1, 32, 32).to(device)
    terms = Gradient(network, PAPER, portion, ALONE, device).add(patterns, WEIGHTS, 6, None)
    optimizer.step()
    arrays = optimizer_arrays(optimizer)
    load_optimizer(optimizer, arrays)
    assert {v.device for state in optimizer.state.values() for v in state.values()} == {device}
    optimizer.step()
    return terms.tolist(), arrays


@pytest.mark.parametrize("portion", [Portion(6), Portion(4), Portion(2, recompute=True)])
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
        found = [batch.raw for batch in Feed(patterns, GPU).batches(chosen)]
    assert used == [len(index) for index in chosen]
    for batch, index in zip(found, chosen, strict=True):
        assert torch.equal(batch, torch.from_numpy(patterns[index])[:, None])


def test_on_a_gpu_every_step_tells_the_last_loss_known(scan, gpu):
    said = []
    # After the first step of an epoch, none waits for its loss.
    gpu.setattr("napari_ferro4d.learn.training.TELL_EVERY_S", 1e9)
    train(scan, embedding=4, epochs=2, device="cuda", report=lambda p: said.append(p.message))
    steps = [words for words in said if words.startswith("epoch")]
    assert len(steps) >= 4
    assert all(", loss " in words for words in steps)


def test_a_network_that_is_no_longer_finite_is_not_kept(tmp_path):
    """Its last step may be the one that broke it, after a loss that was finite."""
    scan, path = Scan.from_array(counts(6, 8)), tmp_path / "c.safetensors"  # one batch per epoch
    schedule = [Phase(1, 1e-3), Phase(1, 1e39)]
    with pytest.raises(ModelError, match="network is no longer finite in epoch 2; the last check"):
        train(scan, embedding=4, schedule=schedule, device="cpu", checkpoint=path)
    kept = load_model(path)
    assert len(kept.header["history"]["losses"]) == 1
    assert all(np.isfinite(values).all() for values in kept.weights.values())


def test_a_classifier_that_is_no_longer_finite_is_one_error(monkeypatch):
    scan = Scan.from_array(counts(4, 6))
    labels = np.zeros(scan.scan_shape, np.uint8)
    labels[:, :2], labels[:, -2:] = 1, 2
    step = torch.optim.AdamW.step

    def broken(optimizer):
        step(optimizer)
        with torch.no_grad():
            optimizer.param_groups[0]["params"][0].fill_(torch.nan)

    monkeypatch.setattr(torch.optim.AdamW, "step", broken)
    with pytest.raises(ModelError, match="no longer finite"):
        classify(scan, labels, preset="paper", epochs=1, device="cpu")


# Memory


def test_files_that_a_container_has_read_leave_its_memory_free(tmp_path):
    names = ("memory.max", "memory.current", "memory.stat")
    stat = "anon 300\nfile 650\nshmem 50\ninactive_file 400\nactive_file 200\n"
    for name, text in zip(names, ("2000\n", "1000\n", stat), strict=True):
        (tmp_path / name).write_text(text)
    # 300 of the program, 50 that programs share, and 50 of the system.
    assert memory._left_to(tmp_path, *names[:2]) == 2000 - 400


def test_words_of_memory_that_ran_out():
    for words in (
        "CUDA out of memory. Tried to allocate 20.00 MiB.",
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory",
    ):
        assert is_out_of_memory(RuntimeError(words))
    assert is_out_of_memory(torch.OutOfMemoryError("?"))
    assert not is_out_of_memory(RuntimeError(NO_KERNEL))


def test_patterns_are_embedded_fewer_at_a_time_where_memory_runs_out():
    tried, freed = [], []

    def double(piece):
        values = 2 * piece.flatten(1)
        tried.append(len(piece))
        assert all(one() is None for one in freed), "what failed still takes memory"
        if len(piece) > 3:
            freed.append(weakref.ref(values))
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return values

    patterns = torch.rand(14, 1, 2, 2)
    pieces, counted = Pieces(double, CPU, 8), []
    assert torch.equal(pieces(patterns, counted.append), 2 * patterns.flatten(1))
    assert tried == [8, 4, 2, 2, 2, 2, 2, 2, 2]
    assert counted == [2] * 7
    pieces(patterns[:2])
    assert pieces.most == 2


def test_a_gradient_that_ran_out_of_memory_leaves_none_taken(gpu):
    computed, kept = gradient.objective, []

    def short_of_memory(network, batch, *args, **options):
        assert all(one() is None for one in kept), "what failed still takes memory"
        terms = computed(network, batch, *args, **options)
        if len(batch) > 2:
            kept.append(weakref.ref(terms.total))
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return terms

    expected, _ = stepped(GPU, Portion(2))
    gpu.setattr(gradient, "objective", short_of_memory)
    found, _ = stepped(GPU, Portion(4))
    assert len(kept) == 1
    assert found == pytest.approx(expected, rel=0.01)


def test_a_pattern_too_large_for_the_memory_is_one_error(scan, monkeypatch):
    model = train(scan, embedding=4, epochs=1, device="cpu")

    def short(self, x):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore words")

    kind = type(build_autoencoder(model.header))
    with monkeypatch.context() as patch:
        patch.setattr(kind, "encode", short)
        with pytest.raises(ModelError, match="cpu: its memory ran out") as error:
            embed(scan, model, device="cpu")
    assert "\n" not in str(error.value)


def test_a_gpu_that_fails_is_one_error_and_a_mistake_of_ours_is_none():
    lost = "CUDA error: unspecified launch failure\nCUDA kernel errors might be"
    said = r"cuda:0: the GPU failed \(CUDA error: unspecified launch failure\); start"
    with pytest.raises(ModelError, match=said), working_on(GPU):
        raise RuntimeError(lost)
    with pytest.raises(RuntimeError, match="same device"), working_on(GPU):
        raise RuntimeError("Expected all tensors to be on the same device, cuda:0 and cpu!")


# Which device


def test_a_driver_too_old_is_told_and_auto_takes_the_cpu(monkeypatch):
    def asked() -> bool:
        warnings.warn(OLD_DRIVER + "\nPlease update your GPU driver", stacklevel=1)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", asked)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    with asked_anew():
        assert devices() == ["auto", "cpu"]
        assert choose_device("auto") == CPU
        with pytest.raises(ScanError, match=r"'cuda': not .*driver on your system is too old") as e:
            choose_device("cuda")
    assert "\n" not in str(e.value)


def test_a_gpu_that_cannot_compute_is_told_and_auto_takes_the_cpu(gpu, caplog):
    def failing(*_):
        raise RuntimeError(NO_KERNEL)

    gpu.setattr(torch.nn.functional, "conv2d", failing)
    with caplog.at_level(logging.WARNING):
        assert choose_device("auto") == CPU
    assert "cuda:0 does not work and is not used (CUDA error: no kernel image" in caplog.text
    with pytest.raises(ScanError, match=r"'cuda:0'.*no kernel image is available") as error:
        choose_device("cuda:0")
    assert "\n" not in str(error.value)


def test_processes_that_train_together_take_a_gpu_each(gpu):
    gpu.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        gpu.setenv(name, "2")
    for rank in "01":
        gpu.setenv("RANK", rank)
        gpu.setenv("LOCAL_RANK", rank)
        assert choose_device("auto") == choose_device("cuda") == torch.device("cuda", int(rank))


def test_processes_that_share_a_gpu_are_told_so(gpu):
    class NCCLError(RuntimeError):
        pass

    def all_reduce(values):
        assert values.device == GPU
        raise NCCLError(
            "NCCL error in: NCCLUtils.cpp:94, invalid usage\nLast error:\n"
            "Duplicate GPU detected : rank 0 and rank 1 both on CUDA device 6000"
        )

    begun = []
    for name, value in {
        "RANK": "0",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "",
        "MASTER_PORT": "",
    }.items():
        gpu.setenv(name, value)
    gpu.setattr(torch.cuda, "set_device", begun.append)
    gpu.setattr(torch.distributed, "is_nccl_available", lambda: True)
    gpu.setattr(torch.distributed, "init_process_group", lambda kind, **_: begun.append(kind))
    gpu.setattr(torch.distributed, "all_reduce", all_reduce)
    with pytest.raises(ModelError, match=r"do not meet \(Duplicate GPU detected"), joined(GPU):
        pass
    # Or NCCL would take the first GPU in every process.
    assert begun == [GPU, "nccl"]


# Random numbers


def test_random_numbers_for_the_cpu_start_no_gpu(monkeypatch):
    def asked(*_):
        raise AssertionError("a GPU was asked for its random numbers")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("get_rng_state", "manual_seed", "manual_seed_all"):
        monkeypatch.setattr(torch.cuda, name, asked)
    before = torch.get_rng_state()
    with seeded(3):
        drawn = torch.rand(4)
    assert torch.equal(drawn, torch.rand(4, generator=torch.Generator().manual_seed(3)))
    assert torch.equal(torch.get_rng_state(), before)


def test_random_numbers_of_a_gpu_are_seeded_and_put_back(gpu):
    said, state = [], torch.tensor([7], dtype=torch.uint8)
    gpu.setattr(torch.cuda, "get_rng_state", lambda device: said.append(("get", device)) or state)
    gpu.setattr(torch.cuda, "set_rng_state", lambda s, device: said.append((int(s), device)))
    gpu.setattr(torch.cuda, "manual_seed", lambda seed: said.append(("seed", seed)))
    with seeded(3, GPU):
        pass
    assert said == [("get", GPU), ("seed", 3), (7, GPU)]
