"""Small scans of known domains, and a few labels of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from napari_ferro4d import Scan
from napari_ferro4d.jobs import Progress

__all__ = ["counting", "renumbered", "some", "striped", "three_domains", "wavy_domains"]

DISCS = ((-5, 0), (0, 5), (5, 0))
"""Places ``(ky, kx)`` of the discs of `three_domains`, of which each tells one domain."""


def three_domains(seed: int, classes: tuple[int, ...] = (2, 5, 9)) -> tuple[Scan, np.ndarray]:
    """Return a scan whose weak discs tell three kinds of domain apart, and their numbers."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((20, 21))
    kind = (x // 7 + y // 10) % 3
    ky, kx = np.indices((16, 16)) - 7.5
    mean = np.full((20, 21, 16, 16), 0.5)
    for number, (gy, gx) in enumerate(DISCS):
        disc = np.hypot(ky - gy, kx - gx) < 2
        mean += (5.0 + 5.0 * (kind == number))[:, :, None, None] * disc
    return Scan.from_array(rng.poisson(mean).astype(np.uint8)), np.array(classes)[kind]


def wavy_domains(seed: int, ny: int = 36, nx: int = 44) -> tuple[Scan, np.ndarray]:
    """Return a scan of three kinds of domain that thickness and tilt hide, and their numbers.

    Two of six discs are brighter in each kind by much less than the thickness makes all of them
    vary; the beam in the middle is bright and tells nothing.
    """
    rng = np.random.default_rng(seed)
    y, x = np.indices((ny, nx), float)
    phase = rng.uniform(0, 2 * np.pi, 3)
    kind = np.floor((x + 3 * np.sin(y / 5 + phase[0]) + 0.4 * y) / 9).astype(int) % 3
    thickness = 1 + 0.5 * np.sin(x / 11 + phase[1]) * np.cos(y / 9 + phase[2])
    tilt = np.cos(y / 13 + phase[0])
    ky, kx = np.indices((18, 18)) - 8.5
    mean = np.full((ny, nx, 18, 18), 0.1)
    mean += 40 * thickness[:, :, None, None] * (np.hypot(ky, kx) < 2)
    for number, angle in enumerate(np.arange(6) * np.pi / 3):
        disc = np.hypot(ky - 6 * np.sin(angle), kx - 6 * np.cos(angle)) < 2
        bright = thickness * (1 + 0.4 * (kind == number % 3) + 0.2 * tilt * np.sin(angle))
        mean += 3 * bright[:, :, None, None] * disc
    return Scan.from_array(rng.poisson(mean).astype(np.uint8)), kind + 1


def striped(nx: int = 32, wall: int = 16, ny: int = 12) -> tuple[Scan, np.ndarray]:
    """Return a scan with class 1 left of a straight wall and 2 right of it, and the classes."""
    truth = np.where(np.arange(nx) < wall, 1, 2) * np.ones((ny, 1), int)
    ky, kx = np.indices((16, 16)) - 7.5
    mean = np.full((ny, nx, 16, 16), 0.5)
    for number, gy in ((1, -4), (2, 4)):
        mean += 6.0 * (truth == number)[:, :, None, None] * (np.hypot(ky - gy, kx) < 2)
    return Scan.from_array(np.random.default_rng(5).poisson(mean).astype(np.uint8)), truth


def some(truth: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Return `count` labels ``[y, x]``, drawn evenly."""
    labels = np.zeros_like(truth)
    chosen = np.random.default_rng(seed).permutation(truth.size)[:count]
    labels.ravel()[chosen] = truth.ravel()[chosen]
    return labels


def renumbered(labels: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """Return labels ``[y, x]`` with the classes 1, 2, ... numbered otherwise."""
    return np.array((0, *order))[labels]


def counting(word: str) -> tuple[list[Progress], Callable[[Progress], None]]:
    """Return a list, and a report that puts into it what has `word` in its message."""
    seen: list[Progress] = []

    def report(progress: Progress) -> None:
        if word in progress.message:
            seen.append(progress)

    return seen, report
