"""Registration of a measured pattern onto a simulated one, against known transformations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import affine_transform, gaussian_filter

from helpers.simulated_patterns import disks, pattern_of, ymno3_table
from napari_ferro4d.errors import ScanError
from napari_ferro4d.match import Registration, register
from napari_ferro4d.simulate import Optics


@pytest.fixture(scope="module")
def table():
    return ymno3_table()


@pytest.fixture(scope="module")
def plus(table):
    return pattern_of(table)


def turned(pattern, matrix, shift, shape):
    """Place a pattern by scipy's own affine transformation; `matrix` acts on ``(ky, kx)``."""
    inverse = np.linalg.inv(matrix)
    middle_in, middle_out = ((np.array(s) - 1) / 2 for s in (pattern.shape, shape))
    offset = middle_in - inverse @ (middle_out + shift)
    return np.clip(affine_transform(pattern, inverse, offset, shape, order=3), 0, None)


def close(found, shift, rotation, scale, pixels=0.15):
    assert found.shift == pytest.approx(shift, abs=pixels)
    assert abs((found.rotation - rotation + 180) % 360 - 180) < 0.25
    assert found.scale == pytest.approx(scale, rel=0.005)


@pytest.mark.parametrize(
    ("shift", "rotation", "scale", "shape", "electrons"),
    [
        ((0.0, 0.0), 0, 1.0, (64, 64), None),
        ((0.0, 0.0), 0, 1.0, (64, 64), 20_000),
        ((3.3, -4.6), 33, 1.07, (64, 64), 20_000),
        ((-2.2, 0.4), -141, 0.88, (72, 60), 20_000),
        ((1.0, 5.0), 90, 1.2, (96, 96), 20_000),
    ],
)
def test_a_known_transformation_is_recovered(table, shift, rotation, scale, shape, electrons):
    simulated = pattern_of(table, tilt=(0.2, 0.3))
    angle = np.deg2rad(rotation)
    # Counter-clockwise as drawn: what was right (+kx) comes to lie up (-ky).
    matrix = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    measured = turned(simulated, matrix, shift, shape)
    if electrons:
        measured = np.random.default_rng(8).poisson(electrons * measured / measured.sum())
    best, half_a_turn = register(measured, simulated)
    close(best, shift, rotation, scale)
    assert abs(abs(best.rotation - half_a_turn.rotation) - 180) < 0.5
    assert best.score > half_a_turn.score > 0.5
    assert not best.mirrored


def test_camera_length_and_rotation_of_a_pattern_computed_anew_are_recovered(table):
    # Not a resampled picture: the physics on a detector of other pixels, then turned exactly.
    other = Optics(k_step=0.0125, detector_shape=(100, 100))
    simulated = pattern_of(table, tilt=(0.3, -0.1))
    measured = np.rot90(pattern_of(table, other, tilt=(0.3, -0.1)))
    best, _ = register(measured, simulated, scale=(1.3, 2.0))
    close(best, (0, 0), 90, 0.02 / 0.0125)
    back = best.apply(measured)
    lit = np.isfinite(back)
    assert lit.mean() > 0.9
    assert np.corrcoef(back[lit], simulated[lit])[0, 1] > 0.99
    assert back[lit].sum() == pytest.approx(simulated[lit].sum(), rel=0.01)


def test_turned_and_opposite_polarisation_cannot_be_told_apart(table):
    # Half a turn of -P at the opposite tilt is +P, exactly: no score may decide.
    measured = pattern_of(table, state="-P", tilt=(-0.2, -0.3))[::-1, ::-1]
    simulated = pattern_of(table, tilt=(0.2, 0.3))
    assert measured == pytest.approx(simulated, abs=1e-8)
    candidates = register(pattern_of(table, state="-P", tilt=(-0.2, -0.3)), simulated)
    assert sorted(abs(round(c.rotation)) for c in candidates) == [0, 180]


def test_the_user_can_exclude_the_half_turn(table, plus):
    measured = turned(plus, np.eye(2), (1, 2), (64, 64))
    (only,) = register(measured, plus, rotation=(-30, 30))
    close(only, (1, 2), 0, 1)
    (other,) = register(measured, plus, rotation=(150, 210))
    assert abs(abs(other.rotation) - 180) < 1
    assert other.score < only.score


def test_a_mirror_image_is_found_if_asked_for():
    # A pattern without any symmetry of its own.
    g = np.random.default_rng(9).uniform(-0.45, 0.45, (9, 2))
    g[0] = 0
    simulated = disks(g, [900, 100, 80, 150, 60, 90, 130, 70, 110])
    measured = turned(simulated[:, ::-1], np.eye(2), (2, -1), (64, 64))
    found = register(measured, simulated, mirror=True)
    assert len(found) == 4
    close(found[0], (2, -1), 0, 1)
    assert found[0].mirrored
    assert found[0].score > 0.98 > max(one.score for one in found if not one.mirrored)
    assert np.nanmax(np.abs(found[0].apply(measured) - simulated)) < 0.1 * simulated.max()


def test_bad_pixels_and_another_background_do_not_disturb(plus):
    rng = np.random.default_rng(10)
    angle = np.deg2rad(-22)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    measured = rng.poisson(3e5 * gaussian_filter(turned(plus, matrix, (2, 1), (64, 64)), 0.6) + 3)
    bad = rng.random((64, 64)) < 0.03
    bad[:, 40] = True
    measured = np.where(bad, rng.choice([0, 65535], (64, 64)), measured)
    close(register(measured, plus, bad=bad)[0], (2, 1), -22, 1, pixels=0.2)
    close(register(np.where(bad, np.nan, measured), plus)[0], (2, 1), -22, 1, pixels=0.2)


@pytest.mark.parametrize("kind", ["beam", "noise", "rings"])
def test_a_pattern_without_reflections_is_refused(plus, kind):
    rng = np.random.default_rng(11)
    radius = np.hypot(*(np.indices((64, 64)) - 31.5))
    mean = {
        "beam": 500.0 * (radius < 3.6) + 0.5,
        "noise": np.full((64, 64), 5.0),
        "rings": 500.0 * (radius < 3.6) + 20 * np.exp(-((radius - 14) ** 2) / 20),
    }[kind]
    with pytest.raises(ScanError, match=r"measured: no reflections"):
        register(rng.poisson(mean), plus)


@settings(max_examples=30, deadline=None)
@given(
    shift=st.tuples(st.floats(-6, 6), st.floats(-6, 6)),
    rotation=st.floats(-180, 180),
    scale=st.floats(0.6, 1.8),
    mirrored=st.booleans(),
    shape=st.tuples(st.integers(50, 80), st.integers(50, 80)),
)
def test_apply_undoes_project(shift, rotation, scale, mirrored, shape):
    smooth = np.exp(-(np.hypot(*(np.indices((60, 56)) - [[[27.0]], [[33.0]]])) ** 2) / 60)
    known = Registration(shift, rotation, scale, mirrored, 1.0, shape, (60, 56))
    there = known.project(smooth)
    back = known.apply(there)
    assert there.shape == shape
    assert back.shape == smooth.shape
    lit = np.isfinite(back)
    blurred = 0.02 + 0.06 * max(scale, 1 / scale) ** 2 - 0.06
    assert np.abs(back[lit] - smooth[lit]).max(initial=0) < blurred


def test_bad_input_is_named(plus):
    with pytest.raises(ScanError, match="scale: give the lowest"):
        register(plus, plus, scale=(2, 1))
    with pytest.raises(ScanError, match="rotation: give the lowest"):
        register(plus, plus, rotation=(10, -10))
    with pytest.raises(ScanError, match="flat or not positive"):
        register(np.ones((64, 64)), plus)
    with pytest.raises(ScanError, match="measured: has shape"):
        register(plus, plus)[0].apply(plus[:32])
