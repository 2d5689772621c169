"""From electrons to counts: noise, saturation, read-out, dead and hot pixels, point spread."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ferro4d.simulate import Optics
from napari_ferro4d.simulate.scans import (
    DetectorKeys,
    Spec,
    add_background,
    amorphous_profile,
    detector_of,
    read_out,
)

SHAPE = (24, 32)


def detector(seed=3, **keys):
    return detector_of(Spec(detector=DetectorKeys(shape=SHAPE, **keys), seed=seed))


def exposures(mean, made, n=4000, seed=0):
    expected = np.broadcast_to(np.asarray(mean, np.float32), (n, *SHAPE)).copy()
    return read_out(expected, made, np.random.default_rng(seed))


@pytest.mark.parametrize("mean", [0.01, 0.7, 9.0, 12.0, 300.0])
def test_variance_is_the_mean(mean):
    counts = exposures(mean, detector()).astype(float)
    n = counts.size
    assert counts.mean() == pytest.approx(mean, abs=5 * np.sqrt(mean / n))
    # The variance of a sample variance of a Poisson distribution.
    error = np.sqrt((mean + 2 * mean**2) / n)
    assert counts.var() == pytest.approx(mean, abs=5 * error)


def test_pixels_and_patterns_are_independent():
    counts = exposures(5.0, detector(point_spread=1.5)).astype(float) - 5
    inner = counts[:, 4:-4, 4:-4]
    n = inner.size
    for shifted in (inner[:, :-1] * inner[:, 1:], inner[..., 1:] * inner[..., :-1]):
        assert abs(shifted.mean()) < 5 * 5 / np.sqrt(n)
    assert abs((inner[1:] * inner[:-1]).mean()) < 5 * 5 / np.sqrt(n)


@pytest.mark.parametrize(("bits", "dtype"), [(6, np.uint8), (12, np.uint16), (16, np.uint16)])
def test_pixels_stop_at_full_scale(bits, dtype):
    full = 2**bits - 1
    mean = np.full(SHAPE, 3.0 * full)
    mean[:, 0] = 0.5
    counts = exposures(mean, detector(bits=bits), n=20)
    assert counts.dtype == dtype
    assert (counts[..., 1:] == full).all()
    assert counts[..., 0].max() < 10


def test_saturation_clips_the_counts_and_nothing_else():
    mean = np.full(SHAPE, 20.0)
    free = exposures(mean, detector(), n=500, seed=4)
    clipped = exposures(mean, detector(saturation=22), n=500, seed=4)
    assert free.max() > 30
    assert np.array_equal(clipped, np.minimum(free, 22))


def test_dead_and_hot_pixels_read_as_specified():
    made = detector(dead=((1, 2), (5, 6)), hot=((7, 8),), hot_counts=50.0)
    counts = exposures(2.0, made, n=2000)
    assert counts[:, 1, 2].max() == counts[:, 5, 6].max() == 0
    assert counts[:, 7, 8].mean() == pytest.approx(52, abs=5 * np.sqrt(52 / 2000))
    others = np.ones(SHAPE, bool)
    others[[1, 5, 7], [2, 6, 8]] = False
    assert counts[:, others].mean() == pytest.approx(2, abs=0.02)
    assert (counts[:, others].mean(axis=0) > 1.5).all()


def test_pixels_are_placed_by_the_seed_and_apart():
    one, same, other = (detector(seed, dead=9, hot=7, hot_counts=1.0) for seed in (1, 1, 2))
    assert one.dead.sum() == 9
    assert one.hot.sum() == 7
    assert not (one.dead & one.hot).any()
    assert np.array_equal(one.dead, same.dead)
    assert np.array_equal(one.hot, same.hot)
    assert not np.array_equal(one.dead, other.dead)


@pytest.mark.parametrize("fwhm", [1.6, 3.0, 5.0])
def test_point_spread_has_its_width_and_keeps_the_electrons(fwhm):
    point = np.zeros((1, 33, 33), np.float32)
    point[0, 16, 16] = 40_000
    made = detector_of(Spec(detector=DetectorKeys(shape=(33, 33), point_spread=fwhm)))
    counts = read_out(point, made, np.random.default_rng(0)).astype(float)[0]
    total = counts.sum()
    assert total == pytest.approx(40_000, rel=0.03)
    k = np.arange(33) - 16
    # A Gaussian, summed over pixels that are 1 wide.
    expected = (fwhm / 2.3548) ** 2 + 1 / 12
    for axis in (0, 1):
        assert (counts.sum(axis=axis) * k**2).sum() / total == pytest.approx(expected, rel=0.05)


def test_what_spreads_over_the_edge_is_lost():
    made = detector(point_spread=3.0)
    corner = np.zeros((1, *SHAPE), np.float32)
    corner[0, 0, 0] = 20_000
    counts = read_out(corner, made, np.random.default_rng(0)).astype(float)
    # Half a pixel more than half of it stays, in each direction.
    assert 0.3 < counts.sum() / 20_000 < 0.5


def test_pieces_of_a_row_are_the_row():
    made = detector(point_spread=1.0, hot=2, hot_counts=3.0)
    mean = np.random.default_rng(1).uniform(0, 30, (10, *SHAPE)).astype(np.float32)
    whole = read_out(mean.copy(), made, np.random.default_rng(5))
    rng = np.random.default_rng(5)
    pieces = [read_out(mean[a:b].copy(), made, rng) for a, b in ((0, 1), (1, 7), (7, 10))]
    assert np.array_equal(np.concatenate(pieces), whole)


# Diffuse rings


def test_rings_hold_all_electrons_and_lie_where_carbon_has_them():
    optics = Optics(200.0, 1.0, 0.02, (401, 401))
    pattern = np.zeros((1, 401, 401), np.float32)
    add_background(pattern, amorphous_profile(optics), optics, 1000.0, np.zeros((1, 2)))
    assert 980 < pattern.sum() <= 1001
    middle = pattern[0, 200, 200:380].astype(float)
    q = np.arange(len(middle)) * 0.02
    # Maxima of the structure factor of amorphous carbon, on the falling scattering of its atoms.
    steep = np.gradient(np.log(middle), q)
    assert steep[(q > 0.30) & (q < 0.44)].max() > steep[(q > 0.52) & (q < 0.62)].max() + 1
    assert np.all(np.diff(middle[q > 1.2]) < 0)


def test_rings_are_round_and_move_with_the_pattern():
    optics = Optics(200.0, 2.0, 0.02, (64, 64))
    profile = amorphous_profile(optics)
    patterns = np.zeros((2, 64, 64), np.float32)
    add_background(patterns, profile, optics, 1.0, np.array([[0.0, 0.0], [3.0, -2.0]]))
    assert np.allclose(patterns[0], patterns[0].T)
    assert np.allclose(patterns[0], patterns[0][::-1])
    assert np.allclose(patterns[1][3:, :-2], patterns[0][:-3, 2:], rtol=1e-5)
