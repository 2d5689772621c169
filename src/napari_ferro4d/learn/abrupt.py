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

__all__ = ["Abrupt", "find_abrupt"]

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
    strength : tuple of ndarray
        Of each scan, float32 ``[y, x]``: 0 where nothing is abrupt, up to 4; NaN where unknown.
    kinds : tuple of ndarray
        Of each scan, float32 ``[kind, y, x]``, not negative: how far the position differs from
        those on both sides in one way or another, not counting what lies between the two sides;
        0 where nothing is abrupt.
    """

    jumps: Array
    strength: tuple[npt.NDArray[np.float32], ...]
    kinds: tuple[npt.NDArray[np.float32], ...]


def find_abrupt(scores: Sequence[Array], axes: int = 3) -> Abrupt | None:
    """Find abrupt places in maps of principal components.

    Parameters
    ----------
    scores : sequence of ndarray
        Of each scan ``[k, y, x]``; NaN where a pattern is missing.
    axes : int
        Most jumps, and most axes of kinds (each gives two kinds, one for either side).

    Returns
    -------
    Abrupt or None
        None if there are no abrupt places, or too few positions to tell.
    """
    k = len(scores[0])
    steps = [_differences(one, REACH) for one in scores]
    flat = _pooled(steps)
    if flat.shape[1] < 20 * k:
        return None
    covariance = _calm_covariance(flat)
    squared = [tuple(_length2(d, covariance) for d in pair) for pair in steps]
    usual = np.median(np.concatenate([d[np.isfinite(d)] for pair in squared for d in pair]))
    change = [tuple(d / usual for d in pair) for pair in squared]
    weights = [tuple(_weight(d) for d in pair) for pair in change]
    if sum(int((w > 0).sum()) for pair in weights for w in pair) < FEW:
        return None
    jumps = _jumps(scores, weights, axes)
    strength = tuple(_strength(pair) for pair in change)
    return Abrupt(jumps, strength, _kinds(scores, change, weights, axes))


def _differences(values: Array, reach: int) -> tuple[Array, Array]:
    """Return what changes between the two sides of a position, along x and along y."""
    along_x, along_y = np.full_like(values, np.nan), np.full_like(values, np.nan)
    along_x[:, :, reach:-reach] = values[:, :, 2 * reach :] - values[:, :, : -2 * reach]
    along_y[:, reach:-reach] = values[:, 2 * reach :] - values[:, : -2 * reach]
    return along_x, along_y


def _bumps(values: Array, reach: int) -> tuple[Array, Array]:
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
    bumps, along = [], []
    metric = _calm_covariance(_pooled([_bumps(one, REACH + 1) for one in scores]))
    for one in scores:
        pair = []
        for bump, step in zip(_bumps(one, REACH + 1), _differences(one, REACH + 1), strict=True):
            # What lies between the two sides is a mixture of them: that is the jump, not a kind.
            normal = np.linalg.solve(metric, step.reshape(len(step), -1)).reshape(step.shape)
            share = (bump * normal).sum(axis=0) / np.maximum((step * normal).sum(axis=0), 1e-12)
            pair.append(bump - share * step)
        bumps.append((pair[0], pair[1]))
    # A wall counts in the direction that crosses it.
    for pair_change, pair_weight in zip(change, weights, strict=True):
        x, y = (np.nan_to_num(d, nan=0.0) for d in pair_change)
        along.append((np.where(x >= y, pair_weight[0], 0), np.where(x < y, pair_weight[1], 0)))
    found = _contrast(bumps, along, axes)
    maps = []
    for pair_bump, pair_weight in zip(bumps, along, strict=True):
        total = sum(
            np.einsum("km,kyx->myx", found, np.nan_to_num(bump)) * np.minimum(weight, 1)
            for bump, weight in zip(pair_bump, pair_weight, strict=True)
        )
        both = np.stack([np.maximum(total, 0), np.maximum(-np.asarray(total), 0)], axis=1)
        maps.append(both.reshape(-1, *both.shape[2:]).astype(np.float32))
    return tuple(maps)
