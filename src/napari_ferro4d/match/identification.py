"""Which simulated state do the patterns of a domain fit, and how sure is the sign of P.

Every candidate (polarity, thickness, tilt) is fitted to the mean pattern of a class with a scale
and an even background; the Poisson likelihoods of all candidates of one polarity together say how
probable that polarity is. A simulation is never exact: what it misses beyond counting noise is
measured on the fit and makes the verdict that much weaker.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.simulate import positive

from .pattern_arrays import Array, usable
from .pattern_fit import dispersion, explained, fit_of, fit_patterns
from .readings import Candidate, ClassReading, Identification, Pair
from .registration import Registration, blurred

if TYPE_CHECKING:
    from distributed import Client

    from napari_ferro4d.jobs import Report
    from napari_ferro4d.scan import Scan

_LEAST_EXPLAINED = 0.5
"""Share of the reflections that the best candidate has to explain to be believed."""

NOT_TURNED = "the half turn of the pattern is not fixed: the absolute sign is open"
MISFIT = "no candidate fits"
FAINT = "reflections too faint to tell whether a candidate fits"
CLOSE = "both signs fit nearly as well"
THICKNESS = "best at the end of the candidates' thicknesses: give thinner and thicker ones"
TILT = "best at the end of the candidates' tilts"


def identify(
    means: Mapping[int, Array],
    counts: Mapping[int, float],
    candidates: Sequence[Candidate],
    *,
    rotation_known: bool = False,
    registration: Registration | None = None,
    blur: float = 0.0,
    shared: bool = False,
    threshold: float = 0.95,
    bad: Array | None = None,
) -> Identification:
    """Find the polarity, thickness and tilt that fit every class best, and how decisively.

    Parameters
    ----------
    means : mapping
        Mean pattern ``[ky, kx]`` by class number, in counts: not corrected below zero.
    counts : mapping
        Total counts on good pixels behind each mean: N times its sum for N patterns.
    candidates : sequence of Candidate
        Simulated states on one grid: for each polarity the same thicknesses and tilts.
    rotation_known : bool
        Whether the user knows which of the two orientations half a turn apart is the right one.
        If not, both are tried, and no absolute sign is claimed: half a turn and reversed P are
        the same to the pattern. Whether two classes are opposite is told either way.
    registration : Registration, optional
        Where the candidates lie in the means, from `register`; by default pixel on pixel. The
        simulation is brought onto the detector, so that the counts stay independent.
    blur : float
        Standard deviation of the detector's point spread in its pixels, given to the candidates;
        of several, the right one is that of the largest `explained`.
    shared : bool
        Take thickness and tilt to be the same in all classes: of neighbouring domains.
    threshold : float
        Probability from which on a reading is decisive.
    bad : ndarray, optional
        Bool ``[ky, kx]``: dead, hot or saturated pixels of the detector.

    Returns
    -------
    Identification
        A reading for each class and for each pair of classes.

    Raises
    ------
    ScanError
        If an argument does not fit the others; the message names it.

    Notes
    -----
    Formulae are on the page "Comparing with simulation" of the documentation. All polarities are
    taken to be equally probable beforehand, and all candidates of one polarity.
    """
    listed = _checked(candidates)
    if not 0.5 < threshold < 1:
        raise ScanError(f"threshold: is a probability between 0.5 and 1, not {threshold}.")
    if not means:
        raise ScanError("means: there is no class to identify.")
    data = {}
    for label, mean in means.items():
        values, good = usable(f"means[{label}]", mean, bad)
        if label not in counts:
            raise ScanError(f"counts: there is none for class {label}.")
        if values.min() < 0:
            raise ScanError(
                f"means[{label}]: has negative values, so it is no mean of counts; add the dark "
                "level again or mark those pixels bad."
            )
        data[label] = values * positive(f"counts[{label}]", counts[label]) / values.sum(), good
    shapes = {values.shape for values, _ in data.values()}
    if len(shapes) > 1:
        raise ScanError(f"means: have different shapes, {sorted(shapes)}.")
    turns = (False,) if rotation_known else (False, True)
    largest = max(next(iter(shapes)))
    if not isinstance(blur, int | float) or not 0 <= blur <= largest:
        raise ScanError(f"blur: is a number of pixels from 0 to {largest}, not {blur!r}.")
    models = _on_detector(listed, registration, blur, turns, shapes.pop())
    evidence, readings = {}, {}
    for label, (values, good) in data.items():
        evidence[label], readings[label] = _read(label, values, good, listed, models)
    posterior, opposite = posteriors(evidence, listed, shared)
    classes = {
        label: _verdict(readings[label], posterior[label], rotation_known, threshold)
        for label in readings
    }
    pairs = []
    for (i, j), value in opposite.items():
        fits = not {MISFIT, FAINT, THICKNESS} & {*classes[i].reasons, *classes[j].reasons}
        sure = max(value, 1 - value) >= threshold
        pairs.append(Pair(i, j, value, bool(fits and sure)))
    return Identification(classes, tuple(pairs), rotation_known)


def identify_scan(
    scan: Scan,
    labels: Array,
    candidates: Sequence[Candidate],
    *,
    rotation_known: bool = False,
    registration: Registration | None = None,
    blur: float = 0.0,
    shared: bool = False,
    threshold: float = 0.95,
    bad: Array | None = None,
    report: Report | None = None,
    client: Client | None = None,
) -> Identification:
    """Identify the classes of a segmentation of a scan, in one pass over it.

    Parameters
    ----------
    scan : Scan
        Raw counts.
    labels : ndarray
        Integer ``[y, x]``, 0 = unlabelled. Leave out walls: their patterns are mixtures.
    candidates, rotation_known, registration, blur, shared, threshold, bad
        As for `identify`.
    report, client
        As for `reduce_scan`.

    Returns
    -------
    Identification
        A reading for each class and for each pair of classes.
    """
    from napari_ferro4d.reduce import reduce_scan, region_means

    numbers = np.asarray(labels)
    if numbers.dtype.kind not in "ui":
        raise ScanError(f"labels: are integers [y, x], not {numbers.dtype}.")
    _checked(candidates)
    (means,) = reduce_scan(scan, [region_means(scan, numbers)], report, "class means", client)
    there = np.ones(scan.scan_shape, bool) if scan.missing is None else ~scan.missing
    counts = {}
    for label, mean in means.items():
        values, _ = usable(f"class {label}", mean, bad)
        counts[label] = float(values.sum()) * np.count_nonzero((numbers == label) & there)
    return identify(
        means,
        counts,
        candidates,
        rotation_known=rotation_known,
        registration=registration,
        blur=blur,
        shared=shared,
        threshold=threshold,
        bad=bad,
    )


def _checked(candidates: Sequence[Candidate]) -> list[Candidate]:
    listed = list(candidates)
    if len({c.polarity for c in listed}) < 2:
        raise ScanError("candidates: need two polarities at least, to tell one from the other.")
    for c in listed:
        if c.polarity not in (1, -1, 0):
            raise ScanError(f"candidates: {c.name!r} has polarity {c.polarity}; it is 1, -1 or 0.")
        values, finite = usable(f"candidates, {c.name!r}", c.pattern)
        if values.min() < 0 or not finite.all():
            raise ScanError(f"candidates: {c.name!r} has intensities that are negative or NaN.")
        if values.shape != np.shape(listed[0].pattern):
            raise ScanError(
                f"candidates: {c.name!r} has shape {values.shape}, the first one "
                f"{np.shape(listed[0].pattern)}."
            )
    return listed


def _on_detector(
    candidates: list[Candidate],
    registration: Registration | None,
    blur: float,
    turns: tuple[bool, ...],
    shape: tuple[int, ...],
) -> list[list[Array]]:
    """Return ``[turn][candidate]`` patterns on the grid of the means; NaN where not simulated."""
    sigma = blur if registration is None else blur / registration.scale
    out = []
    for turned in turns:
        patterns = []
        for c in candidates:
            pattern = np.asarray(c.pattern, dtype=float)
            pattern = blurred(pattern[::-1, ::-1] if turned else pattern, sigma)
            if registration is not None:
                # Interpolation overshoots at the edge of a disk.
                pattern = np.maximum(registration.project(pattern), 0)
            if pattern.shape != shape:
                raise ScanError(
                    f"means: have shape {shape}, the candidates {pattern.shape}; `register` tells "
                    "how they lie over each other."
                )
            patterns.append(pattern)
        out.append(patterns)
    return out


def _read(
    label: int,
    values: Array,
    good: Array,
    candidates: list[Candidate],
    models: list[list[Array]],
) -> tuple[Array, ClassReading]:
    """Return ``[turn, candidate]`` deflated log-likelihoods, and the reading but for a verdict."""
    covered = good & np.isfinite(models[0][0]) & np.isfinite(models[-1][0])
    if np.count_nonzero(covered) < 25 or not values[covered].sum() > 0:
        raise ScanError(
            f"means[{label}]: fewer than 25 good pixels, or no counts, where the candidates reach."
        )
    n = values[covered]
    likelihood = np.array([fit_patterns(n, [p[covered] for p in turn])[1] for turn in models])
    turn, which = np.unravel_index(likelihood.argmax(), likelihood.shape)
    best, fit = candidates[which], fit_of(n, models[turn][which][covered])
    other = [i for i, c in enumerate(candidates) if c.polarity != best.polarity]
    second = max(other, key=lambda i: likelihood[turn, i])
    phi = dispersion(values, covered, fit, fit_of(n, models[turn][second][covered]))
    part, seen = explained(values, covered, fit)
    reasons = []
    if not seen:
        reasons.append(FAINT)
    elif part < _LEAST_EXPLAINED:
        reasons.append(MISFIT)
    reasons += _at_the_end(best, candidates)
    reading = ClassReading(
        label=label,
        polarity=0,
        confidence=math.nan,
        decisive=False,
        reasons=tuple(reasons),
        probability={},
        best=best,
        turned=bool(turn),
        runner_up=candidates[second],
        log_likelihood_difference=float(likelihood[turn, which] - likelihood[turn, second]) / phi,
        dispersion=phi,
        explained=part,
        background=fit.background,
    )
    return (likelihood - likelihood.max()) / phi, reading


def _at_the_end(best: Candidate, candidates: list[Candidate]) -> list[str]:
    def last(value: float, values: list[float]) -> bool:
        # Of one or two values both are ends; nothing can be said of those.
        return len(set(values)) > 2 and value in (min(values), max(values))

    found = [THICKNESS] if last(best.thickness, [c.thickness for c in candidates]) else []
    if any(last(best.tilt[axis], [c.tilt[axis] for c in candidates]) for axis in (0, 1)):
        found.append(TILT)
    return found


def posteriors(
    evidence: dict[int, Array], candidates: list[Candidate], shared: bool
) -> tuple[dict[int, dict[int, float]], dict[tuple[int, int], float]]:
    """Return the probability of each polarity by class, and that two classes are opposite.

    What all classes have in common is unknown and is summed over: the turn, and with `shared` also
    thickness and tilt.
    """
    polarities = sorted({c.polarity for c in candidates})
    states = [(c.thickness, c.tilt) if shared else () for c in candidates]
    commons = sorted(set(states))
    labels = list(evidence)
    turns = len(next(iter(evidence.values())))
    # [class, polarity, turn and common state]: mean likelihood of the candidates there.
    table = np.full((len(labels), len(polarities), turns, len(commons)), -np.inf)
    for p, polarity in enumerate(polarities):
        for s, common in enumerate(commons):
            here = [
                i
                for i, c in enumerate(candidates)
                if c.polarity == polarity and states[i] == common
            ]
            if not here:
                raise ScanError(
                    "candidates: with shared=True each polarity needs the same thicknesses and "
                    f"tilts; polarity {polarity} has none at {common}."
                )
            for k, label in enumerate(labels):
                some = evidence[label][:, here]
                table[k, p, :, s] = np.logaddexp.reduce(some, axis=1) - math.log(len(here))
    flat = table.reshape(len(labels), len(polarities), -1)
    each = np.logaddexp.reduce(flat, axis=1)  # [class, common]
    weight = each.sum(axis=0)
    weight = np.exp(weight - np.logaddexp.reduce(weight))
    share = np.exp(flat - each[:, None])  # of each polarity, given what is common
    posterior = {
        label: {p: float(share[k, i] @ weight) for i, p in enumerate(polarities)}
        for k, label in enumerate(labels)
    }
    opposite = {}
    sign = {p: i for i, p in enumerate(polarities)}
    for (k, one), (m, two) in combinations(enumerate(labels), 2):
        value = 0.0
        if 1 in sign and -1 in sign:
            up, down = sign[1], sign[-1]
            both = share[k, up] * share[m, down] + share[k, down] * share[m, up]
            value = float(both @ weight)
        opposite[one, two] = min(1.0, value)
    return posterior, opposite


def _verdict(
    reading: ClassReading, probability: dict[int, float], rotation_known: bool, threshold: float
) -> ClassReading:
    reasons = list(reading.reasons)
    if not rotation_known:
        # What is left between the signs comes from the choice of candidates alone.
        signs = [p for p in probability if p]
        mean = sum(probability[p] for p in signs) / max(len(signs), 1)
        probability = {p: mean if p else probability[p] for p in probability}
        reasons.append(NOT_TURNED)
    likeliest = max(probability, key=lambda p: probability[p])
    confidence = min(1.0, probability[likeliest])
    if rotation_known and confidence < threshold:
        reasons.append(CLOSE)
    weak = {MISFIT, FAINT, CLOSE, THICKNESS} & set(reasons)
    decisive = not weak and (rotation_known or likeliest == 0) and confidence >= threshold
    return replace(
        reading,
        polarity=likeliest if decisive else 0,
        confidence=confidence,
        decisive=bool(decisive),
        reasons=tuple(reasons),
        probability=probability,
    )
