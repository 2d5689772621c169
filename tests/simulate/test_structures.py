"""Bundled crystal structures, CIF files and zone axes against what is known without them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.simulated_patterns import scattering_matrix
from napari_ferro4d.errors import ScanError
from napari_ferro4d.simulate import (
    BORACITE_STATES,
    STRUCTURES,
    Crystal,
    batio3,
    boracite,
    boracite_cubic,
    detector_frame,
    ermno3,
    scattering_factor,
    structure,
    structure_factor,
    structure_matrix,
    ymno3,
    zone_beams,
)
from napari_ferro4d.simulate.crystal import orbit
from napari_ferro4d.simulate.diffraction import compute, find

CHARGE = {"Y": 3, "Er": 3, "Mn": 3, "Ba": 2, "Ti": 4, "Cu": 2, "B": 3, "O": -2, "Cl": -1}
MASS = {"Y": 88.906, "Er": 167.26, "Mn": 54.938, "O": 15.999, "Ba": 137.33, "Ti": 47.867}
MASS |= {"Cu": 63.546, "B": 10.81, "Cl": 35.45}


def bonds(crystal: Crystal, centre: str, neighbour: str, reach: float) -> list[np.ndarray]:
    """Sorted distances in angstrom from each atom of one kind to its neighbours of another."""
    elements = np.array(crystal.elements)
    shifts = np.stack(np.meshgrid(*3 * [(-1, 0, 1)], indexing="ij"), axis=-1).reshape(-1, 3)
    others = (crystal.positions[elements == neighbour][:, None] + shifts).reshape(-1, 3)
    found = []
    for atom in crystal.positions[elements == centre]:
        distance = np.linalg.norm((others - atom) @ crystal.lattice, axis=1)
        found.append(np.sort(distance[(distance > 1e-3) & (distance < reach)]))
    return found


def maps_onto_itself(crystal: Crystal, images: np.ndarray, tolerance: float = 2e-4) -> bool:
    """Whether moving every atom to its image gives the same crystal."""
    elements = np.array(crystal.elements)
    for element in set(crystal.elements):
        here, there = crystal.positions[elements == element], images[elements == element]
        offset = there[:, None] - here[None]
        distance = np.abs(offset - np.round(offset)).max(axis=-1)
        if distance.min(axis=1).max() > tolerance or distance.min(axis=0).max() > tolerance:
            return False
    return True


# Structures


@pytest.mark.parametrize("name", STRUCTURES)
def test_every_bundled_structure_is_neutral_and_says_where_it_is_from(name):
    crystal = structure(name.upper())
    assert sum(CHARGE[element] for element in crystal.elements) == 0
    assert len(crystal.source) > 20
    assert crystal.name
    # No two atoms closer than a boron-oxygen bond.
    shortest = min(
        (d.min() for a in set(crystal.elements) for d in bonds(crystal, a, "O", 4.0) if len(d)),
        default=0,
    )
    assert shortest > 1.3


@pytest.mark.parametrize(
    ("name", "density"), [("ymno3+", 5.13), ("ermno3+", 7.28), ("batio3+", 6.02)]
)
def test_densities_are_those_of_the_minerals(name, density):
    crystal = structure(name)
    grams = sum(MASS[element] for element in crystal.elements) * 1.66054
    assert grams / crystal.volume == pytest.approx(density, rel=0.003)


@pytest.mark.parametrize(
    ("name", "group"),
    [("ermno3+", 185), ("ymno3-", 185), ("boracite", 29), ("boracite-cubic", 219), ("batio3-", 99)],
)
def test_space_group_from_an_independent_table(name, group):
    spacegroup = pytest.importorskip("ase.spacegroup", reason="ase comes with the extra simulate")
    crystal = structure(name)
    for rotation, shift in spacegroup.Spacegroup(group).get_symop():
        assert maps_onto_itself(crystal, crystal.positions @ rotation.T + shift)


@pytest.mark.parametrize("make", [ymno3, ermno3])
def test_non_polar_manganite_is_p63mmc_in_a_threefold_cell(make):
    crystal = make(0)
    third = np.array([1 / 3, 2 / 3, 0])
    assert maps_onto_itself(crystal, crystal.positions + third)
    about_the_rare_earth = np.array([0, 0, 0.5])
    assert maps_onto_itself(crystal, about_the_rare_earth - crystal.positions)
    assert maps_onto_itself(crystal, crystal.positions * [1, 1, -1])
    for polar in (make(1), make(-1)):
        assert not maps_onto_itself(polar, polar.positions + third)
        assert not maps_onto_itself(polar, about_the_rare_earth - polar.positions)
    plane = np.sort(np.unique(np.round(crystal.positions[:, 2], 3)))
    assert plane == pytest.approx([0, 0.164, 0.25, 0.336, 0.5, 0.664, 0.75, 0.836])


@pytest.mark.parametrize(
    ("polar", "parent", "expected"),
    [
        (ermno3(1), ermno3(0), 5.5),
        (ermno3(-1), ermno3(0), -5.5),
        (batio3(1), batio3(0), 18),
        (batio3(-1), batio3(0), -18),
        # The cubic parent, in the axes and with the origin of the polar cell.
        (boracite(), None, 3.4),
    ],
    ids=["ErMnO3+", "ErMnO3-", "BaTiO3+", "BaTiO3-", "boracite"],
)
def test_formal_charges_give_the_sign_of_the_polarisation(polar, parent, expected):
    if parent is None:
        cubic = boracite_cubic()
        x, y, z = cubic.positions.T
        # (a - b) / 2 and (a + b) / 2, a quarter from the origin; z was turned round, Cl kept.
        places = np.stack([x - y + 0.25, x + y - 0.25, 0.5 - z], axis=-1)
        parent = replace(cubic, positions=places)
    moment = 0.0
    elements = np.array(parent.elements)
    for element, position in zip(polar.elements, polar.positions, strict=True):
        offset = position - parent.positions[elements == element]
        offset -= np.round(offset)
        nearest = offset[np.linalg.norm(offset @ polar.lattice, axis=1).argmin()]
        moment += CHARGE[element] * nearest[2] * polar.lattice[2, 2]
    microcoulomb = moment / polar.volume * 1602.18
    assert microcoulomb == pytest.approx(expected, abs=0.05 * abs(expected) + 0.3)


def test_barium_titanate_has_one_short_and_one_long_bond_along_c():
    along_c = bonds(batio3(), "Ti", "O", 2.4)[0]
    assert along_c == pytest.approx([1.83, 2.00, 2.00, 2.00, 2.00, 2.21], abs=0.03)


def test_boracite_has_the_bonds_of_its_structure_type():
    cubic, polar = boracite_cubic(), boracite()
    assert polar.volume == pytest.approx(cubic.volume / 2)
    assert sorted(set(map(len, bonds(cubic, "B", "O", 1.8)))) == [4]
    # One boron in seven leaves its fourth oxygen and becomes planar.
    coordination = [len(d) for d in bonds(polar, "B", "O", 1.8)]
    assert sorted(coordination) == [3] * 4 + [4] * 24
    # Chlorine between six copper atoms moves to three of them; copper in a square of oxygen.
    assert [len(d) for d in bonds(cubic, "Cl", "Cu", 3.2)] == [6] * 8
    assert [len(d) for d in bonds(polar, "Cl", "Cu", 2.6)] == [3] * 4
    assert [len(d) for d in bonds(polar, "Cu", "O", 2.3)] == [4] * 12


def test_bond_valences_of_polar_boracite_add_up():
    # Brese and O'Keeffe (1991): s = exp((R - d) / 0.37).
    polar, table = boracite(), {"B": (1.371, 3), "Cu": (1.679, 2)}
    for element, (r, valence) in table.items():
        to_oxygen = [np.exp((r - d) / 0.37).sum() for d in bonds(polar, element, "O", 4)]
        if element == "Cu":
            chlorine = [np.exp((2.00 - d) / 0.37).sum() for d in bonds(polar, "Cu", "Cl", 4.2)]
            to_oxygen = np.add(to_oxygen, chlorine)
        assert np.abs(np.array(to_oxygen) - valence).max() < 0.12


def test_orbit_closes_under_the_whole_group():
    generators = ("y, z, x", "-x, -y, z", "y+1/2, x+1/2, z+1/2", "x, y+1/2, z+1/2")
    assert len(orbit(np.array([0.1, 0.2, 0.3]), generators)) == 96
    assert len(orbit(np.array([0.25, 0.25, 0.25]), generators)) == 8


# Crystals


def test_scattering_factors_are_those_that_abtem_has():
    parametrizations = pytest.importorskip("abtem.parametrizations", reason="needs abTEM")
    g2 = np.linspace(0, 4, 41)[:, None] ** 2
    table = parametrizations.KirklandParametrization().parameters
    assert len(table) > 100
    for element, rows in table.items():
        a, b, c, d = np.array(rows)
        theirs = (a / (g2 + b) + c * np.exp(-d * g2)).sum(axis=1)
        assert scattering_factor(element, np.sqrt(g2[:, 0])) == pytest.approx(theirs, rel=1e-9)


def test_lengths_of_an_oblique_cell_follow_the_metric_tensor():
    lattice = np.array([[5.0, 0, 0], [-1.2, 6.1, 0], [0.7, -0.9, 7.3]])
    crystal = Crystal(lattice, ("O",), np.zeros((1, 3)), {"O": 0.5})
    hkl = np.array([[1, 0, 0], [0, 2, 0], [1, -1, 3], [-4, 2, 1]])
    metric = np.linalg.inv(lattice @ lattice.T)
    expected = np.sqrt(np.einsum("ni,ij,nj->n", hkl, metric, hkl))
    assert crystal.g_length(hkl) == pytest.approx(expected)
    assert crystal.volume == pytest.approx(5.0 * 6.1 * 7.3)
    with pytest.raises(ScanError, match="not perpendicular"):
        crystal.mirrored()


def test_inverted_and_mirrored_crystals_diffract_as_friedel_says():
    hkl = np.array([[1, 2, 3], [0, 0, 4], [2, -1, 1]])
    plus = structure_factor(ermno3(1), hkl)
    assert np.allclose(structure_factor(ermno3(1).inverted(), hkl), plus.conj())
    assert np.allclose(structure_factor(ermno3(-1), hkl * [1, 1, -1]), plus)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"lattice": np.zeros((3, 3))}, "lattice"),
        ({"lattice": np.diag([1.0, 1.0, -1.0])}, "right-handed"),
        ({"positions": np.zeros((4, 3))}, "positions"),
        ({"debye_waller": {"Ba": 0.5}}, "debye_waller"),
    ],
)
def test_a_crystal_that_makes_no_sense_is_refused(change, named):
    with pytest.raises(ScanError, match=named):
        replace(batio3(), **change)


# Zone axes


@given(
    st.tuples(*3 * [st.integers(-2, 2)]).filter(any),
    st.tuples(*3 * [st.integers(-2, 2)]).filter(any),
)
@settings(max_examples=30, deadline=None)
def test_beams_of_any_zone_keep_their_lengths_and_lie_in_it(uvw, hkl):
    up = np.cross(uvw, hkl)
    if not up.any():
        return
    lattice = np.array([[4.0, 0, 0], [-0.7, 4.4, 0], [0.3, 0.8, 3.6]])
    crystal = Crystal(lattice, ("Ti",), np.zeros((1, 3)), {"Ti": 0.5})
    frame = detector_frame(crystal, uvw, up)
    assert np.allclose(frame @ frame.T, np.eye(3))
    assert np.linalg.det(frame) == pytest.approx(1)
    beams = zone_beams(crystal, 0.9, uvw, up)
    assert np.all(beams.hkl @ uvw == 0)
    assert beams.hkl[0].tolist() == [0, 0, 0]
    assert np.hypot(*beams.g.T) == pytest.approx(crystal.g_length(beams.hkl))
    along_up = crystal.g_length(up) if np.gcd.reduce(up) == 1 else None
    if along_up is not None and along_up <= 0.9:
        where = np.flatnonzero((beams.hkl == up).all(axis=1))
        assert beams.g[where[0]] == pytest.approx([-along_up, 0], abs=1e-9)


def test_default_zone_has_b_star_right_and_c_star_up_and_the_beam_along_a():
    crystal = ermno3()
    right, up, beam = detector_frame(crystal, (1, 0, 0), (0, 0, 1)) @ np.eye(3)
    assert crystal.reciprocal[1] / np.linalg.norm(crystal.reciprocal[1]) == pytest.approx(right)
    assert up == pytest.approx([0, 0, 1])
    assert beam == pytest.approx([1, 0, 0])


def test_only_beams_that_no_path_reaches_are_left_out():
    # The c glide of P6_3cm forbids 0kl with odd l for good; the screw axis forbids only 00l, which
    # double diffraction fills in the zone [210].
    assert np.all(zone_beams(ermno3(), 1.0).hkl[:, 2] % 2 == 0)
    along_210 = zone_beams(ermno3(), 1.0, (2, 1, 0)).hkl
    assert [0, 0, 1] in along_210.tolist()
    # Without its tripled cell, two thirds of the beams of the non-polar phase are gone.
    assert np.all(zone_beams(ermno3(0), 1.0).hkl[:, 1] % 3 == 0)


@pytest.mark.parametrize("state", BORACITE_STATES)
def test_boracite_shows_extra_disks_along_its_polarisation_only(state):
    zone_axis, up = BORACITE_STATES[state]
    frame = detector_frame(boracite(), zone_axis, up)
    direction = dict(zip(("right", "up", "along"), frame @ [0, 0, 1], strict=True))
    sign = -1 if state in ("left", "down", "against") else 1
    name = {"left": "right", "down": "up", "against": "along"}.get(state, state)
    assert direction[name] == pytest.approx(sign)

    beams = zone_beams(boracite(), 0.5, zone_axis, up)
    half = 1 / 11.87  # 1/angstrom, which the cubic phase does not have
    there = {
        axis: np.abs(beams.g - np.array(g)).max(axis=1).min() < 1e-6
        for axis, g in {"up": (half, 0), "right": (0, half)}.items()
    }
    assert there == {axis: axis == name for axis in ("up", "right")}
    cubic = zone_beams(boracite_cubic(), 0.5).g
    assert np.abs(cubic).sum(axis=1)[1:].min() == pytest.approx(2 * half)


def test_intensities_of_another_zone_and_crystal_are_what_the_matrix_gives():
    crystal, zone = boracite(), {"zone_axis": (-1, 1, 0), "up": (1, 1, 0)}
    k_t, nm = 0.02 * np.arange(-3, 4), np.array([18.0, 20.0, 22.0])
    grid = {"k_t": k_t, "thickness": nm, "kilovolts": 200.0, "k_max": 0.4}
    made = compute(crystal, **zone, **grid, g_max=0.5, slice_thickness=0.5)
    beams = zone_beams(crystal, 0.5, **zone)
    coupling = structure_matrix(crystal, beams)
    kept = find(beams.g, made.g)
    for y, x in ((1, 3), (4, 0)):
        for t, depth in enumerate(nm):
            wave = scattering_matrix(coupling, beams, np.array([k_t[y], k_t[x]]), depth)[kept, 0]
            assert np.allclose(made.intensity[:, t, y, x], np.abs(wave) ** 2, atol=1e-4)


@pytest.mark.parametrize(
    ("zone_axis", "up", "named"),
    [
        ((1, 0, 0), (1, 0, 0), "up"),
        ((0, 0, 0), (0, 0, 1), "zone_axis"),
        ((1, 0, 0), (0, 0, 0.5), "up"),
        ((1, 0), (0, 0, 1), "zone_axis"),
    ],
)
def test_a_zone_axis_that_cannot_be_is_refused(zone_axis, up, named):
    with pytest.raises(ScanError, match=named):
        zone_beams(ermno3(), 1.0, zone_axis, up)
