"""A second, cruder simulator of domains: strong disks that follow the specimen, weak ghost disks.

The simulator of the package computes diffraction from crystals. This one knows no crystal: main
disks whose intensities swing with thickness and tilt, and between them ghost disks, a few percent
of the counts, whose intensities differ from class to class and swing a little, too. What separates
the classes is thus a small part of what varies, which is the hard case for a classifier. It shares
no code with the package.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, shift

DETECTOR = 128
SPACING = 15.0
"""Pixels between main disks; ghost disks lie halfway."""

RADIUS = 4.5
"""Pixels of a disk."""


@dataclass(frozen=True)
class Ghosts:
    """A scan of three classes: two halves, and stripes of a third about the border.

    Parameters
    ----------
    seed : int
        Of everything drawn.
    counts : float
        Mean counts of a pattern.
    share : float
        Of the counts in ghost disks.
    contrast : float
        By how much ghost disks differ between classes, 0 to 1.
    stripes : float
        Period of the stripes in probe positions.
    bend : float
        How strongly tilt changes intensities.
    swing : float
        Phase of the thickness fringes at the mean thickness.
    descan : float
        Pixels by which the pattern wanders over the scan.
    wall : float
        Width of a wall in probe positions (standard deviation).
    dead, hot : int
        Pixels that count nothing, and that count too much.
    shape : tuple of int
        Probe positions ``(y, x)``.
    """

    seed: int
    counts: float = 4e4
    share: float = 0.03
    contrast: float = 0.8
    stripes: float = 50.0
    bend: float = 1.0
    swing: float = 9.0
    descan: float = 1.0
    wall: float = 0.7
    dead: int = 0
    hot: int = 0
    shape: tuple[int, int] = (206, 34)


def simulate(spec: Ghosts) -> tuple[np.ndarray, np.ndarray]:
    """Return patterns uint16 ``[y, x, ky, kx]`` and classes uint8 ``[y, x]``, 1 to 3."""
    rng = np.random.default_rng(spec.seed)
    labels = _classes(spec, rng)
    tilt = np.stack([_smooth(spec.shape, (30, 15), rng) for _ in range(2)], axis=-1)
    y = np.arange(spec.shape[0])[:, None]
    thickness = 1 + 0.15 * (y / spec.shape[0] - 0.5) + 0.1 * _smooth(spec.shape, (20, 20), rng)
    main, ghosts = _places(0), _places(0.5)
    falls = np.exp(-0.35 * np.hypot(*main.T) ** 1.2) * np.where(main.any(axis=1), 0.35, 1)
    strong = _Swings.draw(len(main), 0.5 * spec.bend, spec.swing, rng)
    weak = _Swings.draw(len(ghosts), 0.4 * spec.bend, spec.swing, rng)
    ghost_falls = np.exp(-0.3 * np.hypot(*ghosts.T))
    of_class = 1 + spec.contrast * rng.uniform(-1, 1, (3, len(ghosts)))
    share = np.stack([gaussian_filter((labels == c) * 1.0, spec.wall) for c in (1, 2, 3)], axis=-1)
    share /= share.sum(axis=-1, keepdims=True)
    disks, ghost_disks = _disks(main), _disks(ghosts)
    far = np.hypot(*(np.indices((DETECTOR, DETECTOR)) - (DETECTOR - 1) / 2)).ravel()
    diffuse = np.exp(-far / 25)
    ghost_total = (ghost_falls @ ghost_disks).sum()
    bad = rng.choice(DETECTOR**2, spec.dead + spec.hot, replace=False)
    data = np.empty((*spec.shape, DETECTOR, DETECTOR), np.uint16)
    for row in range(spec.shape[0]):
        bragg = falls * strong.at(thickness[row], tilt[row], 0.5, grows=0.4) @ disks
        ghost = ghost_falls * weak.at(thickness[row], tilt[row], 0.3) * (share[row] @ of_class)
        mean = (
            (0.85 - spec.share) * bragg / bragg.sum(axis=1, keepdims=True)
            + spec.share * (ghost @ ghost_disks) / ghost_total
            + 0.15 * diffuse / diffuse.sum()
        ).reshape(-1, DETECTOR, DETECTOR)
        wander = spec.descan * np.array([np.sin(row / 60), 0.5 * np.cos(row / 80)])
        mean = np.clip(shift(mean, (0, *wander), order=1, mode="nearest"), 0, None)
        counts = rng.poisson(mean * spec.counts).reshape(len(mean), -1)
        counts[:, bad[: spec.dead]] = 0
        counts[:, bad[spec.dead :]] += rng.poisson(spec.counts / 400, (len(mean), spec.hot))
        data[row] = counts.reshape(-1, DETECTOR, DETECTOR)
    return data, labels


@dataclass(frozen=True)
class _Swings:
    """How disks swing with thickness and tilt: phase, fringes and tilt of each."""

    phase: np.ndarray
    fringes: np.ndarray
    tilt: np.ndarray

    @classmethod
    def draw(cls, n: int, bend: float, swing: float, rng: np.random.Generator) -> _Swings:
        return cls(
            rng.uniform(0, 2 * np.pi, n),
            swing * rng.uniform(0.7, 1.3, n),
            bend * rng.standard_normal((n, 2)),
        )

    def at(
        self, thickness: np.ndarray, tilt: np.ndarray, depth: float, grows: float = 0.0
    ) -> np.ndarray:
        """Return factors ``[x, disk]``."""
        tilted = tilt @ self.tilt.T
        fringe = 1 + depth * np.cos(self.phase + self.fringes * thickness[:, None] + tilted)
        return fringe * np.exp(grows * tilted)


def _classes(spec: Ghosts, rng: np.random.Generator) -> np.ndarray:
    y, x = np.indices(spec.shape)
    angle = rng.uniform(-0.3, 0.3)
    along = y * np.cos(angle) + x * np.sin(angle)
    middle = rng.uniform(0.35, 0.65) * spec.shape[0]
    about = np.abs(along - middle) < rng.uniform(30, 60) / 2
    phase = 2 * np.pi * rng.uniform(0.8, 1.3) * (x * np.cos(angle) + 0.5 * y) / spec.stripes
    labels = np.where(along < middle, 1, 2)
    labels[about & (np.sin(phase) > 0.2)] = 3
    return labels.astype(np.uint8)


def _smooth(shape: tuple[int, int], width: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    field = gaussian_filter(rng.standard_normal(shape), width)
    return field / field.std()


def _places(offset: float) -> np.ndarray:
    """Return disks ``[n, 2]`` in units of the spacing; with an offset, those halfway between."""
    whole, half = np.arange(-3, 4.0), np.arange(-3, 3.0) + 0.5
    if not offset:
        return np.array([(i, j) for i in whole for j in whole])
    return np.array([(i, j) for i in half for j in whole] + [(i, j) for i in whole for j in half])


def _disks(places: np.ndarray) -> np.ndarray:
    ky, kx = np.indices((DETECTOR, DETECTOR)) - (DETECTOR - 1) / 2
    far = [np.hypot(ky - SPACING * i, kx - SPACING * j) for i, j in places]
    return np.clip(RADIUS + 0.5 - np.array(far), 0, 1).reshape(len(places), -1)
