"""Features are read once, and read again when the file is another one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from helpers.labelled_scans import counting, some, three_domains
from napari_ferro4d import Scan, classify, open_scan
from napari_ferro4d.corrections import correct, not_negative
from napari_ferro4d.learn.data import Neighbourhood
from napari_ferro4d.learn.few_labels import cache

ALONE = Neighbourhood(0)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Return a cache folder of this test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "napari-ferro4d" / "features"


@pytest.fixture
def file(tmp_path) -> Path:
    np.save(tmp_path / "scan.npy", three_domains(0)[0].data.compute())
    return tmp_path / "scan.npy"


@pytest.fixture
def forgetful(monkeypatch) -> None:
    """Keep nothing in memory, as a new process has nothing there."""
    monkeypatch.setattr(cache, "IN_MEMORY", 0)


def reads(scan: Scan, around: Neighbourhood = ALONE) -> int:
    """Return how often it is told that patterns are read."""
    seen, report = counting("reading")
    cache.known_scan(not_negative(scan), around, report=report)
    return len(seen)


def test_tests_never_write_into_the_users_own_cache():
    assert "ferro4d-tests-" in os.environ["XDG_CACHE_HOME"]


def test_a_correction_later_nothing_is_read(folder, file):
    labels = some(three_domains(0)[1], 40)
    for expected in (True, False, False):
        seen, report = counting("reading")
        classify(open_scan(file), labels, report=report)
        assert bool(seen) == expected


@pytest.mark.usefixtures("forgetful")
def test_another_process_finds_the_features_on_disk(folder, file):
    labels = some(three_domains(0)[1], 40)
    first = classify(open_scan(file), labels)
    (stored,) = folder.iterdir()
    assert stored.suffix == ".npz"
    assert reads(open_scan(file)) == 0
    assert np.array_equal(classify(open_scan(file), labels).probability, first.probability)


@pytest.mark.usefixtures("forgetful")
def test_a_scan_in_memory_leaves_no_file(folder):
    assert reads(three_domains(0)[0]) > 0
    assert not folder.exists()


def test_scans_in_memory_that_look_alike_are_not_mixed_up(folder):
    counts = three_domains(0)[0].data.compute()
    first = Scan.from_array(counts)
    changed = counts.copy()
    changed[0, 1:4] = counts[15, 10]
    second = Scan.from_array(changed)
    assert first.signature == second.signature
    assert reads(first) > 0
    assert reads(second) > 0
    assert reads(first) == 0


def test_a_file_with_other_counts_is_read_again(folder, file):
    before = open_scan(file)
    labels = some(three_domains(0)[1], 40)
    first = classify(before, labels)
    counts = np.load(file)
    # None of the few patterns that the signature looks at.
    counts[0, 1:6] = counts[15, 10]
    np.save(file, counts)
    after = open_scan(file)
    assert after.signature == before.signature
    assert reads(after) > 0
    assert not np.array_equal(classify(after, labels).probability, first.probability)


def test_corrections_and_neighbourhoods_are_scans_of_their_own(folder, file):
    scan = open_scan(file)
    dark = np.zeros((16, 16))
    dark[3, 3] = 1
    for options in ({"bin": 2}, {"dark": dark}, {"crop": (slice(0, 12), slice(0, 12))}):
        corrected = correct(scan, **options)
        assert reads(corrected) > 0
        assert reads(corrected) == 0
    for around in (Neighbourhood(1, "mean"), Neighbourhood(1, "max"), Neighbourhood(2, "mean")):
        assert reads(scan, around) > 0
        assert reads(scan, around) == 0


@pytest.mark.usefixtures("forgetful")
def test_a_corrected_file_is_found_again_by_another_process(folder, file, tmp_path):
    np.save(tmp_path / "gain.npy", np.full((16, 16), 1.5))
    gain = tmp_path / "gain.npy"
    assert reads(open_scan(file, gain=gain)) > 0
    assert reads(open_scan(file, gain=gain)) == 0
    assert reads(open_scan(file)) > 0


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize("damage", ["cut off", "empty", "nonsense", "other arrays"])
def test_a_damaged_file_is_computed_anew(folder, file, damage):
    assert reads(open_scan(file)) > 0
    (stored,) = folder.iterdir()
    whole = stored.read_bytes()
    if damage == "other arrays":
        np.savez(stored, something=np.ones(3))
    else:
        part = {"cut off": whole[: len(whole) // 2], "empty": b"", "nonsense": b"abc" * 99}
        stored.write_bytes(part[damage])
    assert reads(open_scan(file)) > 0
    assert reads(open_scan(file)) == 0


@pytest.mark.usefixtures("forgetful")
def test_without_a_folder_to_write_to_all_works_as_well(tmp_path, file, monkeypatch):
    (tmp_path / "no folder").write_text("a file in its place")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no folder"))
    scan = open_scan(file)
    assert reads(scan) > 0
    assert reads(scan) > 0


@pytest.mark.usefixtures("forgetful")
def test_the_oldest_files_make_room(folder, file, monkeypatch):
    assert reads(open_scan(file)) > 0
    (stored,) = folder.iterdir()
    monkeypatch.setattr(cache, "FOLDER_BYTES", int(1.5 * stored.stat().st_size))
    other = file.with_name("other.npy")
    np.save(other, three_domains(1)[0].data.compute())
    assert reads(open_scan(other)) > 0
    (kept,) = folder.iterdir()
    assert kept != stored
