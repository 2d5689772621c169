"""The patterns to learn from: in memory, in a file, thinned; and the batches of them."""

from __future__ import annotations

import tempfile

import numpy as np
import pytest
import torch

from helpers.training_scans import counts, model_of_two_epochs, same
from napari_ferro4d import Scan, ScanError, train
from napari_ferro4d.learn import Model
from napari_ferro4d.learn.compute import available_memory
from napari_ferro4d.learn.data import (
    FILE_BYTES,
    BatchLoader,
    Preprocess,
    Room,
    batches,
    find_room,
    read_patterns,
)

GIB = 2**30
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def scan() -> Scan:
    return Scan.from_array(counts())


@pytest.fixture(scope="module")
def model() -> Model:
    return model_of_two_epochs()


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
