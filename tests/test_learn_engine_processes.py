"""Training in processes that are killed, and in several that share the work."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_ferro4d import Scan, load_model, open_scan, train

HERE = Path(__file__).parent

posix = pytest.mark.skipif(os.name != "posix", reason="needs fork and kill")


def patterns(ny: int = 8, nx: int = 10, side: int = 16) -> np.ndarray:
    """Return counts of two domains that differ by one reflection."""
    ky, kx = np.indices((side, side)) - side / 2
    mean = 40 * np.exp(-(ky**2 + kx**2) / 8)
    left, right = (mean + 20 * np.exp(-((ky - s) ** 2 + kx**2) / 6) for s in (5, -5))
    means = np.where((np.arange(nx) < nx // 2)[None, :, None, None], left, right)
    rng = np.random.default_rng(0)
    return rng.poisson(np.broadcast_to(means, (ny, nx, side, side))).astype(np.uint8)


@pytest.fixture(scope="module")
def scan(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "scan.npy"
    np.save(path, patterns())
    return path


def run(*arguments: object, **options) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        env=environment,
        **options,
    )


@posix
def test_killed_at_20_random_moments_it_ends_as_if_never_killed(scan, tmp_path):
    done = run(
        HERE / "training_kills.py",
        *(scan, tmp_path, 20, 1),
        json.dumps({"embedding": 4, "epochs": 40, "device": "cpu"}),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["identical"]
    assert found["same_header"]
    assert found["kills"] == len(found["epochs_lost"]) == 20
    assert max(found["epochs_lost"]) <= 1
    assert found["epochs_before_the_last_life"] > 0
    assert found["left_behind"] == ["c.safetensors", "m.safetensors"]


@posix
def test_two_processes_train_as_one_and_a_dead_one_ends_the_other(scan, tmp_path):
    # With a similarity, which couples patterns that are in different processes.
    schedule = tmp_path / "s.toml"
    schedule.write_text(
        "[[phase]]\nepochs = 4\nlearning_rate = 1e-3\nl1 = 1e-3\nsimilarity = 0.01\n"
        "divergence = 1e-3\n"
    )
    options = {"embedding": 4, "schedule": str(schedule)}
    done = run(HERE / "training_ranks.py", scan, tmp_path, json.dumps(options))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["living"]["codes"] == [0, 0]
    alone = train(open_scan(scan), **options, device="cpu")
    first, second = (load_model(tmp_path / f"{rank}.safetensors") for rank in range(2))
    for name, weights in alone.weights.items():
        assert np.array_equal(first.weights[name], second.weights[name])
        np.testing.assert_allclose(first.weights[name], weights, rtol=1e-3, atol=1e-5)
    history, expected = first.header["history"], alone.header["history"]
    np.testing.assert_allclose(history["losses"], expected["losses"], rtol=1e-5)
    for term, values in expected["terms"].items():
        np.testing.assert_allclose(history["terms"][term], values, rtol=1e-4, atol=1e-7)
    assert min(expected["terms"]["similarity"]) > 0
    assert history["active"] == expected["active"]
    assert found["dying"]["codes"] == [2, -9]
    assert found["dying"]["seconds_between"] < 60
    assert done.stderr.count("another process of this training ended") == 1


AGREE = """
import os, sys, torch
from napari_ferro4d.learn.ranks import joined

torch.set_num_threads(1)
cpu = torch.device("cpu")
os.environ |= {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": sys.argv[1]}
child = os.fork()
rank = 0 if child else 1
os.environ["RANK"] = str(rank)
with joined(cpu) as ranks:
    torch.manual_seed(rank)
    network = torch.nn.BatchNorm2d(3).to(memory_format=torch.channels_last)
    torch.nn.init.normal_(network.weight)
    network.register_buffer("found", torch.tensor([rank == 0, False]))
    ranks.take_first(network)
    torch.manual_seed(0)
    same = torch.equal(network.weight, torch.nn.init.normal_(torch.empty(3)))
    agreed = same and bool(network.found[0]) and ranks.largest(3 - rank, cpu) == 3
if not child:
    os._exit(not agreed)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]) or not agreed)
"""


@posix
def test_processes_agree_on_network_and_thinning():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    done = run("-c", AGREE, port)
    assert done.returncode == 0, done.stderr


@posix
def test_torchrun_trains_with_the_command_and_one_process_tells(scan, tmp_path):
    out = tmp_path / "m.safetensors"
    arguments = ["train", scan, "-o", out, "--device", "cpu", "--embedding", 4, "--epochs", 2]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2]
    done = run(*launch, "-m", "napari_ferro4d", *arguments, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["epochs"] == len(document["history"]["losses"]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]
    alone = train(open_scan(scan), embedding=4, epochs=2, device="cpu")
    np.testing.assert_allclose(
        document["history"]["losses"], alone.header["history"]["losses"], rtol=1e-5
    )


def test_each_process_holds_its_own_part_and_reads_no_other_rows():
    import dask.array as da

    from napari_ferro4d.learn.cache import read_patterns
    from napari_ferro4d.learn.preprocess import Preprocess

    counts = patterns(9, 10)
    missing = np.zeros((9, 10), bool)
    missing[4, 2:] = True
    read: list[int] = []

    def block(block_info=None) -> np.ndarray:
        ((first, last), *_) = block_info[None]["array-location"]
        read.append(first)
        return counts[first:last]

    chunks = ((1,) * 9, (10,), (16,), (16,))
    data = da.map_blocks(block, chunks=chunks, dtype=counts.dtype, meta=counts[:0])
    scans = [Scan.from_array(data, missing=missing), Scan.from_array(counts[:3])]
    how = Preprocess((16, 16), 1, 16)
    whole = read_patterns(scans, how)
    assert whole.total == len(whole.patterns) == 90 - 8 + 30
    parts = []
    for number in range(3):
        read.clear()
        parts.append(read_patterns(scans, how, part=(number, 3)))
        assert len(read) == len(set(read)) <= 6
    np.testing.assert_array_equal(np.concatenate([p.patterns for p in parts]), whole.patterns)
    assert [part.first for part in parts] == [0, 37, 74]
