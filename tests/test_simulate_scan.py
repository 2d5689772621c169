"""Simulated scans: truth, mixed probe, the same counts however they are asked for, safe files."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from scipy.optimize import curve_fit
from scipy.special import erf

from napari_ferro4d.errors import ScanError
from napari_ferro4d.io import open_scan
from napari_ferro4d.jobs import Cancelled
from napari_ferro4d.simulate._scan import expected_patterns, prepare, scan
from napari_ferro4d.simulate._store import truth, write_scan
from napari_ferro4d.simulate.spec import (
    DetectorKeys,
    GeometryKeys,
    ScanKeys,
    Spec,
    SpecimenKeys,
    WallKeys,
)
from napari_ferro4d.simulate.table import table_patterns

SMALL = Spec(
    scan=ScanKeys(shape=(12, 15), drift=(1.0, -0.5), descan_y=(2.0, 0.5)),
    geometry=GeometryKeys(kind="vortex", angle=30.0),
    specimen=SpecimenKeys(thickness=(50.0, 60.0), bend=1.0, bend_period=30.0, amorphous=0.1),
    detector=DetectorKeys(shape=(64, 64), point_spread=1.0, dead=3, hot=2, hot_counts=5.0),
    seed=11,
)
STILL = {"drift": (0.0, 0.0), "descan_y": (0.0, 0.0), "descan_x": (0.0, 0.0)}


def rows(spec):
    """Return the truth of all rows, each array ``[..., y, x]``."""
    specimen = prepare(spec).specimen
    made = [specimen.row(n) for n in range(spec.scan.shape[0])]
    return {name: np.stack([getattr(row, name) for row in made], axis=-2) for name in vars(made[0])}


def fraction_of(spec, state):
    return rows(spec)["fractions"][list(prepare(spec).specimen.states).index(state)]


# Geometry and truth


def test_a_vortex_has_six_domains_of_alternating_polarity():
    spec = Spec(
        scan=ScanKeys(shape=(61, 61), step=1.0), geometry=GeometryKeys(kind="vortex", angle=30.0)
    )
    known = rows(spec)
    assert set(np.unique(known["domains"])) == set(range(1, 7))
    ring = [
        (round(30 - 20 * np.sin(phi)), round(30 + 20 * np.cos(phi)))
        for phi in np.deg2rad(np.arange(60, 420, 60))
    ]
    assert [known["domains"][at] for at in ring] == [1, 2, 3, 4, 5, 6]
    assert [known["labels"][at] for at in ring] == [1, 2, 1, 2, 1, 2]
    # +P points up, to negative y; nothing points sideways or along the beam.
    assert [known["polarisation"][0][at] for at in ring] == pytest.approx([-1, 1, -1, 1, -1, 1])
    assert np.abs(known["polarisation"][1:]).max() == 0


@pytest.mark.parametrize("angle", [30.0, 0.0, 17.0])
def test_wall_charge_is_the_jump_of_polarisation_across_the_wall(angle):
    spec = Spec(
        scan=ScanKeys(shape=(101, 101), step=0.5, probe_fwhm=2.0),
        geometry=GeometryKeys(kind="vortex", angle=angle),
    )
    charge = rows(spec)["charge"]
    place = (np.arange(101) - 50) * 0.5
    y, x = np.meshgrid(place, place, indexing="ij")
    radius, phi = np.hypot(y, x), np.rad2deg(np.arctan2(-y, x))
    for number in range(6):
        wall = np.deg2rad(angle + 60 * number)
        # The sum over a box around a piece of the wall is charge per length times the length.
        along = x * np.cos(wall) - y * np.sin(wall)
        across = -x * np.sin(wall) - y * np.cos(wall)  # counter-clockwise of the wall
        box = (along >= 12) & (along < 20) & (np.abs(across) < 4)
        per_length = charge[box].sum() * 0.5**2 / 8
        # Sectors are +P, -P, ...: P is (-1, 0) in (y, x) counter-clockwise of an even wall. The
        # normal points counter-clockwise: (y, x) = (-cos, -sin).
        sign = 1 if number % 2 == 0 else -1
        after, before = np.array([-sign, 0]), np.array([sign, 0])
        normal = np.array([-np.cos(wall), -np.sin(wall)])
        assert per_length == pytest.approx((before - after) @ normal, abs=0.06)
    assert np.abs(charge[(radius > 8) & (np.abs((phi - angle + 30) % 60 - 30) > 25)]).max() < 1e-3


def test_head_to_head_is_positive_tail_to_tail_negative_and_along_the_axis_neutral():
    def mid_charge(states, angle):
        spec = Spec(
            scan=ScanKeys(shape=(21, 21), step=1.0),
            geometry=GeometryKeys(kind="domains", states=states, angle=angle),
        )
        return rows(spec)["charge"].sum() / 21

    # The wall is horizontal, the first state above it.
    assert mid_charge(("-P", "+P"), 0.0) == pytest.approx(2, abs=0.02)
    assert mid_charge(("+P", "-P"), 0.0) == pytest.approx(-2, abs=0.02)
    assert mid_charge(("+P", "-P"), 90.0) == pytest.approx(0, abs=1e-6)


def test_stripes_come_at_their_period_and_the_first_is_in_the_middle():
    spec = Spec(
        scan=ScanKeys(shape=(5, 101), step=1.0),
        geometry=GeometryKeys(kind="stripes", period=20.0, angle=90.0),
    )
    labels = rows(spec)["labels"][2]
    assert labels[50] == 1
    changes = np.flatnonzero(np.diff(labels.astype(int)))
    assert np.diff(changes) == pytest.approx(10, abs=0.1)
    assert len(np.unique(rows(spec)["domains"][2])) == len(changes) + 1


def test_three_states_alternate_in_the_region_at_the_wall():
    spec = Spec(
        scan=ScanKeys(shape=(60, 60), step=1.0, probe_fwhm=1.5),
        optics=replace(Spec().optics, table="boracite", convergence=0.8, k_step=0.0132),
        geometry=GeometryKeys(
            kind="three-state",
            states=("right", "up", "along"),
            angle=0.0,
            region=20.0,
            period=24.0,
        ),
    )
    known = rows(spec)
    assert (known["labels"][:18] == 1).all()
    assert (known["labels"][42:] == 2).all()
    middle = known["labels"][30]
    order = [int(v) for n, v in enumerate(middle) if n == 0 or v != middle[n - 1]]
    assert {3} == set(order[order.index(3) :: 2])
    assert set(order) == {1, 2, 3}
    assert known["polarisation"][:, 5, 30] == pytest.approx([0, 1, 0], abs=1e-3)
    assert known["polarisation"][:, 55, 30] == pytest.approx([-1, 0, 0], abs=1e-3)
    along = known["polarisation"][2] > 0.5
    assert along[25:35].mean() == pytest.approx(0.5, abs=0.1)
    assert not along[:18].any()
    # A needle is one with its domain: no wall where it leaves it.
    column = int(np.flatnonzero(middle == 1)[2])
    assert not known["wall"][:30, column].any()


def test_a_label_image_is_the_geometry(tmp_path):
    image = np.ones((20, 30), np.uint8)
    image[5:15, 10:20] = 2
    image[:, 25:] = 3
    np.save(tmp_path / "image.npy", image)
    geometry = GeometryKeys(
        kind="image", states=("+P", "-P", "nonpolar"), image=str(tmp_path / "image.npy")
    )
    spec = Spec(scan=ScanKeys(shape=(40, 60), step=0.7), geometry=geometry)
    assert np.array_equal(rows(spec)["labels"], image.repeat(2, 0).repeat(2, 1))
    known = rows(spec)
    assert known["fractions"][1][20, 30] == pytest.approx(1, abs=1e-3)
    # One pixel per position, whatever the scan: what lies outside the image is as its edge.
    pixels = Spec(scan=ScanKeys(shape=(20, 40), step=1.0), geometry=replace(geometry, pixel=1.0))
    assert np.array_equal(rows(pixels)["labels"][:, 5:35], image)
    np.save(tmp_path / "image.npy", image - 1)
    with pytest.raises(ScanError, match=r"geometry\.image: labels are 1 to 3.*0 to 2"):
        prepare(spec)


def test_thickness_tilt_drift_and_shift_are_as_specified():
    known = rows(
        Spec(
            scan=ScanKeys(shape=(31, 41), step=1.0, descan_y=(2.0, -1.0), descan_x=(0.0, 4.0)),
            specimen=SpecimenKeys(
                thickness=(50.0, 70.0),
                wedge_angle=0.0,
                tilt=(0.2, -0.1),
                bend=0.8,
                bend_angle=90.0,
                bend_period=60.0,
            ),
        )
    )
    assert known["thickness"][7] == pytest.approx(np.linspace(50, 70, 41))
    y = np.arange(31) - 15
    # Bending about x: the direction that "90 degrees" names is up, so y falls along it.
    assert known["tilt"][0][:, 3] == pytest.approx(0.2 + 0.8 * np.sin(2 * np.pi * y / 60))
    assert known["tilt"][1] == pytest.approx(np.full((31, 41), -0.1))
    assert known["shift"][:, -1, -1] - known["shift"][:, 0, 0] == pytest.approx([2.0, 3.0])
    assert known["shift"][:, 15, 20] == pytest.approx([0, 0])


def test_drift_moves_the_probe_over_the_specimen():
    still = Spec(scan=ScanKeys(shape=(41, 41), step=1.0))
    drifting = replace(still, scan=replace(still.scan, drift=(0.0, 10.0)))

    def wall(spec):
        return (fraction_of(spec, "+P")).sum(axis=1)

    moved = wall(still) - wall(drifting)
    assert moved[0] == pytest.approx(0.2, abs=0.3)
    assert moved[-1] == pytest.approx(9.8, abs=0.3)


# A probe of finite size


@pytest.mark.parametrize("fwhm", [1.0, 2.0, 5.0])
def test_a_sharp_wall_is_as_wide_as_the_probe(fwhm):
    spec = Spec(
        scan=ScanKeys(shape=(1, 161), step=0.15, probe_fwhm=fwhm),
        wall=WallKeys(width=0.0),
    )
    share = fraction_of(spec, "-P")[0]
    x = (np.arange(161) - 80) * 0.15
    (place, sigma), _ = curve_fit(
        lambda x, place, sigma: (1 + erf((x - place) / (np.sqrt(2) * sigma))) / 2,
        x,
        share,
        (0.1, 1),
    )
    assert 2.3548 * sigma == pytest.approx(fwhm, rel=0.02)
    assert place == pytest.approx(0, abs=0.02 * fwhm)


def test_walls_wider_than_the_probe_show_their_own_width():
    spec = Spec(
        scan=ScanKeys(shape=(1, 161), step=0.15, probe_fwhm=0.8),
        wall=WallKeys(width=6.0),
    )
    share = fraction_of(spec, "-P")[0]
    x = (np.arange(161) - 80) * 0.15
    assert share == pytest.approx((1 + np.tanh(2 * x / 6)) / 2, abs=0.01)


@pytest.mark.parametrize("structure", ["nonpolar", "intermediate"])
def test_the_inside_of_a_wall_can_be_another_state(structure):
    spec = Spec(
        scan=ScanKeys(shape=(1, 161), step=0.15, probe_fwhm=0.8),
        wall=WallKeys(width=4.0, structure=structure),
    )
    known = rows(spec)
    inside = fraction_of(spec, "nonpolar")[0]
    x = (np.arange(161) - 80) * 0.15
    if structure == "nonpolar":
        assert inside.sum() * 0.15 == pytest.approx(4.0, rel=0.02)
        assert inside[80] == pytest.approx(1, abs=1e-6)
    else:
        polar = 1 - inside
        away = np.abs(x) > 1
        assert polar[away] == pytest.approx(np.abs(np.tanh(2 * x / 4))[away], abs=0.02)
    assert known["polarisation"][0][0] == pytest.approx(
        fraction_of(spec, "-P")[0] - fraction_of(spec, "+P")[0]
    )
    assert known["wall"][0].any()


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
    from napari_ferro4d.simulate import _scan, _store

    whole = np.asarray(open_scan(written).data)
    pattern = 64 * 64 * 2
    for chunk, at_once, cores in ((4 * pattern, 2**12, {0}), (40 * pattern, 2**14, {0, 1, 2})):
        monkeypatch.setattr(_store, "_CHUNK_BYTES", chunk)
        monkeypatch.setattr(_scan, "_PIXELS_AT_ONCE", at_once)
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
    from napari_ferro4d.simulate._disks import blur

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
from napari_ferro4d.simulate._store import write_scan
from napari_ferro4d.simulate.spec import ScanKeys, Spec
write_scan(Spec(scan=ScanKeys(shape=(int(sys.argv[2]), 64))), sys.argv[1])
"""


def test_what_a_killed_run_leaves_cannot_be_opened_and_is_cleared_away(tmp_path):
    target = tmp_path / "scan.zarr"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(target), "4000"])
    try:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob(".partial-*/scan/c/*")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
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
    measured = WRITER + "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    peaks = []
    for n in (16, 48):
        path = str(tmp_path / f"{n}.zarr")
        done = subprocess.run(
            [sys.executable, "-c", measured, path, str(n)],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout) / 1024)
    assert Path(path).exists()
    assert peaks[1] - peaks[0] < 40
