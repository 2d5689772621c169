"""Simulated scans: mixed patterns, the same counts however they are asked for, safe files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import zarr

from helpers.simulated_patterns import rows
from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Cancelled
from napari_ferro4d.open import open_scan
from napari_ferro4d.simulate.diffraction import table_patterns
from napari_ferro4d.simulate.scans import (
    DetectorKeys,
    GeometryKeys,
    ScanKeys,
    Spec,
    SpecimenKeys,
    expected_patterns,
    prepare,
    scan,
    truth,
    write_scan,
)

SMALL = Spec(
    scan=ScanKeys(shape=(12, 15), drift=(1.0, -0.5), descan_y=(2.0, 0.5)),
    geometry=GeometryKeys(kind="vortex", angle=30.0),
    specimen=SpecimenKeys(thickness=(50.0, 60.0), bend=1.0, bend_period=30.0, amorphous=0.1),
    detector=DetectorKeys(shape=(64, 64), point_spread=1.0, dead=3, hot=2, hot_counts=5.0),
    seed=11,
)
STILL = {"drift": (0.0, 0.0), "descan_y": (0.0, 0.0), "descan_x": (0.0, 0.0)}


def test_a_pattern_at_the_wall_is_the_mixture_of_its_states():
    still = replace(SMALL, scan=replace(SMALL.scan, **STILL))
    spec = replace(still, specimen=replace(SMALL.specimen, amorphous=0.0))
    simulation = prepare(spec)
    row = simulation.specimen.row(3)
    mixed = int(np.abs(row.fractions[0] - 0.5).argmin())
    assert 0.1 < row.fractions[0][mixed] < 0.9
    made = expected_patterns(simulation, row, slice(mixed, mixed + 1))[0]
    tilt_y, tilt_x = row.tilt[:, mixed : mixed + 1]
    plus, minus = (
        table_patterns(
            simulation.table, state, simulation.optics, tilt_y, tilt_x, row.thickness[[mixed]]
        )[0]
        for state in ("+P", "-P")
    )
    wanted = row.fractions[0][mixed] * plus + row.fractions[1][mixed] * minus
    assert made == pytest.approx(spec.scan.electrons * wanted, rel=1e-4, abs=1e-5)


def test_descan_moves_the_pattern_and_amorphous_electrons_are_taken_from_the_crystal():
    spec = replace(
        SMALL,
        scan=replace(SMALL.scan, **{**STILL, "descan_x": (0.0, 28.0)}),
        specimen=SpecimenKeys(),
        geometry=GeometryKeys(angle=0.0),
    )
    simulation = prepare(spec)
    row = simulation.specimen.row(0)
    made = expected_patterns(simulation, row, slice(0, 2))
    assert made[1][:, 2:] == pytest.approx(made[0][:, :-2], rel=1e-3, abs=1e-3)
    dirty = replace(spec, specimen=SpecimenKeys(amorphous=0.3))
    patterns = expected_patterns(prepare(dirty), row, slice(0, 1))[0]
    only_rings = patterns - 0.7 * made[0]
    assert only_rings.min() > 0
    assert only_rings.sum() < 0.3 * spec.scan.electrons


# The same counts however they are asked for


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_scan(SMALL, tmp_path_factory.mktemp("scan") / "small.zarr")


def test_the_file_is_a_calibrated_scan(written):
    found = open_scan(written)
    assert found.shape == (12, 15, 64, 64)
    assert found.scan_step == pytest.approx((1.4, 1.4))
    assert found.k_step == pytest.approx((0.015, 0.015))
    assert found.centre == pytest.approx((31.5, 31.5))
    assert found.complete
    assert found.data.chunksize[2:] == (64, 64)


def test_plain_zarr_and_dask_read_it(written):
    import dask.array as da

    counts = zarr.open_group(written, mode="r")["scan"]
    assert counts.metadata.zarr_format == 3
    assert counts.metadata.dimension_names == ("y", "x", "ky", "kx")
    assert counts.chunks[2:] == (64, 64)
    dasked = da.from_zarr(str(written), component="scan")
    assert np.array_equal(np.asarray(dasked), counts[...])
    assert np.array_equal(zarr.open_array(written / "truth" / "labels"), truth(written).labels)


def test_the_lazy_scan_is_the_file(written):
    lazy, stored = scan(SMALL), open_scan(written)
    assert lazy.signature == stored.signature
    assert lazy.centre == (31.5, 31.5)
    whole = np.asarray(stored.data)
    assert np.array_equal(np.asarray(lazy.data), whole)
    assert np.array_equal(np.asarray(lazy.data.rechunk((5, 4, -1, -1))), whole)
    assert np.array_equal(np.asarray(lazy.data[7, 3:9:2, ::-1, 5]), whole[7, 3:9:2, ::-1, 5])
    assert np.array_equal(np.asarray(lazy.data[[4, 2], 14]), whole[[4, 2], 14])


def test_chunks_and_threads_do_not_change_the_counts(written, tmp_path, monkeypatch):
    whole = np.asarray(open_scan(written).data)
    pattern = 64 * 64 * 2
    for chunk, at_once, cores in ((4 * pattern, 2**12, {0}), (40 * pattern, 2**14, {0, 1, 2})):
        monkeypatch.setattr("napari_ferro4d.simulate.scans.store._CHUNK_BYTES", chunk)
        monkeypatch.setattr("napari_ferro4d.simulate.scans.scan_rows._PIXELS_AT_ONCE", at_once)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: cores, raising=False)
        other = write_scan(SMALL, tmp_path / f"{chunk}.zarr")
        stored = zarr.open_group(other, mode="r")["scan"]
        assert stored.chunks[:2] == ((1, 4) if chunk == 4 * pattern else (2, 15))
        assert np.array_equal(stored[...], whole)


def test_seeds_change_the_counts_and_nothing_else(written):
    other = scan(replace(SMALL, seed=12))
    one, two = np.asarray(open_scan(written).data), np.asarray(other.data)
    assert not np.array_equal(one, two)
    assert two.mean() == pytest.approx(one.mean(), rel=0.01)


def test_noise_of_a_scan_is_poisson():
    spec = replace(
        SMALL,
        scan=replace(SMALL.scan, shape=(6, 40)),
        detector=DetectorKeys(shape=(64, 64), point_spread=1.0),
    )
    simulation = prepare(spec)
    from napari_ferro4d.simulate.diffraction import blur

    counts = np.asarray(scan(spec).data).astype(float)
    mean = np.stack(
        [expected_patterns(simulation, simulation.specimen.row(n), slice(None)) for n in range(6)]
    )
    for row in mean:
        blur(row, simulation.detector.kernel)
    lit = mean > 0.2
    deviation = (counts[lit] - mean[lit]) ** 2 / mean[lit]
    error = np.sqrt(np.mean(2 + 1 / mean[lit]) / lit.sum())
    assert deviation.mean() == pytest.approx(1, abs=5 * error)


# Truth beside the scan


def test_truth_is_that_of_the_specimen(written):
    found, known = truth(written), rows(SMALL)
    for name in ("labels", "domains", "wall", "thickness", "tilt", "shift", "charge", "fractions"):
        assert np.allclose(getattr(found, name), known[name], atol=1e-5), name
    assert np.allclose(found.polarization, known["polarisation"], atol=1e-6)
    assert found.labels.dtype == np.uint8
    assert found.wall.dtype == bool
    assert found.states == ("+P", "-P")
    assert found.scan_step == (1.4, 1.4)


def test_a_scan_without_truth_says_so(tmp_path):
    zarr.create_array(str(tmp_path / "other.zarr"), data=np.zeros((2, 2, 4, 4)))
    with pytest.raises(ScanError, match=r"other\.zarr: is not a simulated scan"):
        truth(tmp_path / "other.zarr")
    with pytest.raises(ScanError, match=r"nowhere\.zarr"):
        truth(tmp_path / "nowhere.zarr")


# Writing


def test_other_folders_are_not_overwritten(tmp_path, written):
    other = tmp_path / "mine.zarr"
    zarr.create_array(str(other), data=np.zeros((2, 2, 4, 4)))
    with pytest.raises(ScanError, match=r"mine\.zarr: exists and is not a simulated scan"):
        write_scan(SMALL, other)
    with pytest.raises(ScanError, match=r"scan\.npy: .*ends in \.zarr"):
        write_scan(SMALL, tmp_path / "scan.npy")
    (tmp_path / "file").write_text("")
    with pytest.raises(ScanError, match=r"cannot be written"):
        write_scan(SMALL, tmp_path / "file" / "scan.zarr")


def test_a_simulated_scan_is_replaced_as_a_whole(tmp_path):
    tiny = replace(SMALL, scan=replace(SMALL.scan, shape=(3, 4)))
    path = write_scan(tiny, tmp_path / "scan.zarr")
    write_scan(replace(tiny, scan=replace(tiny.scan, shape=(2, 5))), path)
    assert open_scan(path).scan_shape == (2, 5)
    assert [one.name for one in tmp_path.iterdir()] == ["scan.zarr"]


def test_progress_reaches_the_end_and_cancel_leaves_nothing(tmp_path):
    seen = []
    write_scan(SMALL, tmp_path / "scan.zarr", seen.append)
    assert seen[-1].done == seen[-1].total
    assert {one.message for one in seen} == {"simulating, truth", "simulated patterns"}

    def stop(progress):
        if progress.done > 12:
            raise Cancelled

    with pytest.raises(Cancelled):
        write_scan(SMALL, tmp_path / "cancelled.zarr", stop)
    assert [one.name for one in tmp_path.iterdir()] == ["scan.zarr"]


WRITER = """
import sys
from dataclasses import replace
from napari_ferro4d.simulate import ScanKeys, Spec, write_scan
write_scan(Spec(scan=ScanKeys(shape=(int(sys.argv[2]), 64))), sys.argv[1])
"""


def test_what_a_killed_run_leaves_cannot_be_opened_and_is_cleared_away(tmp_path):
    target = tmp_path / "scan.zarr"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(target), "64"])
    try:
        while not list(tmp_path.glob(".partial-*/scan/c/*")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGSTOP)  # alive, and with chunks left to write
        # A writer that is alive keeps its own: another one of the same name leaves it alone.
        tiny = replace(SMALL, scan=replace(SMALL.scan, shape=(2, 3)))
        write_scan(tiny, target)
        (left,) = tmp_path.glob(".partial-*")
    finally:
        process.kill()
        process.wait()
    assert open_scan(target).scan_shape == (2, 3)
    assert left.exists()
    with pytest.raises(ScanError, match="partial"):
        open_scan(left)
    write_scan(tiny, target)
    assert [one.name for one in tmp_path.iterdir()] == ["scan.zarr"]


def test_memory_does_not_grow_with_the_scan(tmp_path):
    """A scan of 100 MB of counts takes no more memory than one of 34 MB, but for some noise."""
    pytest.importorskip("resource")
    measured = """
import resource, sys
from napari_ferro4d.simulate import ScanKeys, Spec, write_scan
for rows in (16, 48):
    write_scan(Spec(scan=ScanKeys(shape=(rows, 64))), f"{sys.argv[1]}/{rows}.zarr")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    done = subprocess.run(
        [sys.executable, "-c", measured, tmp_path], capture_output=True, text=True, check=True
    )
    small, large = (int(peak) / 1024 for peak in done.stdout.split())
    assert open_scan(tmp_path / "48.zarr").scan_shape == (48, 64)
    assert large - small < 40
