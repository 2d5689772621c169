"""Reference patterns: symmetry, kinematical limit, and two methods that know nothing of each other.

What runs abTEM is small: thin crystals, coarse grids, few beam directions.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from helpers.simulated_patterns import PLUS, pattern_of, scattering_matrix, small_table
from napari_ferro4d.simulate import (
    BORACITE_STATES,
    Optics,
    batio3,
    boracite,
    boracite_cubic,
    detector_frame,
    ermno3,
    plane_wave_intensities,
    reference,
    structure_factor,
    structure_matrix,
    wavelength,
    ymno3,
    zone_beams,
)

NEAR_AXIS = np.array([[0.012, -0.021]])  # 1/angstrom, about half a mrad off the zone axis
# Four directions, and their mirror images up-down, and both turned by 180 degrees.
FOUR = np.array([[0.0, 0.0], [0.01, 0.02], [0.03, -0.012], [0.021, 0.0]])
MATRIX = "scattering-matrix"
COARSE = {"sampling": 0.12, "g_kept": 0.9}


def partner(beams, signs):
    """Index of the beam at the mirrored place of each beam."""
    return [np.abs(beams.g - g).sum(axis=1).argmin() for g in beams.g * signs]


# Friedel's law and polarity, by both methods


@pytest.mark.parametrize("method", ["multislice", MATRIX])
def test_friedel_holds_without_polarity_and_states_are_reversed_exactly(method, request):
    if method == "multislice":
        request.getfixturevalue("abtem")
    options = {"method": method, "g_max": 1.0, **COARSE}
    both = np.concatenate([FOUR, -FOUR])
    beams, intensity, _ = plane_wave_intensities(ermno3(0), both, [12.0], **options)
    turned = partner(beams, [-1, -1])
    difference = np.abs(intensity[:4] - intensity[4:, :, turned])
    assert difference.max() < 1e-3 * intensity.max()

    beams, plus, _ = plane_wave_intensities(ermno3(1), both, [12.0], **options)
    broken = np.abs(plus[:4] - plus[4:, :, partner(beams, [-1, -1])])
    assert broken.max() > 0.01 * plus.max()

    mirrored = both * [-1, 1]
    _, minus, _ = plane_wave_intensities(ermno3(-1), mirrored, [12.0], **options)
    difference = np.abs(plus - minus[:, :, partner(beams, [-1, 1])])
    assert difference.max() < 1e-3 * plus.max()


@pytest.mark.parametrize("name", ["ermno3", "batio3"])
def test_patterns_of_opposite_polarisation_are_mirror_images(name):
    options = {"thickness": [30, 60], "method": MATRIX, "g_max": 1.0, "convergence": 1.2}
    plus, minus = (reference(f"{name}{sign}", **options) for sign in "+-")
    none = reference(f"{name}-nonpolar", **options).patterns
    assert np.allclose(plus.patterns, minus.patterns[:, ::-1], atol=1e-7)
    assert np.allclose(none, none[:, ::-1, ::-1], atol=1e-3 * none.max())
    change = np.abs(plus.patterns - minus.patterns).sum(axis=(1, 2))
    assert np.all(change > 0.03 * plus.patterns.sum(axis=(1, 2)))


def test_tilted_states_are_mirror_images_under_the_mirrored_tilt():
    options = {"thickness": 40, "method": MATRIX, "g_max": 1.0, "convergence": 1.0}
    plus = reference("ermno3+", tilt=(2.0, 1.0), **options).patterns[0]
    minus = reference("ermno3-", tilt=(-2.0, 1.0), **options).patterns[0]
    assert np.allclose(plus, minus[::-1], atol=1e-7)
    assert not np.allclose(plus, plus[::-1], atol=1e-3)


# Multislice against what is known without it


def test_one_cell_scatters_kinematically(abtem):
    crystal = boracite_cubic()
    beams, intensity, nm = plane_wave_intensities(
        crystal, np.zeros((1, 2)), [1.187], absorption=0, sampling=0.08, g_kept=0.9
    )
    gamma = 1 + 200 / 510.99895
    amplitude = gamma * wavelength(200) * 10 * nm[0] / crystal.volume
    kinematical = (amplitude * np.abs(structure_factor(crystal, beams.hkl))) ** 2
    strong = np.flatnonzero(kinematical > 0.1 * np.sort(kinematical)[-2])[1:]
    assert len(strong) >= 8
    assert intensity[0, 0, strong] == pytest.approx(kinematical[strong], rel=0.05)


def test_multislice_and_the_scattering_matrix_agree_on_30_nm(abtem):
    # Atoms so warm that both methods converge with few beams and on a coarse grid.
    warm = replace(ermno3(), debye_waller=dict.fromkeys(["Er", "Mn", "O"], 1.5))
    options = {"absorption": 0.0, "g_kept": 1.2}
    beams, exact, nm = plane_wave_intensities(warm, NEAR_AXIS, [30.0], sampling=0.05, **options)
    other, sliced, _ = plane_wave_intensities(
        warm, NEAR_AXIS, nm, method=MATRIX, g_max=2.5, **options
    )
    assert np.array_equal(beams.hkl, other.hkl)
    strong = exact[0, 0] > 0.02
    assert strong.sum() >= 7
    assert sliced[0, 0, strong] == pytest.approx(exact[0, 0, strong], rel=0.05)
    # 006 and 00-6 differ much and in the same sense.
    index = {tuple(hkl): i for i, hkl in enumerate(beams.hkl.tolist())}
    for intensity in (exact[0, 0], sliced[0, 0]):
        assert intensity[index[0, 0, 6]] > 1.3 * intensity[index[0, 0, -6]]


def test_absorption_is_the_same_in_both(abtem):
    lost = []
    for method in ("multislice", MATRIX):
        sums = [
            plane_wave_intensities(
                ymno3(), NEAR_AXIS, [20.0], absorption=a, method=method, sampling=0.1, g_kept=1.6
            )[1].sum()
            for a in (0.0, 0.03)
        ]
        lost.append(1 - sums[1] / sums[0])
    assert 0.05 < lost[0] < 0.3
    assert lost[0] == pytest.approx(lost[1], rel=0.05)


def test_a_site_occupied_by_halves_has_half_the_potential(abtem):
    # The same atoms, each split in two halves at one place.
    whole = batio3()
    split = replace(
        whole,
        elements=whole.elements * 2,
        positions=np.tile(whole.positions, (2, 1)),
        occupancy=np.repeat([0.25, 0.75], len(whole.elements)),
    )
    one, other = (plane_wave_intensities(c, NEAR_AXIS, [4.0], **COARSE)[1] for c in (whole, split))
    assert one == pytest.approx(other, abs=1e-5)


def test_slices_and_grid_are_fine_enough(abtem):
    def intensity(**options):
        whole_cells = [30 * 0.399095]
        result = plane_wave_intensities(batio3(), NEAR_AXIS, whole_cells, g_kept=0.8, **options)
        return result[1][0, 0]

    default = intensity()
    assert np.abs(intensity(slice_thickness=0.5) - default).max() < 2e-3
    assert np.abs(intensity(sampling=0.035) - default).max() < 1e-2
    assert np.abs(intensity(sampling=0.3) - default).max() > 1e-2


@pytest.mark.parametrize("slices", [2, 3, 6, 7])
def test_no_border_of_slices_parts_an_atom_from_its_mirror_image(abtem, slices):
    # A mirror plane makes left and right equal; atoms lie at 0, 1/6, 1/3, 1/2 ... of the cell.
    edge = 6.1121
    beams, intensity, _ = plane_wave_intensities(
        ermno3(1),
        np.concatenate([FOUR, FOUR * [1, -1]]),
        [4 * edge / 10],
        slice_thickness=edge / slices + 1e-6,
        **COARSE,
    )
    mirrored = intensity[4:, :, partner(beams, [1, -1])]
    assert np.abs(intensity[:4] - mirrored).sum() < 1e-4 * intensity[:4].sum()


def test_plane_waves_are_the_parts_of_a_convergent_probe(abtem):
    # abTEM's own probe on 12 x 12 cells holds the plane waves of every twelfth of a reflection.
    from ase import Atoms

    crystal, n, points = batio3(), 12, 40
    cell = np.array([3.99095, 4.0352, 3.99095])  # abTEM's x, y, z are right, up and the beam
    frame = detector_frame(crystal, (1, 0, 0), (0, 0, 1))
    places = crystal.positions @ crystal.lattice @ frame.T + [0, 0, cell[2] / 4]
    atoms = Atoms(crystal.elements, positions=places % cell, cell=cell, pbc=True) * (n, n, 12)
    sigmas = {e: float(np.sqrt(b / 8) / np.pi) for e, b in crystal.debye_waller.items()}
    with abtem.config.set({"dask.lazy": False, "diagnostics.progress_bar": False}):
        potential = abtem.Potential(
            atoms,
            gpts=(n * points, n * points),
            slice_thickness=cell[2] / 2,
            parametrization=abtem.parametrizations.KirklandParametrization(sigmas=sigmas),
        )
        probe = abtem.Probe(energy=200e3, semiangle_cutoff=1.8)
        probe.grid.match(potential)
        here = (cell[:2] * n / 2)[None]
        before, after = (
            np.squeeze(np.asarray(wave.diffraction_patterns(max_angle=None).array))
            for wave in (probe.build(scan=here), probe.multislice(potential, scan=here))
        )
    middle = np.array(after.shape) // 2
    parts = np.array([(0, 0), (2, 1), (-2, 1), (1, -2)])  # right, up
    k_t = parts[:, ::-1] * [-1, 1] / (n * cell[[1, 0]])
    beams, intensity, _ = plane_wave_intensities(
        crystal,
        k_t,
        [12 * cell[2] / 10],
        absorption=0,
        slice_thickness=cell[2] / 2 + 1e-6,
        sampling=cell[1] / points + 1e-9,
        g_kept=0.6,
    )
    for part, ours in zip(parts, intensity[:, 0], strict=True):
        sent = before[tuple(middle + part)]
        seen = [after[tuple(middle + part + n * hkl[1:])] for hkl in beams.hkl]
        assert ours == pytest.approx(np.array(seen) / sent, rel=0.01, abs=1e-4)
    up, down = (beams.hkl.tolist().index([0, 0, s]) for s in (1, -1))
    assert intensity[0, 0, down] > 1.2 * intensity[0, 0, up]


def test_slices_multiply_out_to_the_scattering_matrix_absorption_and_all():
    # Absorption of first order per wave misses it by more than 1 % of the pattern.
    crystal, nm = ermno3(1), [75.0, 0.0, 30.05, 40.0]
    k_t = np.array([[0.0, -3.4e-3 / wavelength(200)], [0.0, 0.0], [0.05, 0.01]])
    beams = zone_beams(crystal, 1.2)
    coupling = structure_matrix(crystal, beams)
    _, intensity, reached = plane_wave_intensities(crystal, k_t, nm, method=MATRIX, g_max=1.2)
    assert np.array_equal(reached, nm)
    for direction, by_thickness in zip(k_t, intensity, strict=True):
        for depth, ours in zip(nm, by_thickness, strict=True):
            exact = np.abs(scattering_matrix(coupling, beams, direction, depth)[:, 0]) ** 2
            assert np.abs(ours - exact).sum() < 1e-3 * exact.sum()


# Drawing


def test_pattern_is_the_same_as_from_a_table():
    optics, tilt = Optics(convergence=1.2), (0.4, -0.3)
    table = small_table(ymno3(), (PLUS,), g_max=1.0)
    expected = pattern_of(table, optics, tilt=tilt, nm=50)
    options = {"method": MATRIX, "convergence": 1.2, "angle_step": 0.3, "g_max": 1.0}
    ours = reference("ymno3+", thickness=50, tilt=tilt, **options)
    assert np.abs(ours.patterns[0] - expected).max() < 0.01 * expected.max()
    assert ours.patterns.dtype == np.float32


def test_disks_lie_where_their_indices_say_and_turn_with_the_pattern():
    options = {"thickness": 25, "method": MATRIX, "g_max": 0.8, "convergence": 0.8}
    straight = reference(ermno3(), **options)
    index = {tuple(hkl): i for i, hkl in enumerate(straight.hkl.tolist())}
    up = straight.positions[index[0, 0, 2]] - straight.positions[0]
    assert up == pytest.approx([-2 / 11.42 / 0.02, 0])
    row, column = np.rint(straight.positions[index[0, 0, 4]]).astype(int)
    assert straight.patterns[0, row, column] > 0

    turned = reference(ermno3(), rotation=90.0, **options)
    assert np.allclose(np.rot90(straight.patterns[0]), turned.patterns[0], atol=1e-7)
    left = turned.positions[turned.hkl.tolist().index([0, 0, 2])] - turned.positions[0]
    assert left == pytest.approx([0, -2 / 11.42 / 0.02])


def test_a_thicker_series_is_the_single_patterns_in_any_order():
    options = {"method": MATRIX, "g_max": 0.7, "convergence": 0.8, "angle_step": 0.4}
    series = reference("batio3+", thickness=[40, 0, 15], **options)
    for nm, pattern in zip(series.thickness, series.patterns, strict=True):
        assert np.allclose(reference("batio3+", thickness=nm, **options).patterns[0], pattern)
    # No crystal: all electrons, and nothing but the middle disk.
    empty = series.patterns[1]
    assert empty.sum() == pytest.approx(1, rel=0.03)
    assert np.count_nonzero(empty > 1e-9) < 1.6 * np.pi * (series.optics.disk_radius / 0.02) ** 2


def test_overlapping_disks_add_up():
    options = {"method": MATRIX, "g_max": 0.6, "thickness": 20, "angle_step": 0.8}
    wide = reference("ymno3+", convergence=4.0, **options)
    assert wide.patterns.sum() == pytest.approx(
        reference("ymno3+", convergence=4.0, detector_shape=(128, 128), **options).patterns.sum(),
        rel=0.02,
    )


@pytest.mark.parametrize("state", ["up", "right"])
def test_boracite_states_light_their_own_extra_disks(state):
    zone_axis, up = BORACITE_STATES[state]
    pattern = reference(
        boracite(),
        thickness=30,
        method=MATRIX,
        g_max=0.8,
        convergence=0.8,
        angle_step=0.4,
        zone_axis=zone_axis,
        up=up,
    )
    # Where the cubic phase has nothing: odd multiples of half its reciprocal lattice.
    row, column = np.rint((pattern.positions - 31.5) * 0.02 * 11.87).astype(int).T
    along = row if state == "up" else column
    extra = along % 2 == 1
    assert np.array_equal(extra, pattern.hkl[:, 2] % 2 == 1)
    rows, columns = np.rint(pattern.positions).astype(int).T.clip(0, 63)
    brightness = pattern.patterns[0, rows, columns]
    assert brightness[extra].max() > 0.01 * brightness.max()
    cubic = reference(
        boracite_cubic(), thickness=30, method=MATRIX, g_max=0.8, convergence=0.8
    ).patterns[0]
    assert cubic[rows[extra], columns[extra]].max() == 0
