"""What the neighbours say: probabilities spread along the scan grid, and stop where it changes.

A random walker on the graph of the probe positions (Grady, 2006), with the probabilities of the
classifier as a prior everywhere and the labels as seeds. Between two neighbouring positions the
graph is the weaker the more abruptly the *evidence* changes there: the mean of the classifier's
logits over three positions on either side. Thickness and bending change patterns, too, by more than
a wall does; the classifier has learnt to look past them, so that its logits show walls that the
patterns themselves hide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .scalings import squared_lengths

Array = npt.NDArray[np.float64]

SIDES = 3
"""Positions on either side of a step whose mean is compared."""

ACROSS = 1
"""Positions beside these, on either side, that are averaged with them: walls are no points."""

STEEP = 0.3
"""How fast the graph weakens with a step, in units of the median of all steps."""

LEAST_EDGE = 1e-4
"""Weight of an edge at the most abrupt step."""

CALM_SHARE = 0.7
"""Of the steps: those across no wall, by which the others are measured."""

SLACK = 1e-8
"""Of a solution: squared remainder, relative to the squared right side."""

MOST_STEPS = 2000


@dataclass(frozen=True)
class Strength:
    """How much the neighbours say.

    Parameters
    ----------
    number : int
        0 is nothing, then ever more.
    prior : float
        Weight of a position's own probabilities, where an edge weighs 1.
    """

    number: int
    prior: float


STRENGTHS = (Strength(0, np.inf), Strength(1, 0.5), Strength(2, 0.05))
"""From none: the classifier alone, about 8 neighbours, and about 80 where nothing is abrupt."""

SEED = 1.0
"""Weight of a label, times its evidence: a region that says otherwise outvotes a wrong one."""


def edges(logits: Array, missing: npt.NDArray[np.bool_] | None = None) -> tuple[Array, Array]:
    """Return the weights of the graph between neighbours.

    Parameters
    ----------
    logits : ndarray
        ``[y, x, class]``.
    missing : ndarray, optional
        bool ``[y, x]``: positions without a pattern, through which little is told.

    Returns
    -------
    along_y, along_x : ndarray
        ``[y - 1, x]`` and ``[y, x - 1]``, `LEAST_EDGE` to 1.
    """
    centred = (logits - logits.mean(axis=-1, keepdims=True))[..., :-1]
    steps = [_steps(centred, axis) for axis in (0, 1)]
    flat = np.concatenate([one.reshape(-1, centred.shape[-1]) for one in steps])
    if not len(flat):
        return np.zeros(steps[0].shape[:2]), np.zeros(steps[1].shape[:2])
    size = _sizes(flat)
    weights = np.exp(-STEEP * np.maximum(size - 1, 0)) + LEAST_EDGE
    count = steps[0].shape[0] * steps[0].shape[1]
    along_y = weights[:count].reshape(steps[0].shape[:2])
    along_x = weights[count:].reshape(steps[1].shape[:2])
    if missing is not None:
        along_y[missing[1:] | missing[:-1]] = LEAST_EDGE
        along_x[missing[:, 1:] | missing[:, :-1]] = LEAST_EDGE
    return along_y, along_x


def _steps(values: Array, axis: int) -> Array:
    """Return by how much the means on both sides of each step along `axis` differ."""
    from scipy.ndimage import uniform_filter1d

    values = np.moveaxis(values, axis, 0)
    n = len(values)
    if n < 2:
        return np.moveaxis(values[:0], 0, axis)
    smooth = uniform_filter1d(values, 2 * ACROSS + 1, axis=1, mode="nearest")
    total = np.concatenate([np.zeros_like(smooth[:1]), np.cumsum(smooth, axis=0)])
    here = np.arange(1, n)
    before, after = np.maximum(here - SIDES, 0), np.minimum(here + SIDES, n)
    wide = (slice(None), *[None] * (values.ndim - 1))
    left = (total[here] - total[before]) / (here - before)[wide]
    right = (total[after] - total[here]) / (after - here)[wide]
    return np.moveaxis(right - left, 0, axis)


def _sizes(steps: Array) -> Array:
    """Return the squared sizes of steps ``[n, k]``, in units of the calm ones: the median is 1."""
    calm = steps
    for _ in range(5):
        covariance = calm.T @ calm / len(calm)
        unit = float(np.trace(covariance)) / len(covariance) or 1.0
        covariance += 1e-6 * unit * np.eye(len(covariance))
        squared = squared_lengths(steps, covariance)
        calm = steps[squared <= np.quantile(squared, CALM_SHARE)]
    return squared / (float(np.median(squared)) or 1.0)


class Grid:
    """The graph of a scan, to be solved many times.

    Parameters
    ----------
    along_y, along_x : ndarray
        From `edges`.
    """

    def __init__(self, along_y: Array, along_x: Array) -> None:
        self.shape = along_x.shape[0], along_y.shape[1]
        self._along_y, self._along_x = along_y, along_x
        degree = np.zeros(self.shape)
        degree[1:] += along_y
        degree[:-1] += along_y
        degree[:, 1:] += along_x
        degree[:, :-1] += along_x
        self.degree = degree

    def solve(
        self,
        own: Array | float,
        right: Array,
        start: Array | None = None,
        slack: float = SLACK,
    ) -> Array:
        """Solve (Laplacian + diagonal of `own`) x = `right`, each ``[y, x]`` or ``[y, x, k]``.

        Conjugate gradients, preconditioned by the diagonal, all right sides at once: linear in the
        number of positions.
        """
        flat = right.ndim == 2
        # Right sides first: sums over the scan then run along memory.
        stacked = right[None] if flat else np.ascontiguousarray(np.moveaxis(right, -1, 0))
        if start is None:
            x = np.zeros_like(stacked)
        else:
            x = np.array(start[None] if flat else np.moveaxis(start, -1, 0), order="C")
        diagonal = self.degree + own
        rest = stacked - self._times(diagonal, x)
        goal = slack * _dot(stacked, stacked) + 1e-300
        z = rest / diagonal
        way, product = z.copy(), _dot(rest, z)
        for _ in range(MOST_STEPS):
            turned = self._times(diagonal, way)
            length = (product / np.maximum(_dot(way, turned), 1e-300))[:, None, None]
            x += length * way
            rest -= length * turned
            if np.all(_dot(rest, rest) <= goal):
                break
            z = rest / diagonal
            before, product = product, _dot(rest, z)
            way *= (product / np.maximum(before, 1e-300))[:, None, None]
            way += z
        return np.asarray(x[0] if flat else np.moveaxis(x, 0, -1))

    def _times(self, diagonal: Array, x: Array) -> Array:
        result = diagonal * x
        result[:, 1:] -= self._along_y * x[:, :-1]
        result[:, :-1] -= self._along_y * x[:, 1:]
        result[:, :, 1:] -= self._along_x * x[:, :, :-1]
        result[:, :, :-1] -= self._along_x * x[:, :, 1:]
        return np.asarray(result)

    def own_answer(self, own: float) -> Array:
        """Return about how large `solve` is at a position whose right side alone is 1, ``[y, x]``.

        After one step to the neighbours and back: large where a position is cut off from them.
        """
        diagonal = self.degree + own
        back = np.zeros(self.shape)
        back[1:] += self._along_y**2 / diagonal[:-1]
        back[:-1] += self._along_y**2 / diagonal[1:]
        back[:, 1:] += self._along_x**2 / diagonal[:, :-1]
        back[:, :-1] += self._along_x**2 / diagonal[:, 1:]
        return np.asarray(1 / np.maximum(diagonal - back, own))


def _dot(a: Array, b: Array) -> Array:
    """Return the inner products of ``[k, y, x]`` over the scan, ``[k]``."""
    return np.asarray(np.einsum("kyx,kyx->k", a, b))


def spread(probability: Array, grid: Grid, strength: Strength, seeds: Array | None = None) -> Array:
    """Return the probabilities ``[y, x, class]`` as the neighbours change them.

    Parameters
    ----------
    probability : ndarray
        Of the classifier alone.
    grid : Grid
        The graph.
    strength : Strength
        `STRENGTHS[0]` changes nothing.
    seeds : ndarray, optional
        ``[y, x, class]``: the evidence of the labels.
    """
    if not np.isfinite(strength.prior):
        return probability
    right = strength.prior * probability
    own: Array | float = strength.prior
    if seeds is not None:
        right = right + SEED * seeds
        own = strength.prior + SEED * seeds.sum(axis=-1)
    result = np.clip(grid.solve(own, right, start=probability), 1e-9, None)
    return np.asarray(result / result.sum(axis=-1, keepdims=True))
