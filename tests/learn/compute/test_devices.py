"""Devices to learn on: which there is, its memory, and in one line what it fails by."""

from __future__ import annotations

import logging
import warnings
import weakref

import numpy as np
import pytest
import torch

from helpers.pretended_cuda import GPU, asked_anew, pretended_cuda
from helpers.training_scans import counts
from napari_ferro4d import ModelError, Scan, ScanError, classify, embed, load_model, train
from napari_ferro4d.learn import Phase, devices
from napari_ferro4d.learn.compute import (
    InChunks,
    choose_device,
    container_memory,
    is_out_of_memory,
    joined,
    working_on,
)
from napari_ferro4d.learn.model_files import seeded

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


# What is not finite


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
    assert container_memory(tmp_path, *names[:2]) == 2000 - 400


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

    def double(chunk):
        values = 2 * chunk.flatten(1)
        tried.append(len(chunk))
        assert all(one() is None for one in freed), "what failed still takes memory"
        if len(chunk) > 3:
            freed.append(weakref.ref(values))
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return values

    patterns = torch.rand(14, 1, 2, 2)
    in_chunks, counted = InChunks(double, CPU, 8), []
    assert torch.equal(in_chunks(patterns, counted.append), 2 * patterns.flatten(1))
    assert tried == [8, 4, 2, 2, 2, 2, 2, 2, 2]
    assert counted == [2] * 7
    in_chunks(patterns[:2])
    assert in_chunks.most == 2


def test_a_pattern_too_large_for_the_memory_is_one_error(scan, monkeypatch):
    model = train(scan, embedding=4, epochs=1, device="cpu")

    def short(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore words")

    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.functional, "conv2d", short)
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
