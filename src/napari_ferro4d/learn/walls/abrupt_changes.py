"""Where a scan changes abruptly, and how: what sets walls and domains apart from bending. No torch.

Thickness, bending and descan change from one probe position to the next a little; a domain wall
changes the pattern at once. Of the principal components of the patterns this module finds the
combinations that jump at such places, and those by which the places themselves differ from what
lies on both sides. Nothing is assumed of what the patterns look like, and no label is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

REACH = 1
"""Positions on either side between which a change is looked for: a wall is 2 or 3 wide, as the
probe is."""

CALM = 4.0
"""Changes up to so many times the usual one (squared, in units of the noise) are not abrupt."""

MOST_WEIGHT = 3.0
"""Of an abrupt change: a few very strong ones must not outweigh the many."""

CLEAR = 5.0
"""Least variance of an axis at abrupt places, in units of that at calm ones."""

MIDDLE = 0.25
"""Of a wall: at most so far from the mean of its two sides, in units of their difference."""

NEXT = 4
"""Positions from a wall up to which it tells the side."""

ALONG = 1.5
"""Standard deviation in positions of the mean along a wall of how it differs from its sides."""

APART = 3.5
"""Least distance of the means of two kinds of walls, in their standard deviations."""

FEW = 20
"""Fewer abrupt places than this tell nothing."""


@dataclass(frozen=True, eq=False)
class Abrupt:
    """What is abrupt in one or more scans, of k components.

    Parameters
    ----------
    jumps : ndarray
        ``[k, m]``: combinations of components that jump at walls and are calm elsewhere, the
        clearest first; in units of their calm variation.
    sides : tuple of ndarray
        Of each scan, float32 ``[y, x]``, -1 to 1: on which side of the first jump the position is,
        told by the walls next to it; NaN where none is.
    strength : tuple of ndarray
        Of each scan, float32 ``[y, x]``: 0 where nothing is abrupt, up to 4; NaN where unknown.
    kinds : tuple of ndarray
        Of each scan, float32 ``[kind, y, x]``: the strength where a wall is of this kind, 0 where
        it is not or nothing is abrupt, NaN where that is not known. Kinds come in pairs: along an
        axis by which the middles of walls differ from what lies on both sides, a mixture of the
        sides not counted, walls are in two groups.
    """

    jumps: Array
    sides: tuple[npt.NDArray[np.float32], ...]
    strength: tuple[npt.NDArray[np.float32], ...]
    kinds: tuple[npt.NDArray[np.float32], ...]


def find_abrupt(scores: Sequence[Array], axes: int = 3) -> Abrupt | None:
    """Find abrupt places in maps of principal components.

    Parameters
    ----------
    scores : sequence of ndarray
        Of each scan ``[k, y, x]``; NaN where a pattern is missing.
    axes : int
        Most jumps, and most axes of kinds (each gives two kinds).

    Returns
    -------
    Abrupt or None
        None if there are no abrupt places, or too few positions to tell.
    """
    k = len(scores[0])
    if k == 0:
        return None
    steps = [_differences(one, REACH) for one in scores]
    flat = _pooled(steps)
    if flat.shape[1] < 20 * k:
        return None
    covariance = _calm_covariance(flat)
    squared = [tuple(_length2(d, covariance) for d in pair) for pair in steps]
    known = np.concatenate([d[np.isfinite(d)] for pair in squared for d in pair])
    # Without noise most changes are nothing at all, and any other is abrupt.
    usual = max(float(np.median(known)), 1e-9 * float(known.max(initial=0)), 1e-30)
    change = [tuple(d / usual for d in pair) for pair in squared]
    weights = [tuple(_weight(d) for d in pair) for pair in change]
    if sum(int((w > 0).sum()) for pair in weights for w in pair) < FEW:
        return None
    jumps = _jumps(scores, weights, axes)
    if not jumps.shape[1]:
        return None
    return Abrupt(
        jumps,
        tuple(
            _side(np.tensordot(jumps[:, 0], one, 1), weight)
            for one, weight in zip(scores, weights, strict=True)
        ),
        tuple(_strength(pair) for pair in change),
        _kinds(scores, change, weights, axes),
    )


def _side(jump: Array, weights: tuple[Array, ...]) -> npt.NDArray[np.float32]:
    """Return the mean sign that the walls next to a position give it.

    A wall compares its two sides with each other, so that it does not matter how thick or bent
    the specimen is there.
    """
    total, count = np.zeros(jump.shape), np.zeros(jump.shape)
    for axis, weight in ((1, weights[0]), (0, weights[1])):
        for offset in range(REACH + 1, NEXT + 1):
            if jump.shape[axis] <= 2 * offset:
                continue
            before, middle, after = (
                tuple(part if n == axis else slice(None) for n in range(2))
                for part in (
                    slice(None, -2 * offset),
                    slice(offset, -offset),
                    slice(2 * offset, None),
                )
            )
            step = jump[after] - jump[before]
            here = np.where(np.isfinite(step), weight[middle], 0)
            total[after] += np.sign(np.nan_to_num(step)) * here
            total[before] -= np.sign(np.nan_to_num(step)) * here
            count[after] += here
            count[before] += here
    side = np.full(jump.shape, np.nan, np.float32)
    np.divide(total, count, out=side, where=count > 0, casting="same_kind")
    return side


def _differences(values: Array, reach: int) -> tuple[Array, Array]:
    """Return what changes between the two sides of a position, along x and along y."""
    along_x, along_y = np.full_like(values, np.nan), np.full_like(values, np.nan)
    along_x[:, :, reach:-reach] = values[:, :, 2 * reach :] - values[:, :, : -2 * reach]
    along_y[:, reach:-reach] = values[:, 2 * reach :] - values[:, : -2 * reach]
    return along_x, along_y


def _curvatures(values: Array, reach: int) -> tuple[Array, Array]:
    """Return how a position differs from the mean of both its sides, along x and along y."""
    along_x, along_y = np.full_like(values, np.nan), np.full_like(values, np.nan)
    middle = slice(reach, -reach)
    x_sides = (values[:, :, 2 * reach :] + values[:, :, : -2 * reach]) / 2
    y_sides = (values[:, 2 * reach :] + values[:, : -2 * reach]) / 2
    along_x[:, :, middle] = values[:, :, middle] - x_sides
    along_y[:, middle] = values[:, middle] - y_sides
    return along_x, along_y


def _pooled(steps: Sequence[tuple[Array, Array]]) -> Array:
    flat = np.concatenate([d.reshape(len(d), -1) for pair in steps for d in pair], axis=1)
    return flat[:, np.isfinite(flat[0])]


def _calm_covariance(flat: Array) -> Array:
    """Return the covariance of the four fifths of the columns that change least."""
    covariance = _regular(flat @ flat.T / flat.shape[1])
    for _ in range(5):
        squared = _length2(flat, covariance)
        calm = flat[:, squared <= np.quantile(squared, 0.8)]
        covariance = _regular(calm @ calm.T / calm.shape[1])
    return covariance


def _regular(covariance: Array) -> Array:
    k = len(covariance)
    unit = np.trace(covariance) / k or 1.0
    return covariance + 1e-3 * unit * np.eye(k)


def _length2(values: Array, covariance: Array) -> Array:
    """Return the squared length of vectors ``[k, ...]`` in units of a covariance."""
    flat = values.reshape(len(values), -1)
    squared: Array = np.einsum("kn,kn->n", flat, np.linalg.solve(covariance, flat))
    return squared.reshape(values.shape[1:])


def _weight(change: Array) -> Array:
    return np.clip(np.nan_to_num(change, nan=0.0) / CALM - 1, 0, MOST_WEIGHT)


def _strength(change: tuple[Array, ...]) -> npt.NDArray[np.float32]:
    most = np.fmax(*change)
    return np.clip(np.log(np.maximum(most, 1)), 0, 4).astype(np.float32)


def _jumps(scores: Sequence[Array], weights: Sequence[tuple[Array, ...]], axes: int) -> Array:
    # One position further out than the change was looked for: on both sides of the whole wall.
    steps = [_differences(one, REACH + 1) for one in scores]
    return _contrast(steps, weights, axes)


def _contrast(
    steps: Sequence[tuple[Array, Array]], weights: Sequence[tuple[Array, ...]], axes: int
) -> Array:
    """Return the axes ``[k, m]`` along which vectors are largest at weight, smallest without."""
    from scipy.linalg import eigh

    flat = np.concatenate([d.reshape(len(d), -1) for pair in steps for d in pair], axis=1)
    weight = np.concatenate([w.ravel() for pair in weights for w in pair])
    there = np.isfinite(flat).all(axis=0)
    flat, weight = flat[:, there], weight[there]
    calm = flat[:, weight == 0]
    if weight.sum() == 0 or calm.shape[1] < len(flat):
        return np.zeros((len(flat), 0))
    usual = _regular(calm @ calm.T / calm.shape[1])
    values, vectors = eigh((flat * weight) @ flat.T / weight.sum(), usual)
    found = np.flatnonzero(values > CLEAR)[::-1][:axes]
    return np.asarray(vectors[:, found])


def _kinds(
    scores: Sequence[Array],
    change: Sequence[tuple[Array, ...]],
    weights: Sequence[tuple[Array, ...]],
    axes: int,
) -> tuple[npt.NDArray[np.float32], ...]:
    metric = _calm_covariance(_pooled([_curvatures(one, REACH + 1) for one in scores]))
    curvatures, middles = [], []
    for one, both, weight in zip(scores, change, weights, strict=True):
        (curvature_x, share_x), (curvature_y, share_y) = (
            _beside(curvature, step, metric)
            for curvature, step in zip(
                _curvatures(one, REACH + 1), _differences(one, REACH + 1), strict=True
            )
        )
        # A wall counts in the direction that crosses it, and where both sides share alike.
        x, y = (np.nan_to_num(d, nan=0.0) for d in both)
        curvatures.append((curvature_x, curvature_y))
        middles.append(
            (
                np.where((x >= y) & (np.abs(share_x) < MIDDLE), weight[0], 0),
                np.where((x < y) & (np.abs(share_y) < MIDDLE), weight[1], 0),
            )
        )
    found = _contrast(curvatures, middles, axes)
    ways = [
        _ways(found, curvature, middle)
        for curvature, middle in zip(curvatures, middles, strict=True)
    ]
    known = np.concatenate([way[:, np.isfinite(way).all(axis=0)] for way in ways], axis=1)
    between = [_threshold(one) for one in known]
    ways = [way[[b is not None for b in between]] for way in ways]
    limits = np.array([b for b in between if b is not None])[:, None, None]
    return tuple(
        _split(way - limits, _strength(both), weight[0] + weight[1] > 0)
        for way, both, weight in zip(ways, change, weights, strict=True)
    )


def _beside(curvature: Array, step: Array, metric: Array) -> tuple[Array, Array]:
    """Split off what lies between the two sides: a mixture of them is the jump, not a kind.

    Returns
    -------
    rest : ndarray
        The curvature without it.
    share : ndarray
        Where between the two sides the position lies: 0 in the middle, 0.5 at either.
    """
    normal = np.linalg.solve(metric, step.reshape(len(step), -1)).reshape(step.shape)
    share = (curvature * normal).sum(axis=0) / np.maximum((step * normal).sum(axis=0), 1e-12)
    return curvature - share * step, share


def _ways(axes: Array, curvature: tuple[Array, Array], middle: tuple[Array, ...]) -> Array:
    """Return in what way walls differ from their sides ``[axis, y, x]``, averaged along them.

    NaN where the middle of no wall is near.
    """
    from scipy.ndimage import gaussian_filter

    total, count = np.zeros((axes.shape[1], *middle[0].shape)), np.zeros(middle[0].shape)
    for values, weight in zip(curvature, middle, strict=True):
        here = np.minimum(weight, 1)
        total += np.einsum("km,kyx->myx", axes, np.nan_to_num(values)) * here
        count += here
    near = gaussian_filter(count, ALONG)
    with np.errstate(divide="ignore", invalid="ignore"):
        ways = np.stack([gaussian_filter(one, ALONG) for one in total]) if len(total) else total
        ways = np.where(near > 0.01, ways / near, np.nan)
    return ways


def _threshold(values: Array) -> float | None:
    """Return the value that parts `values` in two groups; None if they are one."""
    middle = float(values.mean()) if len(values) else 0.0
    for _ in range(50):
        above, below = values[values > middle], values[values <= middle]
        if min(len(above), len(below)) < FEW:
            return None
        middle = float(above.mean() + below.mean()) / 2
    apart = float(above.mean() - below.mean())
    # Halves of one bell curve are 1.6 of its deviations apart, and 2.6 of their own.
    return middle if apart > APART * float(np.sqrt((above.var() + below.var()) / 2)) else None


def _split(
    ways: Array, strength: npt.NDArray[np.float32], abrupt: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """Return walls of either sort as maps, see `Abrupt.kinds`."""
    sides = np.stack([ways > 0, ways < 0], axis=1).reshape(-1, *strength.shape)
    maps = np.where(sides, strength, 0)
    unknown = np.isnan(np.repeat(ways, 2, axis=0))
    maps[unknown] = np.nan
    maps[:, ~abrupt] = 0
    return maps.astype(np.float32)
