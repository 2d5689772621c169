"""Simulated specimens: domains, walls, thickness and tilt, and what a finite probe sees of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import curve_fit
from scipy.special import erf

from helpers.simulated_patterns import rows
from napari_ferro4d.errors import ScanError
from napari_ferro4d.simulate.scans import (
    GeometryKeys,
    ScanKeys,
    Spec,
    SpecimenKeys,
    WallKeys,
    prepare,
)


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
