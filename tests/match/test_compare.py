"""Comparison of patterns and registration, against what is known of the patterns compared."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.simulated_patterns import OPTICS, STEP, disks, pattern_of, ymno3_table
from napari_ferro4d.corrections import bad_pixels
from napari_ferro4d.errors import ScanError
from napari_ferro4d.match import asymmetry, compare, correlate, friedel_pairs, on_detector
from napari_ferro4d.reduce import PatternStatistics
from napari_ferro4d.simulate import Beams, Optics, load_table, ymno3, zone_beams

RADIUS = OPTICS.disk_radius
KEYS = {"k_step": STEP, "disk_radius": RADIUS}


@pytest.fixture(scope="module")
def table():
    return ymno3_table()


@pytest.fixture(scope="module")
def plus(table):
    return pattern_of(table)


@pytest.fixture(scope="module")
def minus(table):
    return pattern_of(table, state="-P")


@pytest.fixture(scope="module")
def beams():
    return on_detector(zone_beams(ymno3(1), 1.6), (64, 64), k_step=STEP, disk_radius=RADIUS)


# Correlation


def test_a_pattern_is_itself_up_to_a_factor(plus):
    found = compare(plus, 3 * plus, k_step=STEP)
    assert found.overall == pytest.approx(1)
    assert np.nanmin(found.correlation) == pytest.approx(1)
    assert np.abs(found.difference).max() < 1e-15
    assert np.nanmax(found.variation) < 1e-12


def test_window_correlation_is_that_of_the_pixels_in_the_window(plus, minus):
    found = compare(plus, minus, k_step=STEP, window=0.1)
    ky, kx = np.indices((64, 64))
    for row, col in ((31, 31), (20, 33), (14, 40), (45, 29), (2, 1)):
        weight = np.clip(5.5 - np.hypot(ky - row, kx - col), 0, 1).ravel()
        a, b = plus.ravel() / plus.sum(), minus.ravel() / minus.sum()
        (aa, ab), (_, bb) = np.cov(a, b, aweights=weight)
        if min(aa, bb) < 1e-20:
            assert np.isnan(found.correlation[row, col])
        else:
            assert found.correlation[row, col] == pytest.approx(ab / np.sqrt(aa * bb), abs=1e-6)
    assert np.nanmax(np.abs(found.correlation)) <= 1


def test_overall_correlation_is_pearsons_and_the_variation_says_where_it_is_lost(plus, minus):
    found = compare(plus, minus, k_step=STEP)
    assert found.overall == pytest.approx(np.corrcoef(plus.ravel(), minus.ravel())[0, 1])
    # But for the edge, where windows are cut, every pixel is in as many windows as any other.
    assert np.nanmean(found.variation) == pytest.approx(1 - found.overall, rel=0.02)


def test_variation_is_highest_where_one_reflection_differs(beams):
    intensity = np.ones(len(beams.g))
    other = intensity.copy()
    i = beams.hkl.tolist().index([0, 0, 4])
    other[i] = 3
    a, b = disks(beams.g, intensity), disks(beams.g, other)
    found = compare(a, b, k_step=STEP)
    place = np.unravel_index(np.nanargmax(found.variation), a.shape)
    assert np.hypot(*(np.array(place) - 31.5 - beams.g[i] / STEP)) < 3.6
    # Shape by shape single disks are alike: the locally normalised map does not show it.
    alone = [disks([(0.3, 0.0), (-0.3, 0.0)], [1, factor]) for factor in (1, 3)]
    assert np.nanmin(compare(*alone, k_step=STEP).correlation) > 0.999
    assert compare(*alone, k_step=STEP).overall < 0.95


def test_without_contrast_beyond_noise_there_is_no_correlation():
    rng = np.random.default_rng(1)
    even = disks([(0.0, 0.0)], [40_000], background=20.0)
    a, b = rng.poisson(even), rng.poisson(even)
    found = compare(a, b, k_step=STEP, counts_a=a.sum(), counts_b=b.sum())
    radius = np.hypot(*(np.indices((64, 64)) - 31.5))
    away = (radius > 8) & (radius < 31)
    assert np.isnan(found.correlation[away]).mean() > 0.98
    assert np.isfinite(found.correlation[28:36, 28:36]).all()
    assert found.correlation[31, 34] > 0.9
    # Not told of the noise, it correlates noise with noise.
    assert np.isfinite(compare(a, b, k_step=STEP).correlation[away]).all()


def test_differences_of_either_sign_can_be_correlated(plus, minus):
    simulated = plus - minus
    rng = np.random.default_rng(2)
    measured = rng.poisson(1e6 * plus) / 1e6 - rng.poisson(1e6 * minus) / 1e6
    assert correlate(measured, simulated, k_step=STEP).overall > 0.95
    assert correlate(measured, -simulated, k_step=STEP).overall < -0.95
    with pytest.raises(ScanError, match="noise_a: has shape"):
        correlate(measured, simulated, k_step=STEP, noise_a=np.ones(3))
    with pytest.raises(ScanError, match="noise_b: is not finite"):
        correlate(measured, simulated, k_step=STEP, noise_b=np.full((64, 64), np.nan))
    with pytest.raises(ScanError, match=r"a: the sum .* not positive; use `correlate`"):
        compare(simulated - 1e-6, plus, k_step=STEP)


def test_difference_has_the_error_of_counting(plus, minus):
    rng = np.random.default_rng(3)
    counts = 2e5
    truth = plus / plus.sum() - minus / minus.sum()
    pulls = []
    for _ in range(60):
        a, b = (rng.poisson(counts * p / p.sum()) for p in (plus, minus))
        found = compare(a / 7, b / 3, k_step=STEP, counts_a=a.sum(), counts_b=b.sum())
        lit = (plus + minus) * counts > 60
        pulls.append((found.difference - truth)[lit] / found.error[lit])
    assert np.std(pulls) == pytest.approx(1, abs=0.03)


# Reflections


def test_integrated_intensities_are_those_drawn_and_the_background_is_taken_off(beams):
    rng = np.random.default_rng(4)
    drawn = rng.uniform(50, 400, (2, len(beams.g)))
    a, b = (disks(beams.g, row, background=3.0) for row in drawn)
    found = compare(a, b, reflections=beams, **KEYS).reflections
    assert found.a * a.sum() == pytest.approx(drawn[0], rel=1e-6)
    assert found.b * b.sum() == pytest.approx(drawn[1], rel=1e-6)
    share = drawn / np.array([[a.sum()], [b.sum()]])
    assert found.asymmetry == pytest.approx((share[0] - share[1]) / share.sum(axis=0), abs=1e-6)
    assert found.ratio == pytest.approx(share[0] / share[1], rel=1e-6)
    assert np.isnan(found.error).all()
    raw = compare(a, b, reflections=beams, background=False, **KEYS).reflections
    assert (raw.a * a.sum() > drawn[0] + 100).all()


def test_friedel_asymmetry_is_that_drawn_off_the_middle_of_a_pixel():
    g = np.array([[-0.35, 0.0], [0.35, 0.0], [0.0, 0.0]])
    reflections = Beams(np.array([[0, 0, 4], [0, 0, -4], [0, 0, 0]]), g)
    pattern = disks(g, [300, 100, 5000], centre=(30.3, 32.8), background=1.0)
    found = asymmetry(pattern, (0, 0, 4), reflections, centre=(30.3, 32.8), **KEYS)
    assert found.value == pytest.approx(0.5, abs=1e-6)
    assert found.intensity == pytest.approx(300)
    turned = asymmetry(pattern, (0, 0, -4), reflections, centre=(30.3, 32.8), **KEYS)
    assert turned.value == -found.value
    assert turned.intensity == found.partner
    assert np.isnan(found.error)


def test_polarisation_turns_every_asymmetry_round_and_a_centre_has_none(plus, minus, beams):
    up = friedel_pairs(plus, beams, **KEYS)
    down = friedel_pairs(minus, beams, **KEYS)
    assert len(up) == (len(beams.hkl) - 1) // 2
    by_hkl = {pair.hkl: pair for pair in down}
    for one in up:
        h, k, l = one.hkl  # noqa: E741
        # The mirror image has at 0 k -l what the other state has at 0 k l.
        if (h, k, -l) in by_hkl:
            assert by_hkl[h, k, -l].value == pytest.approx(one.value, abs=1e-6)
        else:
            assert by_hkl[-h, -k, l].value == pytest.approx(-one.value, abs=1e-6)
    strongest = max(up, key=lambda p: abs(p.value) * (p.intensity + p.partner))
    assert abs(strongest.value) > 0.1
    even = plus + minus
    assert max(abs(p.value) for p in friedel_pairs(even, beams, **KEYS)) < 1e-6


@pytest.mark.parametrize(
    ("nm", "leads", "at_least"),
    [
        # How much the leader is ahead of the other of 002 and 004; the two draw level at 75 nm.
        (52.0, [0, 0, 4], 1.5),
        (55.0, [0, 0, 4], 1.5),
        (65.0, [0, 0, 4], 1.5),
        (67.0, [0, 0, 4], 1.5),
        (75.0, None, None),
        (82.0, [0, 0, 2], 1.5),
        (90.0, [0, 0, 2], 1.5),
    ],
)
def test_004_and_002_vary_most_between_the_domains_of_ermno3(nm, leads, at_least):
    # Ludacka et al. (2024), Fig. 4: 004 and, less pronounced, 002. The documentation has the table.
    from napari_ferro4d.simulate.diffraction import table_patterns

    table = load_table("ermno3")
    optics = Optics(detector_shape=(72, 72))
    listed = Beams(table.computed[0].hkl, table.computed[0].g)
    beams = on_detector(listed, optics.detector_shape, **KEYS)
    names = np.abs(beams.hkl).tolist()
    where = np.zeros(1), np.zeros(1), np.array([nm])
    a, b = (table_patterns(table, state, optics, *where)[0] for state in ("+P", "-P"))
    found = compare(a, b, reflections=beams, **KEYS)
    change = np.abs(found.reflections.a - found.reflections.b)
    two = {order: change[names.index([0, 0, order])] for order in (2, 4)}
    if leads is None:
        assert two[4] == pytest.approx(two[2], rel=0.2)
        others = [
            c for name, c in zip(names, change, strict=True) if name not in ([0, 0, 2], [0, 0, 4])
        ]
        assert min(two.values()) > 2 * max(others)
    else:
        assert names[change.argmax()] == leads
        assert two[leads[2]] > at_least * two[6 - leads[2]]
        place = np.unravel_index(np.nanargmax(found.variation), a.shape)
        nearest = np.hypot(*((np.array(place) - 35.5) * STEP - beams.g).T).argmin()
        assert names[nearest] == leads
    pair = asymmetry(a, (0, 0, 4), beams, **KEYS)
    assert pair.value == pytest.approx(-asymmetry(b, (0, 0, 4), beams, **KEYS).value, abs=1e-3)
    assert abs(pair.value) > 0.09


def noisy_reading(plus, minus, beams, bad=None, spoil=None, draws=300, counts=60_000):
    """Return pulls of both kinds of asymmetry, ``[draw, reflection]``."""
    rng = np.random.default_rng(5)
    means = [counts * (0.98 * p / p.sum() + 0.02 / p.size) for p in (plus, minus)]
    exact = compare(*means, reflections=beams, bad=bad, **KEYS).reflections.asymmetry
    pairs = [p.value for p in friedel_pairs(means[0], beams, bad=bad, **KEYS)]
    between, within = [], []
    for _ in range(draws):
        a, b = (rng.poisson(mean).astype(float) for mean in means)
        if spoil is not None:
            a, b = spoil(a), spoil(b)
        good = slice(None) if bad is None else ~bad
        n = a[good].sum(), b[good].sum()
        table = compare(
            a / 50, b, reflections=beams, counts_a=n[0], counts_b=n[1], bad=bad, **KEYS
        ).reflections
        between.append((table.asymmetry - exact) / table.error)
        found = friedel_pairs(a / 50, beams, counts=n[0], bad=bad, **KEYS)
        within.append([(p.value - truth) / p.error for p, truth in zip(found, pairs, strict=True)])
    # Weak reflections are sometimes not told from nothing; those that are keep a selected value.
    return [np.array(p)[:, np.isfinite(p).mean(axis=0) > 0.999] for p in (between, within)]


def test_errors_are_calibrated(plus, minus, beams):
    for pulls in noisy_reading(plus, minus, beams):
        assert pulls.shape[1] > 6
        assert np.nanstd(pulls) == pytest.approx(1, abs=0.05)
        assert np.nanstd(pulls, axis=0) == pytest.approx(np.ones(pulls.shape[1]), abs=0.15)
        assert abs(np.nanmean(pulls)) < 0.1


def test_errors_stay_calibrated_with_dead_hot_and_saturated_pixels(plus, minus, beams):
    dead, hot = [(14, 31), (30, 20), (49, 33)], [(12, 33), (40, 30), (5, 5)]
    full = 500

    def spoil(counts):
        counts = np.minimum(counts, full)
        counts[tuple(np.transpose(dead))] = 0
        counts[tuple(np.transpose(hot))] = full
        return counts

    rng = np.random.default_rng(6)
    shown = np.stack([spoil(rng.poisson(60_000 * plus / plus.sum())) for _ in range(20)])
    statistics = PatternStatistics(shown.mean(0), shown.std(0), shown.max(0), 20)
    bad = bad_pixels(statistics) | (statistics.maximum >= full)
    bad[tuple(np.transpose(dead))] = True  # between disks no neighbour shows a dead pixel
    assert np.count_nonzero(bad) > len(dead) + len(hot)
    for pulls in noisy_reading(plus, minus, beams, bad, spoil):
        assert pulls.shape[1] > 5
        assert np.nanstd(pulls) == pytest.approx(1, abs=0.06)
        assert abs(np.nanmean(pulls)) < 0.1
    # Unless they are marked.
    unmarked = noisy_reading(plus, minus, beams, None, spoil, 20)
    assert max(np.abs(np.nanmean(pulls, axis=0)).max() for pulls in unmarked) > 1


def test_bad_pixels_hardly_move_an_asymmetry_and_too_many_take_it_away(plus, beams):
    exact = asymmetry(plus, (0, 0, 4), beams, **KEYS)
    bad = np.zeros((64, 64), bool)
    bad[13, 30:33] = True
    spoilt = np.where(bad, 1e3, plus)
    assert asymmetry(spoilt, (0, 0, 4), beams, bad=bad, **KEYS).value == pytest.approx(
        exact.value, abs=0.03
    )
    assert asymmetry(np.where(bad, np.nan, plus), (0, 0, 4), beams, **KEYS).value == pytest.approx(
        exact.value, abs=0.03
    )
    bad[8:20, 25:38] = True
    assert np.isnan(asymmetry(spoilt, (0, 0, 4), beams, bad=bad, **KEYS).value)


def test_disk_radius_is_found_where_it_is_not_given(plus, beams):
    told = asymmetry(plus, (0, 0, 4), beams, **KEYS).value
    found = asymmetry(plus, (0, 0, 4), beams, k_step=STEP).value
    assert found == pytest.approx(told, abs=0.02)


def test_too_few_counts_give_no_asymmetry(plus, beams):
    few = np.random.default_rng(7).poisson(40 * plus)
    found = friedel_pairs(few, beams, counts=few.sum(), **KEYS)
    assert np.mean([np.isnan(p.value) for p in found]) > 0.7


# Bad input


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"b": np.ones((32, 64))}, r"b: has shape \(32, 64\)"),
        ({"a": np.zeros((64, 64))}, "a: the pattern is zero"),
        ({"a": np.full((64, 64), np.nan)}, "a: every pixel"),
        ({"b": np.ones((64, 64))}, "b: all good pixels have the same value"),
        ({"a": np.ones((4, 64, 64))}, "a: a pattern is a real array"),
        ({"a": np.ones((64, 64), complex)}, "a: a pattern is a real array"),
        ({"window": 0.01}, "window: .* smaller than a pixel"),
        ({"window": 0.9}, "window: .* too large"),
        ({"window": float("nan")}, "window: must be a positive number"),
        ({"k_step": 0}, "k_step: must be"),
        ({"k_step": -0.02}, "k_step: must be"),
        ({"counts_a": -5}, "counts_a: must be"),
        ({"disk_radius": 0}, "disk_radius: must be"),
        ({"disk_radius": 0.1}, "reflections: .* disks are not wholly on the detector"),
        ({"centre": (3.0, 31.5)}, "reflections: .* disks are not wholly on the detector"),
        ({"centre": (3.0,)}, r"centre: is \(ky, kx\)"),
        ({"centre": "middle"}, r"centre: is \(ky, kx\)"),
        ({"centre": (np.nan, 31.5)}, "centre: .* not on the detector"),
        ({"centre": (31.5, 80)}, "centre: .* not on the detector of 64 x 64"),
        ({"k_step": (0.02, 0.02)}, "k_step: must be a positive number"),
        ({"a": np.full((64, 64), 1e200)}, r"a: values of 1e\+200"),
        ({"reflections": Beams(np.ones((1, 3)) / 3, np.zeros((1, 2)))}, "reflections: hkl has"),
        ({"reflections": Beams(np.ones((1, 3)), np.full((1, 2), np.nan))}, "and g finite"),
        ({"bad": np.zeros((3, 3), bool)}, "bad: the bad pixels have shape"),
        ({"bad": np.ones((64, 64), bool)}, "a: every pixel is bad"),
        ({"reflections": zone_beams(ymno3(1), 1.5)}, r"reflections: .* the first is \("),
        ({"reflections": Beams(np.zeros((2, 2)), np.zeros((2, 2)))}, "reflections: needs hkl"),
    ],
)
def test_bad_input_is_named(plus, minus, beams, change, said):
    arguments = {"a": plus, "b": minus, "reflections": beams, **KEYS} | change
    with pytest.raises(ScanError, match=said):
        compare(arguments.pop("a"), arguments.pop("b"), **arguments)


def test_overlapping_disks_have_no_background(plus):
    ky, kx = np.mgrid[-3:4, -3:4] * 0.06
    hkl = np.stack([0 * ky, np.rint(kx / 0.06), np.rint(-ky / 0.06)], axis=-1).reshape(-1, 3)
    dense = Beams(hkl.astype(int), np.stack([ky, kx], axis=-1).reshape(-1, 2))
    with pytest.raises(ScanError, match="too few for a background"):
        compare(plus, plus + 1e-3, reflections=dense, **KEYS)
    compare(plus, plus + 1e-3, reflections=dense, background=False, **KEYS)


def test_an_unlisted_reflection_is_named(plus, beams):
    with pytest.raises(ScanError, match=r"hkl: .* not among the reflections"):
        asymmetry(plus, (0, 0, 40), beams, **KEYS)
    with pytest.raises(ScanError, match="hkl: a reflection is three indices"):
        asymmetry(plus, (0, 0, 0), beams, **KEYS)
