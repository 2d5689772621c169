"""Training in processes that are killed, that share the work, and that run short of memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import training_scans
from napari_ferro4d import Scan, load_model, open_scan, train

TESTS = Path(__file__).parents[2]

posix = pytest.mark.skipif(os.name != "posix", reason="needs fork and kill")

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def scan(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "scan.npy"
    np.save(path, training_scans.counts())
    return path


@pytest.fixture(scope="module")
def ask(scan) -> Iterator[Ask]:
    """Give jobs to a process that forks for each of them, and return the answers."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "helpers.training_children", scan],
        cwd=TESTS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as children:

        def answer(*job: object) -> Any:
            children.stdin.write(json.dumps(job, default=str) + "\n")
            children.stdin.flush()
            found = json.loads(children.stdout.readline() or "null")
            assert found is not None, "see standard error"
            return found

        try:
            yield answer
        finally:
            os.killpg(children.pid, signal.SIGKILL)  # with whatever hangs


@posix
def test_killed_at_20_random_moments_it_ends_as_if_never_killed(ask, scan, tmp_path):
    options = {"embedding": 4, "epochs": 40, "device": "cpu"}
    found = ask("kill", scan, tmp_path, 20, 1, options)
    assert found["identical"]
    assert found["same_header"]
    assert found["kills"] == len(found["epochs_lost"]) == 20
    assert max(found["epochs_lost"]) <= 1
    assert found["epochs_before_the_last_life"] > 0
    assert found["left_behind"] == ["c.safetensors", "m.safetensors"]


@posix
def test_two_processes_train_as_one_and_a_dead_one_ends_the_other(ask, scan, tmp_path):
    # With a similarity, which couples patterns that are in different processes.
    schedule = tmp_path / "s.toml"
    schedule.write_text(
        "[[phase]]\nepochs = 4\nlearning_rate = 1e-3\nl1 = 1e-3\nsimilarity = 0.01\n"
        "divergence = 1e-3\n"
    )
    options = {"embedding": 4, "schedule": str(schedule)}
    living, dying = tmp_path / "living", tmp_path / "dying"
    for folder in (living, dying):
        folder.mkdir()
    assert ask("share", scan, living, options, None) == {"codes": [0, 0], "said": {}}
    alone = train(open_scan(scan), **options, device="cpu")
    first, second = (load_model(living / f"{rank}.safetensors") for rank in range(2))
    for name, weights in alone.weights.items():
        assert np.array_equal(first.weights[name], second.weights[name])
        np.testing.assert_allclose(first.weights[name], weights, rtol=1e-3, atol=1e-5)
    history, expected = first.header["history"], alone.header["history"]
    np.testing.assert_allclose(history["losses"], expected["losses"], rtol=1e-5)
    for term, values in expected["terms"].items():
        np.testing.assert_allclose(history["terms"][term], values, rtol=1e-4, atol=1e-7)
    assert min(expected["terms"]["similarity"]) > 0
    assert history["active"] == expected["active"]
    found = ask("share", scan, dying, options, 2)
    assert found["codes"] == [2, -9]
    assert "another process of this training ended" in found["said"]["0"]
    assert list(found["said"]) == ["0"]


@posix
def test_processes_agree_on_network_and_thinning(ask):
    assert ask("agree") == [0, 0]


@posix
def test_when_memory_runs_out_portions_are_halved_and_that_is_said(ask):
    room = 30 * 2**20
    found = ask("run short", room)
    assert found["free"] <= room
    assert found["patterns"] < 32
    assert "memory is short" in found["note"]
    assert found["losses"][0] == pytest.approx(found["losses"][1], rel=1e-5)
    assert found["apart"] < 1e-4


@posix
def test_torchrun_trains_with_the_command_and_one_process_tells(scan, tmp_path):
    out = tmp_path / "m.safetensors"
    arguments = ["train", scan, "-o", out, "--device", "cpu", "--embedding", 4, "--epochs", 2]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2]
    command = [sys.executable, *launch, "-m", "napari_ferro4d", *arguments, "--json"]
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["epochs"] == len(document["history"]["losses"]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]
    alone = training_scans.model_of_two_epochs()
    np.testing.assert_allclose(
        document["history"]["losses"], alone.header["history"]["losses"], rtol=1e-5
    )


def test_each_process_holds_its_own_part_and_reads_no_other_rows():
    import dask.array as da

    from napari_ferro4d.learn.data import Preprocess, read_patterns

    counts = training_scans.counts(9, 10)
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
