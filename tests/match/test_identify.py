"""Which simulated state fits a class, how surely, and when nothing may be claimed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, rotate

from helpers.simulated_patterns import (
    OPTICS,
    averaged_with_mirror,
    pattern_of,
    small_table,
    ymno3_table,
)
from napari_ferro4d.errors import ScanError
from napari_ferro4d.match import (
    CLOSE,
    FAINT,
    MISFIT,
    NOT_TURNED,
    THICKNESS,
    Registration,
    candidates_of,
    identify,
    identify_scan,
    register,
)
from napari_ferro4d.reduce import mean_pattern
from napari_ferro4d.scan import Scan
from napari_ferro4d.simulate import State, demo_scan, demo_truth, load_table, ymno3

PLACES = {
    "thickness": np.arange(50, 76, 5),
    "tilt_y": (-0.6, -0.3, 0.0, 0.3, 0.6),
    "tilt_x": (-0.4, 0, 0.4),
}


@pytest.fixture(scope="module")
def table():
    return ymno3_table()


@pytest.fixture(scope="module")
def candidates(table):
    return candidates_of(table, OPTICS, **PLACES)


@pytest.fixture(scope="module")
def demo_candidates():
    """The polar states of ErMnO3, of which the demo scan is."""
    return [c for c in candidates_of(load_table("ermno3"), OPTICS, **PLACES) if c.polarity]


@pytest.fixture(scope="module")
def demo():
    """The class means of the demo scan without its wall, and their total counts."""
    scan, truth = demo_scan(), demo_truth()
    labels = np.where(truth.wall, 0, truth.labels)
    means = {n: mean_pattern(scan, labels == n) for n in (1, 2)}
    counts = {n: means[n].sum() * np.count_nonzero(labels == n) for n in means}
    return means, counts


def polar(table, sign, nm, tilt):
    return pattern_of(table, state="+P" if sign == 1 else "-P", nm=nm, tilt=tilt)


def drawn(rng, pattern, counts):
    return rng.poisson(counts * pattern / pattern.sum()).astype(float)


def read(counts, candidates, **keys):
    """Identify one pattern of counts with the turn known."""
    keys = {"rotation_known": True} | keys
    return identify({1: counts}, {1: counts.sum()}, candidates, **keys).classes[1]


# The domains of the demo scan


@pytest.mark.parametrize("shared", [False, True])
def test_both_demo_domains_get_their_sign_thickness_and_tilt(demo_candidates, shared):
    scan, truth = demo_scan(), demo_truth()
    labels = np.where(truth.wall, 0, truth.labels)
    found = identify_scan(scan, labels, demo_candidates, rotation_known=True, shared=shared)
    for label, sign in ((1, 1), (2, -1)):
        reading = found.classes[label]
        assert reading.polarity == sign
        assert reading.confidence > 0.99
        assert reading.decisive
        assert not reading.reasons
        here = labels == label
        assert abs(reading.best.thickness - truth.thickness[here].mean()) < 5
        assert abs(reading.best.tilt[0] - truth.tilt[0, here].mean()) <= 0.3
        assert reading.runner_up.polarity == -sign
        assert reading.log_likelihood_difference > 5
        # The mean of a bent wedge is no candidate: it explains much, and not to counting noise.
        assert 0.8 < reading.explained < 1
        assert reading.dispersion > 100
    (pair,) = found.pairs
    assert (pair.first, pair.second) == (1, 2)
    assert pair.opposite > 0.99
    assert pair.decisive


def test_without_the_turn_only_the_opposition_is_told(demo_candidates, demo):
    found = identify(*demo, demo_candidates)
    for reading in found.classes.values():
        assert reading.polarity == 0
        assert not reading.decisive
        assert reading.confidence == pytest.approx(0.5)
        assert NOT_TURNED in reading.reasons
    (pair,) = found.pairs
    assert pair.decisive
    assert pair.opposite > 0.99


def test_half_a_turn_reverses_the_sign_and_not_the_opposition(demo_candidates, demo):
    means, counts = demo
    turned = {n: mean[::-1, ::-1] for n, mean in means.items()}
    found = identify(turned, counts, demo_candidates, rotation_known=True)
    # The reading is as sure as before: nothing in the pattern says that it was turned.
    assert [found.classes[n].polarity for n in (1, 2)] == [-1, 1]
    assert min(r.confidence for r in found.classes.values()) > 0.99
    assert found.pairs[0].opposite > 0.99


def test_two_halves_of_one_domain_are_not_opposite(demo_candidates):
    scan, truth = demo_scan(), demo_truth()
    labels = np.where(truth.wall | (truth.labels == 2), 0, 1)
    labels[28:] *= 2
    for known in (True, False):
        (pair,) = identify_scan(scan, labels, demo_candidates, rotation_known=known).pairs
        assert pair.opposite < 0.01
        assert pair.decisive


def test_a_turned_and_scaled_detector_is_read_through_its_registration(demo_candidates, demo):
    means, _ = demo
    known = Registration((2.0, -1.5), 25.0, 1.2, False, 1.0, (80, 80), (64, 64))
    rng = np.random.default_rng(0)
    seen = {
        n: rng.poisson(300 * np.maximum(np.nan_to_num(known.project(mean)), 0)) / 300
        for n, mean in means.items()
    }
    counts = {n: 300 * mean.sum() for n, mean in seen.items()}
    simulated = next(c.pattern for c in demo_candidates if c.thickness == 65 and c.tilt == (0, 0))
    both = register(sum(seen.values()) / 2, simulated)
    assert len(both) == 2
    signs = []
    for registration in both:
        found = identify(
            seen, counts, demo_candidates, registration=registration, rotation_known=True
        )
        assert all(reading.decisive for reading in found.classes.values())
        signs.append((registration.rotation, found.classes[1].polarity, found.classes[2].polarity))
    signs.sort()
    # The sign goes with the turn, so only who knows the turn may take it.
    assert [s[1:] for s in signs] == [(-1, 1), (1, -1)]
    assert [s[0] for s in signs] == pytest.approx([-155, 25], abs=0.5)


def test_one_pass_gives_what_the_means_give(demo_candidates, demo):
    truth = demo_truth()
    labels = np.where(truth.wall, 0, truth.labels)
    bad = np.zeros((64, 64), bool)
    bad[20:24, 30] = True
    seen = []
    passed = identify_scan(demo_scan(), labels, demo_candidates, bad=bad, report=seen.append)
    assert seen[-1].done == seen[-1].total == labels.size
    means, _ = demo
    counts = {n: m[~bad].sum() * np.count_nonzero(labels == n) for n, m in means.items()}
    direct = identify(means, counts, demo_candidates, bad=bad)
    for n in (1, 2):
        assert passed.classes[n].dispersion == pytest.approx(direct.classes[n].dispersion)
        assert passed.classes[n].best is direct.classes[n].best


# How sure


def test_confidence_is_the_rate_of_being_right_at_low_dose(table, candidates):
    rng = np.random.default_rng(1)
    said, right = [], []
    for _ in range(250):
        sign = int(rng.choice([1, -1]))
        # As the candidates are: any of them, at places between the grid points too.
        nm, tilt = rng.uniform(52, 74), rng.uniform((-0.6, -0.4), (0.6, 0.4))
        counts = drawn(rng, polar(table, sign, nm, tilt), rng.choice([25, 50, 100]))
        probability = read(counts, candidates).probability
        likelier = max(probability, key=probability.get)
        said.append(probability[likelier])
        right.append(likelier == sign)
    said, right = np.array(said), np.array(right)
    for low, high in ((0.5, 0.7), (0.7, 0.9), (0.9, 1.01)):
        here = (said >= low) & (said < high)
        assert here.sum() > 25
        expected = said[here].mean()
        spread = np.sqrt(expected * (1 - expected) / here.sum())
        assert right[here].mean() == pytest.approx(expected, abs=3 * spread + 0.02)


def test_a_thousand_electrons_tell_the_sign(table, candidates):
    rng = np.random.default_rng(2)
    decided = 0
    for _ in range(40):
        sign = int(rng.choice([1, -1]))
        nm, tilt = rng.uniform(55, 70), rng.uniform((-0.6, -0.4), (0.6, 0.4))
        reading = read(drawn(rng, polar(table, sign, nm, tilt), 1000), candidates)
        assert not reading.decisive or reading.polarity == sign
        decided += reading.decisive
    assert decided > 30


@pytest.mark.parametrize("counts", [300, 1e4, 1e6])
def test_a_blurred_pattern_with_background_is_read_with_less_confidence(table, candidates, counts):
    rng = np.random.default_rng(3)
    sharp = polar(table, -1, 60, (0.1, -0.2))
    real = gaussian_filter(sharp, 0.8) + 0.1 * sharp.mean()
    exact, spoilt = (read(drawn(rng, p, counts), candidates) for p in (sharp, real))
    assert spoilt.probability[-1] > 0.9
    if counts > 1000:
        assert spoilt.explained < exact.explained
        assert spoilt.dispersion > exact.dispersion
        assert spoilt.polarity == exact.polarity == -1


def test_the_blur_of_the_detector_is_that_which_explains_most(table, candidates):
    seen = drawn(
        np.random.default_rng(13),
        gaussian_filter(polar(table, 1, 63, (0.15, 0.1)), 0.8),
        1e5,
    )
    readings = {sigma: read(seen, candidates, blur=sigma) for sigma in (0.0, 0.4, 0.8, 1.2)}
    assert max(readings, key=lambda sigma: readings[sigma].explained) == 0.8
    assert readings[0.8].dispersion < readings[0.0].dispersion / 3
    assert readings[0.8].log_likelihood_difference > readings[0.0].log_likelihood_difference


def test_more_counts_do_not_make_an_imperfect_simulation_surer(table, candidates):
    rng = np.random.default_rng(4)
    real = gaussian_filter(polar(table, 1, 63, (0.15, 0.1)), 0.8)
    few, many = (read(drawn(rng, real, counts), candidates) for counts in (1e5, 1e7))
    assert many.log_likelihood_difference == pytest.approx(few.log_likelihood_difference, rel=0.3)
    assert many.dispersion == pytest.approx(100 * few.dispersion, rel=0.3)


# Not decisive


def turned_by(angle):
    return lambda p: np.clip(rotate(p, angle, reshape=False, order=1), 0, None)


@pytest.mark.parametrize("counts", [100, 1e4, 1e6])
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(np.rot90, id="quarter turn"),
        pytest.param(turned_by(20), id="turned by 20 degrees"),
        pytest.param(lambda p: np.kron(p, np.ones((2, 2)))[32:96, 32:96], id="other scale"),
        pytest.param(lambda p: np.ones_like(p), id="no pattern"),
        pytest.param(lambda p: p + 200 * p.mean(), id="all background"),
        pytest.param(
            lambda p: 1e-4 + (np.hypot(*(np.indices(p.shape) - 31.5)) < 3.6), id="beam only"
        ),
    ],
)
def test_wrong_candidates_are_not_believed(table, candidates, spoil, counts):
    rng = np.random.default_rng(5)
    for sign, nm in ((1, 58.0), (-1, 66.0)):
        seen = drawn(rng, spoil(polar(table, sign, nm, (0.3, 0.2))), counts)
        reading = read(seen, candidates)
        assert not reading.decisive
        assert reading.polarity == 0
        assert {MISFIT, FAINT} & set(reading.reasons)
        other = drawn(rng, spoil(polar(table, -sign, nm, (0.3, 0.2))), counts)
        both = identify({1: seen, 2: other}, {1: seen.sum(), 2: other.sum()}, candidates)
        assert not both.pairs[0].decisive


def test_a_few_electrons_do_not_decide(table, candidates):
    rng = np.random.default_rng(6)
    reading = read(drawn(rng, polar(table, 1, 60, (0, 0)), 15), candidates)
    assert not reading.decisive
    assert reading.confidence < 0.95
    assert {FAINT, CLOSE} <= set(reading.reasons)


def test_a_thickness_beyond_the_candidates_is_said_and_not_believed(table):
    thin = candidates_of(table, OPTICS, **PLACES | {"thickness": (50, 54, 58)})
    rng = np.random.default_rng(7)
    for _ in range(20):
        sign = int(rng.choice([1, -1]))
        tilt = rng.uniform((-0.5, -0.4), (0.5, 0.4))
        seen = drawn(rng, polar(table, sign, rng.uniform(67, 75), tilt), 1e5)
        reading = read(seen, thin)
        assert not reading.decisive
        assert {THICKNESS, MISFIT, CLOSE} & set(reading.reasons)


def test_a_crystal_that_is_not_polar_gets_no_sign(table, candidates):
    flat = small_table(
        averaged_with_mirror(ymno3(1)), (State("mean", 0, "same", (0.0, 0.0, 0.0)),), g_max=1.2
    )
    none = candidates_of(flat, OPTICS, **PLACES)
    rng = np.random.default_rng(8)
    seen = drawn(rng, pattern_of(flat, state="mean", nm=62, tilt=(0.1, 0.1)), 1e5)
    for known in (True, False):
        reading = read(seen, [*candidates, *none], rotation_known=known)
        assert reading.polarity == 0
        assert reading.probability[0] > 0.99
        assert reading.decisive
    counts = drawn(rng, polar(table, 1, 62, (0.1, 0.1)), 1e5)
    assert read(counts, [*candidates, *none]).polarity == 1


def test_bad_pixels_are_left_out(table, candidates):
    rng = np.random.default_rng(9)
    seen = drawn(rng, polar(table, 1, 62, (0.1, 0.1)), 2e4)
    bad = rng.random((64, 64)) < 0.05
    bad[:, 30] = True
    spoilt = np.where(bad, 6e4, seen)
    reading = identify(
        {1: spoilt}, {1: spoilt[~bad].sum()}, candidates, rotation_known=True, bad=bad
    ).classes[1]
    assert reading.polarity == 1
    assert reading.explained > 0.9
    assert not read(spoilt, candidates).decisive


# Bad input


def test_bad_input_is_named(table, candidates, demo):
    means, counts = demo
    one = candidates[0]
    for change, said in (
        ({"means": {}}, "means: there is no class"),
        ({"means": {1: np.zeros((64, 64))}}, r"means\[1\]: the pattern is zero"),
        ({"means": {1: means[1] - 1}}, r"means\[1\]: has negative values"),
        ({"means": {1: means[1][:32]}}, r"means: have shape \(32, 64\), the candidates"),
        ({"means": {1: means[1], 2: means[2][:32]}}, "means: have different shapes"),
        ({"counts": {1: 100.0}}, "counts: there is none for class 2"),
        ({"counts": {1: 100.0, 2: -1}}, r"counts\[2\]: must be a positive number"),
        ({"candidates": []}, "candidates: need two polarities"),
        ({"candidates": [one]}, "candidates: need two polarities"),
        ({"candidates": [one, replace(one, polarity=7)]}, "has polarity 7"),
        (
            {"candidates": [one, replace(candidates[-1], pattern=one.pattern[:50])]},
            r"has shape \(50, 64\)",
        ),
        (
            {"candidates": [one, replace(candidates[-1], pattern=one.pattern - 1)]},
            "intensities that are negative",
        ),
        ({"candidates": [one, candidates[-1]], "shared": True}, "with shared=True"),
        ({"threshold": 95}, "threshold: is a probability"),
        ({"blur": -1}, "blur: is a number of pixels from 0 to 64"),
        ({"bad": np.zeros((5, 5), bool)}, "bad: the bad pixels have shape"),
    ):
        keys = {"means": means, "counts": counts, "candidates": candidates} | change
        with pytest.raises(ScanError, match=said):
            identify(**keys)
    elsewhere = Registration((500.0, 0.0), 0.0, 1.0, False, 1.0, (64, 64), (64, 64))
    with pytest.raises(ScanError, match="where the candidates reach"):
        identify(means, counts, candidates, registration=elsewhere)
    with pytest.raises(ScanError, match="thickness: 200 to 200 nm"):
        candidates_of(table, OPTICS, thickness=[200])


def test_labels_that_do_not_fit_the_scan_are_named(candidates):
    scan = demo_scan()
    with pytest.raises(ScanError, match="labels: are integers"):
        identify_scan(scan, np.ones(scan.scan_shape), candidates)
    with pytest.raises(ScanError, match="the labels have shape"):
        identify_scan(scan, np.ones((3, 3), int), candidates)
    with pytest.raises(ScanError, match="no probe position is labelled"):
        identify_scan(scan, np.zeros(scan.scan_shape, int), candidates)
    dark = Scan.from_array(np.zeros((2, 2, 64, 64), np.uint8))
    with pytest.raises(ScanError, match="class 1: the pattern is zero"):
        identify_scan(dark, np.ones((2, 2), int), candidates)
