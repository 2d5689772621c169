"""Tables of diffracted intensities: they say what the calculation says, and fit into 3 MB."""

from __future__ import annotations

import itertools
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from helpers.simulated_patterns import scattering_matrix
from napari_ferro4d.errors import ScanError
from napari_ferro4d.simulate import (
    Optics,
    structure_matrix,
    wavelength,
    zone_beams,
)
from napari_ferro4d.simulate.crystal import (
    BORACITE_STATES,
    boracite,
    boracite_cubic,
    ermno3,
    ermno3_trimerised,
    ermno3_wall,
)
from napari_ferro4d.simulate.diffraction import (
    TABLES,
    State,
    Table,
    add_patterns,
    compute,
    find,
    load_table,
    table_patterns,
    waves,
    write_table,
)

MANGANITE = Optics(200.0, 2.0, 0.015, (128, 128))
BORACITE = Optics(300.0, 0.8, 0.0132, (128, 128))

# The phase of the trimerisation turns either way: the pattern is the mean of both.
HEADS = (ermno3_wall(1), replace(ermno3_wall(1), positions=ermno3_trimerised(1.0, -30.0).positions))

# Every state of both tables, and its crystal and orientation by another way: the tables turn and
# mirror what they hold, these are calculated as they stand.
STATES = [
    ("ermno3", "+P", ermno3(1), (1, 0, 0), (0, 0, 1), 50),
    ("ermno3", "-P", ermno3(-1), (1, 0, 0), (0, 0, 1), 4),
    ("ermno3", "nonpolar", ermno3(0), (1, 0, 0), (0, 0, 1), 4),
    ("ermno3", "head-to-head", HEADS, (1, 0, 0), (0, 0, 1), 3),
    ("ermno3", "tail-to-tail", ermno3_wall(-1), (1, 0, 0), (0, 0, 1), 3),
    ("boracite", "up", boracite(), *BORACITE_STATES["up"], 4),
    ("boracite", "right", boracite(), *BORACITE_STATES["right"], 3),
    ("boracite", "along", boracite(), *BORACITE_STATES["along"], 4),
    ("boracite", "cubic", boracite_cubic(), (1, 0, 0), (0, 1, 0), 4),
]


def direct(crystal, table, zone_axis, up, g, k_t, steps):
    """Return the beams at `g` ``[n, beam]`` for n beam directions, after so many steps of 1.7 nm.

    Every direction goes through the crystal as it is asked for, nothing is interpolated.
    """
    beams = zone_beams(crystal, table.notes["g_max"], zone_axis, up)
    coupling = structure_matrix(crystal, beams, table.kilovolts)
    order = find(beams.g, g)
    assert (order >= 0).all()
    out = np.empty((len(k_t), len(g)))
    for n, wave in enumerate(waves(coupling, beams, k_t, 1.7, table.kilovolts), start=1):
        out[steps == n] = np.abs(wave[order][:, steps == n].T) ** 2
        if n == steps.max():
            return out


def at_one_point(table, state, optics, tilt, nm, g, inside):
    """Return the kernel's intensity of every beam at one point of its disk.

    One pattern per beam, shifted so that the point of this beam's disk falls on pixel (64, 64).
    """
    n = len(g)
    shift = 64 - np.array(optics.centre) - (g + inside) / optics.k_step
    out = np.zeros((n, *optics.detector_shape), np.float32)
    add_patterns(
        out, table, state, optics, np.tile(tilt, (n, 1)), np.full(n, nm), np.ones(n), shift
    )
    return out[:, 64, 64] * np.pi * (optics.disk_radius / optics.k_step) ** 2


@pytest.mark.parametrize(("name", "state", "crystal", "zone", "up", "places"), STATES)
def test_patterns_are_within_two_percent_of_the_calculation(name, state, crystal, zone, up, places):
    """At random tilts, thicknesses and places in the disks; a pattern is a sum over all beams."""
    table = load_table(name)
    # Small pixels: no point that is asked for lies on the soft edge of a disk.
    optics = replace(MANGANITE if name == "ermno3" else BORACITE, k_step=0.004)
    turned = table.state(state)
    g = table.computed[turned.computed].g
    if turned.turn in ("quarter turn", "three-quarter turn"):
        g = g[:, ::-1]
    per_mrad = 1e-3 / wavelength(optics.kilovolts)
    room = (table.reach - optics.disk_radius - optics.k_step / 2) / per_mrad
    rng = np.random.default_rng(5)
    tilts = rng.uniform(-room, room, (places, 2))
    low, high = table.thickness_range
    steps = rng.integers(np.ceil(low / 1.7), np.floor(high / 1.7) + 1, places)
    angle, part = rng.uniform(0, 2 * np.pi, places), 0.9 * np.sqrt(rng.uniform(size=places))
    inside = part * optics.disk_radius * np.array([np.sin(angle), np.cos(angle)])
    k_t = tilts * per_mrad + inside.T
    crystals = crystal if isinstance(crystal, tuple) else (crystal,)
    wanted = np.mean([direct(one, table, zone, up, g, k_t, steps) for one in crystals], axis=0)
    errors = []
    for n in range(places):
        found = at_one_point(table, state, optics, tilts[n], 1.7 * steps[n], g, inside[:, n])
        errors.append(np.abs(found - wanted[n]).sum() / wanted[n].sum())
    assert max(errors) < 0.02
    assert np.mean(errors) < 0.01


def plain_patterns(table, optics, tilt_y, tilt_x, thickness):
    """Return patterns of the first state, each disk interpolated by scipy."""
    made = table.computed[0]
    k_step, t_step = table.k_t[1] - table.k_t[0], table.thickness[1] - table.thickness[0]
    tilts = np.stack([tilt_y, tilt_x], axis=-1) * 1e-3 / wavelength(optics.kilovolts)
    pixels = np.indices(optics.detector_shape) - np.array(optics.centre)[:, None, None]
    out = np.zeros((len(tilts), *optics.detector_shape))
    for g, intensity in zip(made.g, made.intensity.astype(float), strict=True):
        q = np.moveaxis(pixels, 0, -1) * optics.k_step - g
        # A pixel that the edge of the aperture cuts gets its share.
        away = np.hypot(q[..., 0], q[..., 1])
        inside = np.clip((optics.disk_radius - away) / optics.k_step + 0.5, 0, 1)
        lit = inside > 0
        where = (q[lit][None] + tilts[:, None] - table.k_t[0]) / k_step
        depth = (thickness - table.thickness[0])[:, None] / t_step
        at = [np.broadcast_to(depth, where.shape[:2]), where[..., 0], where[..., 1]]
        value = map_coordinates(intensity, at, order=3, mode="mirror")
        out[:, lit] += inside[lit] * np.clip(value, 0, None)
    return out / (np.pi * (optics.disk_radius / optics.k_step) ** 2)


def test_kernel_is_the_spline_of_scipy():
    table = load_table("ermno3")
    rng = np.random.default_rng(1)
    tilt_y, tilt_x = rng.uniform(-1.5, 1.5, (2, 6))
    nm = rng.uniform(40, 100, 6)
    nm[:2] = 40, 100  # the ends of the range
    fast = table_patterns(table, "+P", MANGANITE, tilt_y, tilt_x, nm)
    reference = plain_patterns(table, MANGANITE, tilt_y, tilt_x, nm)
    assert np.abs(fast - reference).sum() < 1e-5 * reference.sum()


def test_states_are_mirror_images_and_turned_copies():
    tilt, nm = np.array([0.4]), np.array([63.0])
    manganite, boracites = load_table("ermno3"), load_table("boracite")
    plus = table_patterns(manganite, "+P", MANGANITE, tilt, 0.3 * tilt, nm)[0]
    minus = table_patterns(manganite, "-P", MANGANITE, -tilt, 0.3 * tilt, nm)[0]
    assert np.allclose(plus, minus[::-1], atol=1e-7)
    up = table_patterns(boracites, "up", BORACITE, tilt, 0.3 * tilt, nm)[0]
    # Clockwise by a quarter: a tilt up becomes one to the right, that is, down is to the left.
    right = table_patterns(boracites, "right", BORACITE, 0.3 * tilt, -tilt, nm)[0]
    assert np.allclose(right, np.rot90(up, -1), atol=1e-7)
    down = table_patterns(boracites, "down", BORACITE, -tilt, 0.3 * tilt, nm)[0]
    left = table_patterns(boracites, "left", BORACITE, 0.3 * tilt, tilt, nm)[0]
    assert np.allclose(down, up[::-1], atol=1e-7)
    assert np.allclose(left, right[:, ::-1], atol=1e-7)
    assert np.abs(right - up).sum() > 0.5 * up.sum()


def test_only_the_polar_states_break_the_symmetry():
    table, zero = load_table("ermno3"), np.zeros(1)
    for state, broken in (("+P", True), ("nonpolar", False)):
        pattern = table_patterns(table, state, MANGANITE, zero, zero, np.array([75.0]))[0]
        asymmetry = np.abs(pattern - pattern[::-1]).sum() / pattern.sum()
        assert (asymmetry > 0.02) if broken else (asymmetry < 1e-3)
        left_right = np.abs(pattern - pattern[:, ::-1]).sum() / pattern.sum()
        assert left_right < 1e-3


def test_polarisation_vectors_fit_the_states():
    table = load_table("boracite")
    vectors = {one.name: one.polarisation for one in table.states}
    assert vectors["up"] == (-1, 0, 0)
    assert vectors["right"] == (0, 1, 0)
    assert vectors["along"] == (0, 0, 1)
    assert vectors["cubic"] == (0, 0, 0)
    assert load_table("ermno3").state("+P").polarisation == (-1, 0, 0)


@pytest.mark.parametrize("g_max", [1.2, 1.8])
def test_slices_are_the_matrix_exponential(g_max):
    beams = zone_beams(ermno3(1), g_max)
    coupling = structure_matrix(ermno3(1), beams)
    k_t = np.array([[0.02, -0.05], [-0.1, 0.0]])
    exact = [np.abs(scattering_matrix(coupling, beams, k, 60.0)[:, 0]) ** 2 for k in k_t]
    for slice_thickness, allowed in ((1.0, 2e-3), (0.5, 5e-4)):
        through = waves(coupling, beams, k_t, 15.0, 200.0, slice_thickness)
        *_, last = itertools.islice(through, 4)
        difference = np.abs(np.abs(last.T) ** 2 - exact).sum(axis=1) / np.sum(exact, axis=1)
        assert difference.max() < allowed


def test_shipped_tables_are_small():
    folder = Path(str(files("napari_ferro4d") / "data"))
    sizes = [(folder / f"table_{name}.npz").stat().st_size for name in TABLES]
    assert sum(sizes) < 3e6


# Making and storing


@pytest.fixture(scope="module")
def small():
    half = 3
    k_t = np.arange(-half, half + 1) * 0.4e-3 / wavelength(200)
    nm = 51 + 3.0 * np.arange(-2, 5)
    made = compute(
        ermno3(1),
        zone_axis=(1, 0, 0),
        up=(0, 0, 1),
        kilovolts=200.0,
        k_t=k_t,
        thickness=nm,
        k_max=0.5,
        g_max=0.8,
        symmetries=("left-right",),
    )
    states = (State("+P", 0, "same", (-1, 0, 0)), State("-P", 0, "up-down", (1, 0, 0)))
    return Table("small", "ErMnO3", 200.0, k_t, nm, 0.5, (made,), states)


def test_a_file_gives_back_the_table(small, tmp_path):
    path = write_table(tmp_path / "small.npz", small)
    back = load_table(path)
    assert np.abs(back.computed[0].intensity - small.computed[0].intensity).max() < 2.1e-5
    assert np.array_equal(back.computed[0].hkl, small.computed[0].hkl)
    assert np.allclose(back.k_t, small.k_t)
    assert np.allclose(back.thickness, small.thickness)
    assert back.states == small.states
    assert back.nonpolar is None
    # Half of the beams are left out of the file, being mirror images of the others.
    with np.load(path) as stored:
        assert len(stored["low0"]) < 0.65 * len(small.computed[0].g)


def test_the_same_table_is_the_same_file(small, tmp_path):
    one, two = (write_table(tmp_path / f"{n}.npz", small).read_bytes() for n in (1, 2))
    assert one == two


def test_a_symmetry_that_is_not_there_is_refused(small):
    with pytest.raises(ScanError, match="lacks the symmetries"):
        compute(
            ermno3(1),
            zone_axis=(1, 0, 0),
            up=(0, 0, 1),
            kilovolts=200.0,
            k_t=small.k_t[2:5],
            thickness=small.thickness,
            k_max=0.5,
            g_max=0.8,
            symmetries=("up-down",),
        )


def test_damaged_and_missing_tables_are_named(small, tmp_path):
    with pytest.raises(ScanError, match=r"nothing.*ermno3, boracite"):
        load_table("nothing")
    path = write_table(tmp_path / "cut.npz", small)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ScanError, match=r"cut\.npz.*make it again"):
        load_table(path)
    with pytest.raises(ScanError, match=r"'sideways'.*'\+P'"):
        load_table("ermno3").state("sideways")


@pytest.mark.parametrize(
    ("change", "tilt", "nm", "message"),
    [
        ({}, 0.0, 101.0, r"thickness: 101 to 101 nm.*ermno3 reaches from 40 to 100"),
        ({}, 0.0, 39.0, "thickness"),
        ({}, 2.5, 60.0, r"tilt: up to 2.5 mrad.*reaches 1\.\d+ mrad"),
        ({"convergence": 9.0}, 0.0, 60.0, r"convergence: disks of 9 mrad overlap.*2\.\d+ mrad"),
        ({"k_step": 0.03}, 0.0, 60.0, r"detector: the detector reaches 1\.92"),
        ({"kilovolts": 300.0}, 0.0, 60.0, r"kilovolts: 300 kV.*200 kV"),
    ],
)
def test_what_a_table_does_not_cover_is_refused(change, tilt, nm, message):
    optics = replace(MANGANITE, **change)
    one = np.ones(1)
    with pytest.raises(ScanError, match=message):
        table_patterns(load_table("ermno3"), "+P", optics, tilt * one, 0 * one, nm * one)
