"""In which units the features of a scan are compared: three answers, none of which always holds.

A convex classifier with a penalty sees first what varies most in the units that it is given. With
`plain` every component of the stabilised counts varies by 1; with `calm` the components are those
that vary most in units of what neighbouring patterns differ by, and those that vary no more than
noise are shrunk (maximum noise fraction, Green et al., 1988); with `relative` the components of the
logarithm keep their sizes. Weak ghost disks need the first two, few counts or few labels the last.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .features import REST, SAMPLES

Array = npt.NDArray[np.float64]

PLAIN = 20
"""Components of `plain` and `relative`."""

LEAST_SPREAD = 1e-3
"""Of a component of `plain`, in units of counting noise: what varies less is only rounding."""

CALM_SHARE = 0.7
"""Of the differences of neighbours: the calmer part, which has no wall in it."""

MOST_DIFFERENCES = 200_000
"""Of neighbours that are looked at."""

NOISE_ROOM = 0.3
"""By how much the noise may be underestimated, in its own units."""

LEAST_SHARE = 0.1
"""Of a component of `calm`: least signal to noise."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """A linear map of one set of features.

    Parameters
    ----------
    name : str
        ``plain``, ``calm`` or ``relative``.
    kind : str
        The set of features it takes, a key of `Features.values`.
    matrix : ndarray
        ``[component, feature]``.
    """

    name: str
    kind: str
    matrix: Array

    def of(self, values: dict[str, npt.NDArray[np.float32]]) -> Array:
        """Return ``[..., feature]`` of features ``[..., component]``."""
        return np.asarray(values[self.kind].astype(np.float64) @ self.matrix)


@dataclass(frozen=True, eq=False)
class Likeness:
    """The features in which patterns are compared: `calm`, and what the components leave out.

    Parameters
    ----------
    matrix : ndarray
        Of the scaling `calm`.
    rest, spread : float
        Usual size of the remainder, and how much it varies.
    """

    matrix: Array
    rest: float
    spread: float

    def of(self, values: dict[str, npt.NDArray[np.float32]]) -> Array:
        """Return ``[..., feature]`` of features ``[..., component]``."""
        calm = values["stabilised"].astype(np.float64) @ self.matrix
        rest = (values[REST].astype(np.float64) - self.rest) / self.spread
        return np.concatenate([calm, rest], axis=-1)


def find_likeness(
    values: dict[str, npt.NDArray[np.float32]], scalings: tuple[Scaling, ...], pixels: int
) -> Likeness:
    """Return in which features the patterns of a scan, of so many pixels, are compared."""
    calm = next(one for one in scalings if one.name == "calm")
    rest = values[REST].astype(np.float64)
    middle = float(np.median(rest))
    # 1.48 times the median deviation is the standard deviation of a bell curve.
    spread = 1.48 * float(np.median(np.abs(rest - middle)))
    # Components found in n patterns take up more of their noise than of that of others: each
    # (1 + sqrt(pixels / n))^2 instead of 1.
    count = min(rest.size, SAMPLES)
    taken = values["stabilised"].shape[-1] * ((1 + np.sqrt(pixels / count)) ** 2 - 1)
    return Likeness(calm.matrix, middle, max(spread, float(taken)))


def find_scalings(
    values: dict[str, npt.NDArray[np.float32]], apart: int = 1
) -> tuple[Scaling, ...]:
    """Return the scalings of a scan with features ``[y, x, component]`` without gaps.

    Patterns `apart` positions from each other have no counts in common.
    """
    stabilised, logarithm = (
        values[kind].astype(np.float64) for kind in ("stabilised", "logarithm")
    )
    few = min(PLAIN, stabilised.shape[-1])
    spread = np.maximum(stabilised.std(axis=(0, 1))[:few], LEAST_SPREAD)
    plain = np.eye(stabilised.shape[-1], few) / spread
    few = min(PLAIN, logarithm.shape[-1])
    common = np.sqrt((logarithm[..., :few] ** 2).mean()) or 1.0
    return (
        Scaling("plain", "stabilised", plain),
        Scaling("calm", "stabilised", _calm(stabilised, apart)),
        Scaling("relative", "logarithm", np.eye(logarithm.shape[-1], few) / common),
    )


def _calm(values: Array, apart: int) -> Array:
    from scipy.linalg import eigh

    flat = values.reshape(-1, values.shape[-1])
    total = np.atleast_2d(np.cov(flat.T))
    noise = noise_covariance(values, apart)
    ridge = 1e-6 * np.trace(noise) / len(noise) + 1e-12
    ratio, axes = eigh(total, noise + ridge * np.eye(len(noise)))
    ratio, axes = ratio[::-1], axes[:, ::-1]
    signal = np.maximum(ratio - 1 - NOISE_ROOM, 0)
    kept = signal > LEAST_SHARE
    if not kept.any():
        kept = np.arange(len(ratio)) < 1
    shrunk = signal / (signal + 1) + 1e-3
    return np.asarray((axes * shrunk / np.sqrt(np.maximum(ratio, 1)))[:, kept])


def noise_covariance(values: Array, apart: int = 1) -> Array:
    """Return the covariance of the noise of ``[y, x, component]``, from neighbours that are calm.

    Of normally distributed differences the calmest part would look too narrow; the median of
    their squared lengths, which for k components is about k - 2/3, sets the scale.
    """
    k = values.shape[-1]
    along_y, along_x = values[apart:] - values[:-apart], values[:, apart:] - values[:, :-apart]
    differences = np.concatenate([along_y.reshape(-1, k), along_x.reshape(-1, k)])
    differences = differences[:: -(-len(differences) // MOST_DIFFERENCES) or 1]
    if not len(differences):
        return np.zeros((k, k))
    covariance = _regular(differences.T @ differences / max(1, len(differences)))
    for _ in range(4):
        squared = squared_lengths(differences, covariance)
        calm = differences[squared <= np.quantile(squared, CALM_SHARE)]
        covariance = _regular(calm.T @ calm / len(calm))
    usual = float(np.median(squared_lengths(differences, covariance)))
    return np.asarray(covariance * (usual / max(k - 2 / 3, 1 / 3) / 2))


def squared_lengths(vectors: Array, covariance: Array) -> Array:
    """Return the squared lengths of ``[n, k]`` in units of a covariance."""
    return np.asarray(np.einsum("nk,nk->n", vectors @ np.linalg.inv(covariance), vectors))


def _regular(covariance: Array) -> Array:
    unit = float(np.trace(covariance)) / len(covariance) or 1.0
    return covariance + 1e-9 * unit * np.eye(len(covariance))
