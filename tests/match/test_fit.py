"""The parts of identification: the fit, its dispersion, the posteriors, the candidates."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from helpers.simulated_patterns import OPTICS, pattern_of, ymno3_table
from napari_ferro4d.errors import ScanError
from napari_ferro4d.match import (
    Candidate,
    Fit,
    candidates_of,
    dispersion,
    explained,
    fit_of,
    fit_patterns,
    posteriors,
)
from napari_ferro4d.simulate import Optics


@pytest.fixture(scope="module")
def table():
    return ymno3_table()


def test_the_fit_is_the_maximum_of_the_likelihood_in_scale_and_background(table):
    rng = np.random.default_rng(10)
    shape = pattern_of(table, nm=60, tilt=(0.2, 0.1)).ravel()
    for share in (0.02, 0.3, 0.9):
        seen = rng.poisson(5000 * ((1 - share) * shape / shape.sum() + share / shape.size))
        fit = fit_of(seen.astype(float), shape)

        def loss(p, seen=seen):
            expected = np.exp(p[0]) * shape + np.exp(p[1])
            return expected.sum() - (seen * np.log(expected)).sum()

        free = minimize(loss, [8.0, -1.0], method="Nelder-Mead", options={"fatol": 1e-9})
        assert fit.log_likelihood == pytest.approx(-free.fun, abs=1e-4)
        assert fit.expected.sum() == pytest.approx(seen.sum())
        assert fit.background == pytest.approx(share, abs=0.05)
        background, likelihood = fit_patterns(seen.astype(float), [shape[::-1], shape] * 300)
        assert background[1::2] == pytest.approx(fit.background, rel=1e-6)
        assert likelihood[1::2] == pytest.approx(fit.log_likelihood)
        assert likelihood[0] < likelihood[1]


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("turns", [1, 2])
def test_posteriors_are_bayes_rule_written_out(shared, turns):
    flat = np.ones((2, 2))
    states = [(p, nm) for p in (1, -1) for nm in (50.0, 60.0)]
    listed = [Candidate("", p, nm, (0.0, 0.0), flat) for p, nm in states]
    logs = np.random.default_rng(14).normal(size=(2, turns, 4))
    posterior, opposite = posteriors({7: logs[0], 9: logs[1]}, listed, shared)
    # Every combination of turn, and candidates of both classes, with its prior.
    weight = {}
    for turn in range(turns):
        for i, (p, nm) in enumerate(states):
            for j, (q, other) in enumerate(states):
                if not shared or nm == other:
                    value = np.exp(logs[0, turn, i] + logs[1, turn, j])
                    weight[p, q] = weight.get((p, q), 0) + value
    total = sum(weight.values())
    assert posterior[7][1] == pytest.approx((weight[1, 1] + weight[1, -1]) / total)
    assert posterior[9][-1] == pytest.approx((weight[1, -1] + weight[-1, -1]) / total)
    assert opposite == {(7, 9): pytest.approx((weight[1, -1] + weight[-1, 1]) / total)}


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_fit_without_background_or_without_pattern_is_found(table, share):
    shape = pattern_of(table, nm=60, tilt=(0.2, 0.1)).ravel() + 1e-6
    mean = 1e4 * ((1 - share) * shape / shape.sum() + share / shape.size)
    fit = fit_of(mean, shape)
    assert fit.background == pytest.approx(share, abs=2e-3)
    assert np.isfinite(fit.log_likelihood)


def test_dispersion_is_one_for_counting_noise_and_the_factor_for_more(table):
    rng = np.random.default_rng(11)
    good = np.ones((64, 64), bool)
    mean, other = (pattern_of(table, state=s, nm=60) + 1e-5 for s in ("+P", "-P"))
    mean, other = (2e5 * p / p.sum() for p in (mean, other))
    fits = [Fit(p.ravel(), 0.0, 0.0) for p in (mean, other)]
    for factor in (1, 5):
        # Counts in bunches of `factor`: the variance is that many times the mean.
        found = [
            dispersion(factor * rng.poisson(mean / factor).astype(float), good, *fits)
            for _ in range(40)
        ]
        assert factor * 0.9 < np.median(found) < factor * (1.6 if factor == 1 else 40)
        assert np.min(found) >= 1


def test_what_a_fit_explains_is_all_or_nothing_at_the_ends(table):
    rng = np.random.default_rng(12)
    good = np.ones((64, 64), bool)
    mean = 1e5 * pattern_of(table, nm=60, tilt=(0.2, 0.0)) + 0.5
    seen = rng.poisson(mean).astype(float)
    all_of_it, told = explained(seen, good, Fit(mean.ravel(), 0.0, 0.0))
    assert told
    assert all_of_it == pytest.approx(1, abs=0.02)
    ring = np.rint(np.hypot(*(np.indices((64, 64)) - 31.5))).astype(int)
    total, pixels = np.bincount(ring.ravel(), seen.ravel()), np.bincount(ring.ravel())
    rings = (total / np.maximum(pixels, 1))[ring]
    nothing, _ = explained(seen, good, Fit(rings.ravel(), 0.0, 0.0))
    assert nothing == pytest.approx(0, abs=1e-9)


def test_candidates_of_a_table_get_the_sign_of_their_polarisation():
    from napari_ferro4d.simulate.diffraction import load_table, table_patterns

    optics = Optics(kilovolts=300, convergence=0.8)
    table = load_table("boracite")
    found = candidates_of(table, optics, thickness=[60], tilt_y=[0.1], tilt_x=[0.2])
    signs = {c.name.split(",")[0]: c.polarity for c in found}
    assert signs == {"up": 1, "down": -1, "right": 0, "left": 0, "along": 0, "cubic": 0}
    left = next(c for c in found if c.name.startswith("left"))
    one = table_patterns(table, "left", optics, *(np.array([v]) for v in (0.1, 0.2, 60.0)))[0]
    assert left.pattern == pytest.approx(one)
    with pytest.raises(ScanError, match="thickness"):
        candidates_of(table, optics, thickness=[600])
    with pytest.raises(ScanError, match="give at least one of each"):
        candidates_of(table, optics, thickness=[])


def test_candidates_say_what_they_are(table):
    candidates = candidates_of(
        table, OPTICS, thickness=range(50, 76, 5), tilt_y=(0, 0.3), tilt_x=(-0.4, 0, 0.4)
    )
    assert len(candidates) == 2 * 6 * 2 * 3
    assert {c.polarity for c in candidates} == {1, -1}
    one = next(c for c in candidates if c.thickness == 60 and c.tilt == (0.3, -0.4))
    assert isinstance(one, Candidate)
    assert one.name == "+P, 60 nm, tilt (0.3, -0.4) mrad"
