"""The diffraction calculation against what is known without it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from helpers.simulated_patterns import (
    MINUS,
    PLUS,
    averaged_with_mirror,
    pattern_of,
    scattering_matrix,
    small_table,
)
from napari_ferro4d.errors import ScanError
from napari_ferro4d.simulate import (
    Optics,
    scattering_factor,
    structure_factor,
    structure_matrix,
    wavelength,
    ymno3,
    zone_beams,
)
from napari_ferro4d.simulate.diffraction import find, turned

NEAR_AXIS = np.array([0.012, -0.021])  # 1/angstrom, about half a mrad off the zone axis
COARSE = 0.9  # 1/angstrom: few beams, for statements that hold for any number of them


@pytest.fixture(scope="module")
def table():
    return small_table(ymno3(1), (PLUS, MINUS), g_max=COARSE)


def intensities(crystal, k_t, nm, **keys):
    """Return all beams of a crystal at some thicknesses ``[thickness, beam]``, and the beams."""
    beams = zone_beams(crystal, COARSE)
    coupling = structure_matrix(crystal, beams, **keys)
    waves = [scattering_matrix(coupling, beams, k_t, t)[:, 0] for t in nm]
    return np.abs(waves) ** 2, beams


# The crystal


def test_cell_has_the_density_and_bond_lengths_of_ymno3():
    crystal = ymno3(-1)
    mass = 6 * (88.906 + 54.938 + 3 * 15.999) * 1.66054  # atomic units to g/cm3 angstrom3
    assert mass / crystal.volume == pytest.approx(5.13, abs=0.01)

    is_element = {e: np.array(crystal.elements) == e for e in ("Mn", "O")}
    manganese = crystal.positions[is_element["Mn"]][0]
    offset = crystal.positions[is_element["O"]] - manganese
    distance = np.sort(np.linalg.norm((offset - np.round(offset)) @ crystal.lattice, axis=1))
    # A trigonal bipyramid: two short bonds to the apices, three in the basal plane.
    assert distance[:5] == pytest.approx([1.86, 1.86, 2.05, 2.05, 2.07], abs=0.01)
    assert distance[5] > 2.9


@pytest.mark.parametrize("state", [1, -1])
def test_formal_charges_give_the_measured_polarisation_with_its_sign(state):
    crystal = ymno3(state)
    charge = {"Y": 3, "Mn": 3, "O": -2}
    moment = 0.0
    for element, z in zip(crystal.elements, crystal.positions[:, 2], strict=True):
        # Planes of the paraelectric phase: Mn and basal O at 0 and 1/2, Y at 1/4 and 3/4,
        # apical O (0.1627 and 0.3372 above them) symmetric about both.
        planes = {"Mn": (0, 0.5, 1), "Y": (0.25, 0.75)}.get(element, (0, 0.5, 1))
        if element == "O" and 0.1 < z % 0.5 < 0.4:
            planes = (0.16275, 0.33725, 0.66275, 0.83725)
        moment += charge[element] * min((z - p for p in planes), key=abs)
    microcoulomb = moment * crystal.lattice[2, 2] / crystal.volume * 1602.18
    assert microcoulomb == pytest.approx(state * 5.5, abs=0.3)  # 5.5 uC/cm2 is measured


def test_mirroring_twice_is_the_same_crystal():
    twice = ymno3(1).mirrored().mirrored()
    assert np.allclose(twice.positions, ymno3(1).positions)


def test_a_polarisation_is_plus_minus_or_none():
    with pytest.raises(ScanError, match="polarisation"):
        ymno3(2)


# Scattering and structure factors


def test_wavelength_at_200_kv():
    assert wavelength(200) == pytest.approx(0.0250793, abs=1e-6)


@pytest.mark.parametrize(("element", "number"), [("O", 8), ("Mn", 25), ("Y", 39)])
def test_scattering_factor_approaches_rutherford_scattering(element, number):
    # Mott and Bethe: f = (Z - f_x) / (2 pi^2 a0 q^2); at 6/angstrom the electrons hardly scatter.
    q = np.array([4.0, 6.0])
    seen = scattering_factor(element, q) * 2 * np.pi**2 * 0.529177 * q**2
    assert seen[0] < seen[1] < number
    assert seen[1] == pytest.approx(number, rel=0.1)


def test_glide_mirror_and_screw_axis_extinguish_odd_l():
    extinct = np.array([[0, 0, 1], [0, 0, 3], [0, 1, 1], [0, 2, 3], [1, 0, 5], [1, -1, 1]])
    present = np.array([[0, 0, 2], [0, 1, 2], [0, 3, 2], [1, 1, 1], [1, 1, 2]])
    crystal = ymno3()
    assert np.abs(structure_factor(crystal, extinct)).max() < 1e-9
    assert np.abs(structure_factor(crystal, present)).min() > 1


@pytest.mark.parametrize("l", [0, 2, 4, 6])
def test_structure_factor_of_00l_is_the_sum_over_planes(l):  # noqa: E741
    crystal = ymno3(-1)
    planes = [("Y", 2, 0.2743), ("Y", 4, 0.2335), ("Mn", 6, 0.0), ("O", 6, 0.1627)]
    planes += [("O", 6, 0.3372), ("O", 2, 0.4778), ("O", 4, 0.0186)]
    by_hand = 0
    for element, atoms, z in planes:
        g = l / crystal.lattice[2, 2]
        damped = scattering_factor(element, np.array(g)) * np.exp(
            -crystal.debye_waller[element] * g**2 / 4
        )
        by_hand += atoms * damped * np.exp(-2j * np.pi * l * z)
    assert structure_factor(crystal, np.array([0, 0, l])) == pytest.approx(by_hand, rel=1e-9)


def test_friedel_holds_for_single_scattering_and_between_the_states():
    hkl = zone_beams(ymno3(), 1.2).hkl
    plus, minus = (structure_factor(ymno3(s), hkl) for s in (1, -1))
    assert np.allclose(structure_factor(ymno3(), -hkl), plus.conj())
    # Mirroring the crystal takes hkl to hk-l.
    assert np.allclose(structure_factor(ymno3(-1), hkl * [1, 1, -1]), plus)
    assert not np.allclose(plus, minus)
    assert np.allclose(np.abs(plus), np.abs(minus))


# Many-beam diffraction


def test_without_absorption_no_electron_is_lost():
    beams = zone_beams(ymno3(), COARSE)
    coupling = structure_matrix(ymno3(), beams, absorption=0)
    s = scattering_matrix(coupling, beams, NEAR_AXIS, 60)
    assert np.allclose(s @ s.conj().T, np.eye(len(s)), atol=1e-10)
    intensity, _ = intensities(ymno3(), NEAR_AXIS, [0, 10, 60], absorption=0)
    assert intensity.sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-10)
    assert intensity[0, 0] == pytest.approx(1)


def test_absorption_takes_electrons():
    intensity, _ = intensities(ymno3(), NEAR_AXIS, [60], absorption=0.03)
    assert intensity.sum() < 0.9


def test_two_slabs_are_one_thick_slab():
    beams = zone_beams(ymno3(), COARSE)
    coupling = structure_matrix(ymno3(), beams)
    thin, thick = (scattering_matrix(coupling, beams, NEAR_AXIS, t) for t in (7.0, 21.0))
    assert np.allclose(thin @ thin @ thin, thick)


def test_a_thin_crystal_scatters_kinematically():
    crystal, nm = ymno3(), 0.02
    (intensity,), beams = intensities(crystal, np.zeros(2), [nm], absorption=0)
    gamma = 1 + 200 / 510.99895
    amplitude = gamma * wavelength(200) * 10 * nm / crystal.volume
    kinematical = (amplitude * np.abs(structure_factor(crystal, beams.hkl))) ** 2
    strong = np.flatnonzero(kinematical > 0.02 * kinematical[1:].max())[1:]
    assert len(strong) > 5
    assert intensity[strong] == pytest.approx(kinematical[strong], rel=0.03)


def test_only_the_polar_crystal_tells_up_from_down_on_the_zone_axis():
    def difference(crystal):
        (intensity,), beams = intensities(crystal, np.zeros(2), [50])
        opposite = [np.abs(beams.g - g).sum(axis=1).argmin() for g in beams.g * [-1, 1]]
        return np.abs(intensity - intensity[opposite]).max() / intensity.max()

    assert difference(averaged_with_mirror(ymno3())) < 1e-9
    assert difference(ymno3()) > 0.02


# Patterns


def test_mirrored_table_is_the_table_of_the_other_state(table):
    mirrored = turned(table.computed[0], "up-down").intensity
    other = small_table(ymno3(-1), (PLUS,), g_max=COARSE).computed[0].intensity
    assert np.allclose(mirrored, other, atol=1e-5)
    assert np.abs(table.computed[0].intensity - other).max() > 0.01


def test_left_right_mirror_plane_that_the_table_uses_is_real(table):
    made = table.computed[0]
    for y, x in ((3, 1), (3, 15)):  # one on the side that is filled by symmetry
        k_t = np.array([table.k_t[y], table.k_t[x]])
        direct, beams = intensities(ymno3(), k_t, table.thickness[::8])
        kept = find(beams.g, made.g)
        assert np.allclose(made.intensity[:, ::8, y, x], direct[:, kept].T, atol=1e-4)


def test_states_are_mirror_images_when_the_tilt_is_mirrored_too(table):
    plus = pattern_of(table, tilt=(0.3, -0.2), nm=52)
    minus = pattern_of(table, tilt=(-0.3, -0.2), nm=52, state="-P")
    assert np.allclose(plus, minus[::-1], atol=1e-8)
    same_tilt = pattern_of(table, tilt=(0.3, -0.2), nm=52, state="-P")
    assert np.abs(plus - same_tilt).sum() > 0.05 * plus.sum()


def test_interpolated_pattern_is_what_the_matrix_gives_there(table):
    tilt = np.array([0.33, -0.21])
    pattern = pattern_of(table, tilt=tilt, nm=51.3)
    beams = zone_beams(ymno3(), COARSE)
    pixels_per_disk = np.pi * (Optics().disk_radius / 0.02) ** 2
    for row, col in ((31, 31), (30, 33), (22, 32), (40, 31)):
        k = (np.array([row, col]) - 31.5) * 0.02
        beam = np.hypot(*(k - beams.g).T).argmin()
        k_t = k - beams.g[beam] + tilt * 1e-3 / wavelength(200)
        exact = intensities(ymno3(), k_t, [51.3])[0][0, beam]
        assert pattern[row, col] * pixels_per_disk == pytest.approx(exact, rel=0.01, abs=2e-4)


def test_disks_are_apart_and_the_pattern_is_brightest_in_the_middle(table):
    pattern = pattern_of(table, nm=50)
    between = pattern[27, 31], pattern[31, 27], pattern[36, 31], pattern[31, 36]
    assert max(between) == 0
    # Mean of the undiffracted beam over the directions in the probe, at 50 nm.
    ky, kx = np.meshgrid(table.k_t, table.k_t, indexing="ij")
    inside = np.hypot(ky, kx) <= Optics().disk_radius
    share = table.computed[0].intensity[0, 2][inside].mean()
    assert pattern[28:36, 28:36].sum() == pytest.approx(share, rel=0.2)
    assert pattern.sum() < 1


def test_no_extrapolation(table):
    with pytest.raises(ScanError, match=r"^tilt: up to 3 mrad.* reaches 0\.\d+ mrad"):
        pattern_of(table, tilt=(3, 1), nm=52)
    for nm in (80.0, np.nan):
        with pytest.raises(ScanError, match=r"^thickness: .* reaches from 50 to 76 nm"):
            pattern_of(table, nm=nm)


def test_centre_is_the_middle_of_the_detector():
    wide = replace(Optics(), detector_shape=(32, 48))
    assert wide.centre == (15.5, 23.5)
