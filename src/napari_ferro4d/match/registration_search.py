"""Lay a measured pattern onto a simulated one: shift, rotation, scale and, if asked, a mirror.

This is about the pattern on the detector. By which angle the detector is turned from the scan is
another matter; that is `com`'s `rotation`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from napari_ferro4d.errors import ScanError

from .pattern_arrays import Array, disk_radius_of, middle, usable
from .registration import Registration, blurred, filled, matrix_of, towards

_COARSE = 72
"""Pixels across which the coarse search is made; disks stay a few pixels wide."""

_ANGLE_STEP, _SCALE_STEP = 3.0, 1.04
"""Of the search, degrees and factor: at the edge of the pattern half a disk."""

_LEAST_SCORE = 0.4
"""Correlation outside the undiffracted disk that noise reaches in no position."""


def register(
    measured: Array,
    simulated: Array,
    *,
    rotation: tuple[float, float] | None = None,
    scale: tuple[float, float] = (0.8, 1.25),
    mirror: bool = False,
    bad: Array | None = None,
) -> tuple[Registration, ...]:
    """Find how a measured pattern lies over a simulated one.

    A pattern of the zero-order Laue zone is nearly the same after half a turn, and for a polar
    crystal half a turn and reversed polarisation may not be told apart at all. So, unless
    `rotation` excludes it, the candidate half a turn away is always returned as well.

    Parameters
    ----------
    measured : ndarray
        ``[ky, kx]``, a mean pattern; it may have another shape than the simulated one.
    simulated : ndarray
        ``[ky, kx]``, the undiffracted beam in the middle.
    rotation : tuple of float, optional
        Lowest and highest angle to look for, degrees counter-clockwise as drawn; all by default.
    scale : tuple of float
        Lowest and highest scale to look for: the size of a simulated pixel over that of a measured
        one.
    mirror : bool
        Also try the mirror image. Of a crystal with a mirror plane in the pattern this adds
        nothing but more candidates.
    bad : ndarray, optional
        Bool ``[ky, kx]`` of the measured pattern.

    Returns
    -------
    tuple of Registration
        Best first. Two, half a turn apart; one, if `rotation` leaves no other; twice as many with
        `mirror`.

    Raises
    ------
    ScanError
        If an argument is unusable, or no position of the simulated pattern fits: a pattern without
        reflections, or of another crystal or zone axis.

    Notes
    -----
    Intensities are compressed by ``asinh(I / mean)``, so that disks count for being there. The
    search turns and scales the simulated pattern in coarse steps and takes all shifts at once by
    cross-correlation; the best few are refined by least squares, a factor and an offset being free.

    Examples
    --------
    >>> blob = lambda y, x: np.exp(-np.hypot(*(np.indices((48, 48)).T - [x, y]).T) ** 2 / 8)
    >>> simulated = blob(23.5, 23.5) + blob(8, 24) + 0.5 * blob(25, 38) + 0.7 * blob(37, 20)
    >>> measured = np.roll(simulated, (2, -3), axis=(0, 1))
    >>> best, half_a_turn_away = register(measured, simulated)
    >>> np.round(best.shift, 1).tolist(), abs(round(best.rotation, 1)), round(best.scale, 2)
    ([2.0, -3.0], 0.0, 1.0)
    """
    found, good = usable("measured", measured, bad)
    model, solid = usable("simulated", simulated)
    model = np.where(solid, model, 0.0)
    _check_ranges(rotation, scale)
    for name, values in (("measured", found[good]), ("simulated", model)):
        if not np.ptp(values) > 0 or not values.mean() > 0:
            raise ScanError(f"{name}: the pattern is flat or not positive: it has no reflections.")
    fine = _Problem(found, good, model)
    coarse = fine.binned(max(1, int(np.ceil(max(found.shape + model.shape) / _COARSE))))
    kept: list[Registration] = []
    for mirrored in (False, True) if mirror else (False,):
        starts = _search(coarse, rotation, scale, mirrored)
        refined = [coarse.refined(start) for start in starts]
        best = max(refined, key=lambda one: one.score)
        wanted = [best]
        if rotation is None or _within(best.rotation + 180, rotation):
            wanted.append(coarse.refined(replace(best, rotation=best.rotation + 180)))
        kept += [fine.refined(fine.finer(one, coarse)) for one in wanted]
    kept.sort(key=lambda one: -one.score)
    if not kept[0].score > _LEAST_SCORE:
        raise ScanError(
            "measured: no reflections that fit the simulated pattern in any position (best "
            f"correlation {kept[0].score:.2f}); are crystal, zone axis and range of scale the same?"
        )
    return tuple(kept)


def _check_ranges(rotation: tuple[float, float] | None, scale: tuple[float, float]) -> None:
    if not (len(scale) == 2 and 0 < scale[0] <= scale[1] < np.inf):
        raise ScanError(f"scale: give the lowest and the highest, both positive, not {scale}.")
    if rotation is not None and not (
        len(rotation) == 2 and -np.inf < rotation[0] <= rotation[1] < np.inf
    ):
        raise ScanError(f"rotation: give the lowest and the highest in degrees, not {rotation}.")


def _within(angle: float, limits: tuple[float, float]) -> bool:
    return (angle - limits[0]) % 360 <= limits[1] - limits[0] + 1e-6


@dataclass(frozen=True, eq=False)
class _Problem:
    """A measured and a simulated pattern at one resolution."""

    found: Array
    good: Array
    model: Array

    def binned(self, n: int) -> _Problem:
        if n == 1:
            return self
        weight = _sums(self.good.astype(float), n)
        found = _sums(self.found, n) / np.maximum(weight, 1) * n**2
        return _Problem(found, weight >= n**2 / 2, _sums(self.model, n))

    def finer(self, r: Registration, coarse: _Problem) -> Registration:
        """Return what was found at a coarser resolution, in pixels of this one."""
        n = round(self.model.shape[0] / coarse.model.shape[0])
        # Binning leaves out the last rows that fill no bin: the middle moves.
        trim_found = [(a - n * b) / 2 for a, b in zip(self.found.shape, coarse.found.shape)]  # noqa: B905
        trim_model = [(a - n * b) / 2 for a, b in zip(self.model.shape, coarse.model.shape)]  # noqa: B905
        moved = n * np.asarray(r.shift) - trim_found + matrix_of(r) @ trim_model
        return replace(
            r,
            shift=(float(moved[0]), float(moved[1])),
            measured_shape=(self.found.shape[0], self.found.shape[1]),
            simulated_shape=(self.model.shape[0], self.model.shape[1]),
        )

    def compressed(self) -> tuple[Array, Array]:
        found = blurred(filled(self.found, self.good), 0.7)
        model = blurred(self.model, 0.7)
        return np.arcsinh(found / found.mean()), np.arcsinh(model / model.mean())

    def refined(self, start: Registration) -> Registration:
        """Move a registration to the least squares; a factor and an offset are free."""
        from scipy.ndimage import map_coordinates, spline_filter
        from scipy.optimize import least_squares

        seen, model = self.compressed()
        shape, lever = self.found.shape, max(self.found.shape) / 2
        spline = spline_filter(model, order=3, mode="nearest")
        origin = np.asarray(middle(model.shape))[:, None, None]
        last = (np.array(model.shape) - 1)[:, None, None]

        def moved(p: Array) -> Registration:
            # All four in pixels at the edge of the pattern, so that they weigh alike.
            return replace(
                start,
                shift=(start.shift[0] + float(p[0]), start.shift[1] + float(p[1])),
                rotation=start.rotation + float(np.rad2deg(p[2] / lever)),
                scale=start.scale * float(np.exp(p[3] / lever)),
            )

        def sampled(p: Array) -> tuple[Array, Array]:
            at = origin + towards(moved(p))
            return at, map_coordinates(spline, at, order=3, mode="nearest", prefilter=False)

        at, _ = sampled(np.zeros(4))
        # Fixed, so that no pixel comes or goes while the least is looked for.
        use = self.good & ((at >= -0.5) & (at <= last + 0.5)).all(axis=0)
        if np.count_nonzero(use) < 25:
            return replace(start, score=-1.0)
        target = _standard(seen[use])

        def residual(p: Array) -> Array:
            return _standard(sampled(p)[1][use]) - target

        def gradient(p: Array) -> Array:
            steps = 0.05 * np.eye(4)
            return np.stack([(residual(p + s) - residual(p - s)) / 0.1 for s in steps], axis=1)

        limit = max(4.0, 0.15 * lever)
        fit = least_squares(residual, np.zeros(4), gradient, bounds=(-limit, limit), max_nfev=40)
        best = moved(fit.x)
        at, values = sampled(fit.x)
        radius = disk_radius_of(self.model, middle(model.shape)) + 1
        distance = np.hypot(*(at - origin))
        outer = use & (distance > radius)
        score = -1.0
        if np.count_nonzero(outer) >= 25:
            ring = np.rint(distance[outer]).astype(int)
            score = float((_unringed(values[outer], ring) * _unringed(seen[outer], ring)).mean())
        return replace(
            best,
            rotation=(best.rotation + 180) % 360 - 180,
            score=score,
            measured_shape=(shape[0], shape[1]),
        )


def _standard(values: Array) -> Array:
    deviation = values.std()
    if not deviation > 1e-9 * max(1.0, float(np.abs(values).max())):
        return np.zeros_like(values)
    return np.asarray((values - values.mean()) / deviation)


def _unringed(values: Array, ring: Array) -> Array:
    """Return values without their mean over the angle, which any two patterns have in common."""
    means = np.bincount(ring, values) / np.maximum(np.bincount(ring), 1)
    return _standard(values - means[ring])


def _sums(values: Array, n: int) -> Array:
    rows, cols = values.shape[0] // n, values.shape[1] // n
    return np.asarray(values[: rows * n, : cols * n].reshape(rows, n, cols, n).sum(axis=(1, 3)))


def _search(
    problem: _Problem,
    rotation: tuple[float, float] | None,
    scale: tuple[float, float],
    mirrored: bool,
    keep: int = 8,
) -> list[Registration]:
    """Return the best positions over a grid of angles and scales and all shifts."""
    from scipy.fft import irfft2, next_fast_len, rfft2
    from scipy.ndimage import map_coordinates

    seen, model = problem.compressed()
    shape = (seen.shape[0], seen.shape[1])
    size = tuple(next_fast_len(2 * n, real=True) for n in shape)
    target = np.where(problem.good, seen - seen[problem.good].mean(), 0.0)
    spectrum = rfft2(target / np.linalg.norm(target), size)
    low, high = (-180.0, 180.0 - _ANGLE_STEP) if rotation is None else rotation
    angles = np.linspace(low, high, int(np.ceil((high - low) / _ANGLE_STEP)) + 1)
    n_scales = int(np.ceil(np.log(scale[1] / scale[0]) / np.log(_SCALE_STEP))) + 1
    origin = np.asarray(middle(model.shape))[:, None, None]
    last = (np.array(model.shape) - 1)[:, None, None]
    # Shifts that keep the undiffracted beam on the detector.
    lag = [np.fft.fftfreq(n, 1 / n) for n in size]
    allowed = (np.abs(lag[0]) <= shape[0] / 2)[:, None] & (np.abs(lag[1]) <= shape[1] / 2)[None]

    found: list[Registration] = []
    for angle in angles:
        for factor in np.geomspace(*scale, n_scales):
            trial = Registration(
                (0.0, 0.0),
                float(angle),
                float(factor),
                mirrored,
                0.0,
                shape,
                (model.shape[0], model.shape[1]),
            )
            at = origin + towards(trial)
            inside = ((at >= 0) & (at <= last)).all(axis=0)
            if np.count_nonzero(inside) < 25:
                continue
            template = map_coordinates(model, at, order=1, mode="nearest")
            template = np.where(inside, template - template[inside].mean(), 0.0)
            norm = np.linalg.norm(template)
            if not norm > 0:
                continue
            match = irfft2(spectrum * np.conj(rfft2(template / norm, size)), size)
            match = np.where(allowed, match, -1.0)
            y, x = np.unravel_index(match.argmax(), match.shape)
            shift = (float(lag[0][y]), float(lag[1][x]))
            found.append(replace(trial, shift=shift, score=float(match[y, x])))
    found.sort(key=lambda one: -one.score)
    kept: list[Registration] = []
    for one in found:
        # Neighbours on the grid end in the same place; keep the best of each.
        if all(_apart(one, other) for other in kept):
            kept.append(one)
        if len(kept) == keep:
            break
    if not kept:
        raise ScanError("scale: at none of these scales do the patterns overlap.")
    return kept


def _apart(one: Registration, other: Registration) -> bool:
    turn = abs((one.rotation - other.rotation + 180) % 360 - 180)
    return (
        turn > 3 * _ANGLE_STEP
        or max(abs(a - b) for a, b in zip(one.shift, other.shift, strict=True)) > 4
    )
