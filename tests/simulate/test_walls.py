"""Walls by their charge: what stands in them, which way they face, what the truth says of them."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from napari_ferro4d.errors import ScanError
from napari_ferro4d.match import candidates_of
from napari_ferro4d.simulate import (
    Optics,
    load_table,
    preset,
    structure_factor,
    truth,
    write_scan,
    write_table,
)
from napari_ferro4d.simulate.crystal import ermno3, ermno3_trimerised, ermno3_wall
from napari_ferro4d.simulate.diffraction import Computed, State, Table
from napari_ferro4d.simulate.scans import (
    DetectorKeys,
    GeometryKeys,
    OpticsKeys,
    ScanKeys,
    Spec,
    WallKeys,
    expected_patterns,
    prepare,
    regions,
)

CHARGED = WallKeys(width=0.8, structure="charged")
ZONE = np.array([(0, k, n) for k in range(-4, 5) for n in range(-6, 7)])


def wall_spec(angle, states=("+P", "-P"), **keys):
    """Return the spec of a scan with one straight wall in its middle."""
    geometry = GeometryKeys(states=states, angle=angle)
    return Spec(scan=ScanKeys(shape=(21, 21), step=0.7), geometry=geometry, **keys)


def middle(spec):
    """Return the shares of the states at the middle of the scan by name, and the row."""
    specimen = prepare(spec).specimen
    row = specimen.row(10)
    return dict(zip(specimen.states, row.fractions[:, 10], strict=True)), row


# Crystals


def test_trimerisation_of_a_domain_is_that_of_the_refined_structure():
    heights = ermno3_trimerised(1.0, 0.0).positions[:6, 2] - 0.25
    lower = np.sort(heights[heights < 0.25])
    # Two of three erbium planes up, one down by twice as much: P up, and no shift as a whole.
    assert lower / np.abs(lower).max() == pytest.approx([-1, 0.5, 0.5], abs=1e-3)
    refined = ermno3(1).positions[:6, 2]
    assert np.ptp(lower) == pytest.approx(np.ptp(refined[refined < 0.5]), abs=1e-6)


@pytest.mark.parametrize("phase", [0.0, 30.0, 77.0])
def test_a_third_of_a_turn_of_the_phase_is_a_shift_and_no_amplitude_is_the_parent(phase):
    one = np.abs(structure_factor(ermno3_trimerised(0.8, phase), ZONE))
    other = np.abs(structure_factor(ermno3_trimerised(0.8, phase + 120), ZONE))
    assert one == pytest.approx(other, abs=1e-3)
    parent = structure_factor(ermno3(0), ZONE)
    assert structure_factor(ermno3_trimerised(0.0, phase), ZONE) == pytest.approx(parent)


def test_half_way_between_the_domains_the_crystal_has_a_centre_of_symmetry():
    antipolar = ermno3_trimerised(1.0, 30.0)
    # The erbium atom that stays where it was is the centre.
    centre = antipolar.positions[np.abs(antipolar.positions[:6, 2] - 0.25).argmin()]
    assert centre[2] == pytest.approx(0.25, abs=1e-9)
    phase = structure_factor(antipolar, ZONE) * np.exp(2j * np.pi * ZONE @ centre)
    assert np.abs(phase.imag).max() < 1e-3 * np.abs(phase).max()
    polar = ermno3_trimerised(1.0, 0.0).positions
    assert np.abs(antipolar.positions - polar).max() > 0.01


def test_charged_walls_have_a_longer_and_a_shorter_axis():
    heads, tails = ermno3_wall(1), ermno3_wall(-1)
    assert heads.lattice[2, 2] / 11.42 == pytest.approx(1.006)
    assert tails.lattice[2, 2] / 11.42 == pytest.approx(0.994)
    assert heads.lattice[:2] == pytest.approx(tails.lattice[:2])
    # The trimerisation makes reflections between those of the parent.
    extra = np.array([0, 1, 2])
    assert abs(structure_factor(heads, extra)) > 1
    assert abs(structure_factor(tails, extra)) < 1e-6
    with pytest.raises(ScanError, match="charge"):
        ermno3_wall(0)


def test_what_is_inside_charged_walls_is_no_candidate_for_a_domain():
    optics = Optics(200.0, 2.0, 0.015, (64, 64))
    made = candidates_of(load_table("ermno3"), optics, thickness=[50.0])
    assert [one.name.split(",")[0] for one in made] == ["+P", "-P", "nonpolar"]


def test_the_table_has_the_axis_of_each_state():
    table = load_table("ermno3")
    at = {}
    for name in ("nonpolar", *table.charged):
        computed = table.computed[table.state(name).computed]
        at[name] = -computed.g[(computed.hkl == (0, 0, 4)).all(axis=1), 0][0]
    assert at["head-to-head"] / at["nonpolar"] == pytest.approx(1 / 1.006)
    assert at["tail-to-tail"] / at["nonpolar"] == pytest.approx(1 / 0.994)


# Geometry


def geometries(folder):
    yy, xx = np.meshgrid(np.arange(80) - 39.5, np.arange(80) - 39.5, indexing="ij")
    np.save(folder / "slope.npy", (1 + (yy * 0.8 + xx * 0.6 > 3)).astype(np.uint8))
    return {
        "domains": GeometryKeys(angle=66.0, centre=(1.0, 2.0), bow=9.0),
        "stripes": GeometryKeys(kind="stripes", period=17.0, angle=-20.0),
        "vortex": GeometryKeys(kind="vortex", angle=30.0, centre=(2.5, -3.5), twist=12.0),
        "three-state": GeometryKeys(
            kind="three-state",
            states=("+P", "-P", "nonpolar"),
            region=30.0,
            period=44.0,
            angle=8.0,
        ),
        "image": GeometryKeys(kind="image", image=str(folder / "slope.npy"), pixel=0.5),
    }


@pytest.mark.parametrize("kind", ["domains", "stripes", "vortex", "three-state", "image"])
def test_the_normal_leads_to_the_other_domain(tmp_path, kind):
    spec = Spec(scan=ScanKeys(shape=(30, 30), step=1.4), geometry=geometries(tmp_path)[kind])
    at = regions(spec)
    y, x = np.random.default_rng(0).uniform(-18, 18, (2, 4000))
    here = at(y, x)
    assert np.hypot(*here.normal) == pytest.approx(1)
    # Near walls: further away, straight and bent walls lie in other places. Not in the middle of
    # a vortex or at the end of a needle, where two walls are about as near.
    near = (here.distance < 2) & (np.hypot(y - 2.5, x + 3.5) > 6)
    if kind == "image":
        near &= here.distance > 0.5  # a pixel
    beyond = here.distance + (0.6 if kind == "image" else 0.2)
    there = at(y + beyond * here.normal[0], x + beyond * here.normal[1])
    short = at(y + 0.5 * here.distance * here.normal[0], x + 0.5 * here.distance * here.normal[1])
    assert near.sum() > 200
    assert np.mean((there.own == here.other)[near]) > 0.98
    assert np.mean((short.own == here.own)[near]) > 0.98


# Scans


def test_what_is_in_a_wall_follows_its_charge():
    heads, _ = middle(wall_spec(0.0, ("-P", "+P"), wall=CHARGED))
    tails, _ = middle(wall_spec(0.0, ("+P", "-P"), wall=CHARGED))
    neutral, _ = middle(wall_spec(90.0, wall=CHARGED))
    named = ("nonpolar", "head-to-head", "tail-to-tail")
    for number, shares in enumerate((neutral, heads, tails)):
        inside = np.array([shares[name] for name in named])
        assert inside[number] > 0.15
        assert np.delete(inside, number) == pytest.approx(0, abs=1e-6)
    # As wide as is said: the inside is 1 - tanh(2 d / width), which sums to width ln 2.
    for shares, state, width in ((heads, 1, 1.6), (tails, 2, 1.2), (neutral, 0, 0.8)):
        spec = wall_spec(0.0 if state else 90.0, ("-P", "+P") if state == 1 else ("+P", "-P"))
        spec = replace(spec, wall=CHARGED, scan=ScanKeys(shape=(121, 121), step=0.1))
        specimen = prepare(spec).specimen
        across = (
            np.array([specimen.row(n).fractions[2 + state, 60] for n in range(121)])
            if state
            else specimen.row(60).fractions[2]
        )
        assert across.sum() * 0.1 == pytest.approx(width * np.log(2), rel=0.06)
        assert shares[named[state]] == pytest.approx(across.max(), abs=0.01)


def test_a_scan_from_before_there_were_classes_still_has_its_truth(tmp_path):
    spec = Spec(scan=ScanKeys(shape=(3, 4)), detector=DetectorKeys(shape=(16, 16)))
    path = write_scan(spec, tmp_path / "scan.zarr")
    assert truth(path).charge_class.shape == (3, 4)
    shutil.rmtree(path / "truth" / "charge_class")
    assert truth(path).charge_class is None
    assert truth(path).charge.shape == (3, 4)


def test_an_oblique_wall_is_a_mixture_in_proportion_to_its_charge():
    # The normal is 60 degrees from P: half the charge.
    shares, _ = middle(wall_spec(60.0, ("-P", "+P"), wall=CHARGED))
    assert shares["head-to-head"] == pytest.approx(shares["nonpolar"], rel=1e-6)
    assert shares["tail-to-tail"] == 0


@pytest.mark.parametrize("structure", ["mixed", "charged"])
def test_the_class_of_a_wall_is_that_of_its_charge(structure):
    spec = Spec(
        scan=ScanKeys(shape=(48, 48)),
        geometry=GeometryKeys(kind="vortex", angle=30.0, twist=8.0),
        wall=WallKeys(width=0.8, structure=structure),
    )
    made = [prepare(spec).specimen.row(n) for n in range(48)]
    kind, charge, wall = (
        np.stack([getattr(row, name) for row in made])
        for name in ("charge_class", "charge", "wall")
    )
    assert np.array_equal(kind > 0, wall)
    y, x = np.meshgrid(np.arange(48) - 23.5, np.arange(48) - 23.5, indexing="ij")
    strong = np.hypot(y, x) > 6  # in the middle, several walls are under the probe
    assert (charge[strong & (kind == 1)] > 0).all()
    assert (charge[strong & (kind == 2)] < 0).all()
    assert [np.sum(kind == n) > 60 for n in (1, 2, 3)] == [True] * 3
    # Walls at 90 and 270 degrees run along P, at least in the middle.
    up = np.abs(x) < 1
    assert (kind[up & wall & strong & (np.abs(y) < 15)] == 3).all()
    first = charge[strong & (kind == 3)]
    assert np.abs(first).mean() < 0.3 * np.abs(charge[strong & (kind == 1)]).mean()


def test_an_oblique_wall_of_a_label_image_is_charged_as_the_straight_one(tmp_path):
    keys = geometries(tmp_path)["image"]
    image = Spec(scan=ScanKeys(shape=(21, 21), step=1.0), geometry=keys, wall=CHARGED)
    across = np.array([0.8, 0.6])
    for row in range(21):
        made = prepare(image).specimen.row(row)
        on = made.wall & (np.abs(np.arange(21) - 10) < 8) & (abs(row - 10) < 8)
        inside = made.fractions[2:, on]
        # +P is above, where y is negative: tail to tail; P . n = 0.8.
        assert np.all(made.charge_class[on] == 2)
        share = inside[2].sum() / inside.sum() if on.any() else across[0]
        assert share == pytest.approx(across[0], abs=0.1)


def test_head_to_head_and_tail_to_tail_walls_diffract_differently_only_when_charged():
    def difference(wall):
        patterns = []
        for states in (("-P", "+P"), ("+P", "-P")):
            simulation = prepare(wall_spec(0.0, states, wall=wall))
            row = simulation.specimen.row(10)
            patterns.append(expected_patterns(simulation, row, slice(10, 11))[0])
        return np.abs(patterns[0] - patterns[1]).sum() / patterns[0].sum()

    assert difference(WallKeys(width=0.8, structure="mixed")) < 1e-3
    assert difference(WallKeys(width=0.8, structure="intermediate")) < 1e-3
    assert 0.02 < difference(CHARGED) < 0.5


def test_a_table_without_states_of_charged_walls_is_refused():
    spec = Spec(
        optics=OpticsKeys(table="boracite", convergence=0.8, k_step=0.012),
        geometry=GeometryKeys(states=("up", "down")),
        wall=CHARGED,
        source="walls.toml",
    )
    with pytest.raises(ScanError, match=r"walls\.toml: wall\.structure: 'charged' needs states"):
        prepare(spec)


@pytest.mark.parametrize("charged", [None, ("heads", "tails")])
def test_a_table_file_keeps_the_states_of_charged_walls(tmp_path, charged):
    beams = Computed(
        np.array([[0, 0, 0]]), np.zeros((1, 2)), np.full((1, 5, 5, 5), 0.5, np.float32)
    )
    states = tuple(State(name, 0, "same", (0.0, 0.0, 0.0)) for name in ("flat", "heads", "tails"))
    grid = {"k_t": np.arange(-2, 3) * 0.01, "thickness": np.arange(5) * 2.0}
    table = Table("t", "t", 200.0, **grid, k_max=1.0, computed=(beams,), states=states)
    path = write_table(tmp_path / "t.npz", replace(table, charged=charged))
    assert load_table(path).charged == charged


@pytest.mark.parametrize("name", ["ermno3-vortex", "ermno3-vortex-small"])
def test_nothing_but_the_diffraction_tells_the_walls_of_a_vortex_apart(name):
    from sklearn.metrics import roc_auc_score

    simulation = prepare(preset(name))
    rows = simulation.spec.scan.shape[0]
    made = [simulation.specimen.row(n) for n in range(0, rows, rows // 64)]
    kind = np.concatenate([row.charge_class for row in made])
    charged = (kind == 1) | (kind == 2)
    assert min(np.sum(kind == n) for n in (1, 2, 3)) > 100
    known = np.concatenate(
        [np.stack([row.thickness, *row.tilt, *row.shift, row.labels]) for row in made], axis=1
    )
    for values in known:
        assert 0.4 < roc_auc_score(kind[charged] == 1, values[charged]) < 0.6
