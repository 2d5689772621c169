"""Small scans to train on, and how to compare what comes of it."""

from __future__ import annotations

import numpy as np

from napari_ferro4d.io import Model

__all__ = ["counts", "same"]


def counts(ny: int = 8, nx: int = 10, side: int = 16, seed: int = 0) -> np.ndarray:
    """Return patterns of two domains that differ by one reflection."""
    ky, kx = np.indices((side, side)) - side / 2
    mean = 40 * np.exp(-(ky**2 + kx**2) / 8)
    left, right = (mean + 20 * np.exp(-((ky - s) ** 2 + kx**2) / 6) for s in (5, -5))
    means = np.where((np.arange(nx) < nx // 2)[None, :, None, None], left, right)
    rng = np.random.default_rng(seed)
    return rng.poisson(np.broadcast_to(means, (ny, nx, side, side))).astype(np.uint8)


def same(a: Model, b: Model) -> bool:
    return a.weights.keys() == b.weights.keys() and all(
        np.array_equal(a.weights[name], b.weights[name]) for name in a.weights
    )
