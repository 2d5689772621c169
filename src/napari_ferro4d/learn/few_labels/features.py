"""What every pattern is, in a few dozen numbers that need no label. Knows no torch.

Two sets of principal components, since no single one holds at every dose. Those of
variance-stabilised counts weigh every detector pixel by its counting noise, so that weak disks
count as far as they are known; those of log(1 + counts) weigh relative changes, so that a dim disk
that doubles counts as much as a bright one, and the noise of few counts little.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_ferro4d.errors import ScanError
from napari_ferro4d.io import over_blocks
from napari_ferro4d.jobs import Report
from napari_ferro4d.learn.data import Preprocess, Symmetry, count_patterns
from napari_ferro4d.scan import Scan

Array = npt.NDArray[np.float32]

COMPONENTS = {"stabilised": 48, "logarithm": 24}
"""Principal components of either set."""

REST = "rest"

PART = 512
"""Patterns that are worked on together: what is made of them stays small."""

SAMPLES = 4096
"""Patterns from which the components are found: a regular grid over the scan."""

SIDE = 128
"""Most pixels along a side of a pattern; a larger detector is binned."""

PAIRS = 512
"""Neighbouring patterns that tell how much a count is in the units of the file."""


@dataclass(frozen=True, eq=False)
class Basis:
    """How a pattern becomes its features.

    Parameters
    ----------
    how : Preprocess
        Crop and binning.
    unit : float
        What one detected electron adds to a pixel, in the units of the file.
    means : dict of str to ndarray
        Mean of the transformed patterns ``[pixel]``, of either set.
    axes : dict of str to ndarray
        Principal axes ``[pixel, component]``, orthonormal.
    """

    how: Preprocess
    unit: float
    means: dict[str, Array]
    axes: dict[str, Array]

    def of(self, counts: Array) -> dict[str, Array]:
        """Return the features ``[n, component]`` of patterns ``[n, pixel]``, of either set.

        And under `REST` ``[n, 1]`` what the components leave out of the stabilised counts: the
        squared length of the remainder, which is noise alone where a pattern is like the others.
        """
        found: dict[str, Array] = {}
        for kind, axes in self.axes.items():
            values = transformed(counts, kind, self.unit) - self.means[kind]
            found[kind] = np.asarray(values @ axes)
            if kind == "stabilised":
                rest = np.einsum("np,np->n", values, values) - (found[kind] ** 2).sum(axis=1)
                found[REST] = rest[:, None]
        return found

    @property
    def sizes(self) -> dict[str, int]:
        """How many numbers a pattern has of each."""
        return {REST: 1} | {kind: axes.shape[1] for kind, axes in self.axes.items()}


@dataclass(frozen=True, eq=False)
class Features:
    """The features of a scan.

    Parameters
    ----------
    basis : Basis
        How they were made.
    values : dict of str to ndarray
        float32 ``[y, x, component]``; NaN where the file lacks a pattern.
    """

    basis: Basis
    values: dict[str, Array]


def transformed(counts: Array, kind: str, unit: float) -> Array:
    """Return counts as the set `kind` takes them.

    ``"stabilised"``: 2 sqrt(counts + 3/8), whose noise is 1 whatever the count (Anscombe, 1948).
    ``"logarithm"``: log(1 + counts).
    """
    scaled = counts if unit == 1 else counts / np.float32(unit)
    if kind == "logarithm":
        return np.asarray(np.log1p(scaled))
    return np.asarray(2 * np.sqrt(scaled + np.float32(0.375)))


def input_side(detector: tuple[int, int]) -> int:
    """Return the side of the square that patterns of a detector are brought to."""
    return min(SIDE, max(detector))


def read_features(
    scan: Scan,
    how: Preprocess,
    report: Report | None = None,
    symmetry: Symmetry | None = None,
    apart: int = 1,
) -> Features:
    """Find the principal components of a scan, and those of every pattern.

    A scan of up to twice `SAMPLES` patterns is read once, a larger one twice. Where patterns are
    to be turned or mirrored, the components are those of their copies, too. Patterns `apart`
    positions from each other have no counts in common.

    Raises
    ------
    ScanError
        If counts are negative or not finite, or a file cannot be read.
    """
    there = np.ones(scan.scan_shape, bool) if scan.missing is None else ~scan.missing
    ny, nx = scan.scan_shape
    every = 1
    while -(-ny // every) * -(-nx // every) > 2 * SAMPLES:
        every += 1
    wanted = np.zeros_like(there)
    wanted[::every, ::every] = True
    wanted &= there
    if wanted.sum() < 2:
        raise ScanError(f"{scan.where()}: holds fewer than two patterns; nothing can be learnt.")
    counts = _read(scan, wanted, how, report)
    unit = _unit(counts, wanted, apart)
    sample = counts[:: -(-len(counts) // SAMPLES)]
    if symmetry is not None:
        turned = sample[:: len(symmetry.operations)].reshape(-1, how.size, how.size)
        copies = [one.turn(turned, how.beam(scan.centre)) for one in symmetry.operations]
        sample = np.concatenate(copies).reshape(-1, how.size**2)
    basis = find_basis(sample, unit, how)
    if every > 1:
        return project(scan, basis, report)
    return Features(basis, _placed(basis, counts, there))


def find_basis(counts: Array, unit: float, how: Preprocess) -> Basis:
    """Find the principal components of patterns ``[n, pixel]``."""
    from sklearn.utils.extmath import randomized_svd

    means, axes = {}, {}
    for kind, components in COMPONENTS.items():
        values = transformed(counts, kind, unit)
        means[kind] = values.mean(axis=0)
        values -= means[kind]
        k = min(components, *values.shape)
        _, _, found = randomized_svd(values, k, n_iter=2, random_state=0)
        axes[kind] = np.ascontiguousarray(found.T, np.float32)
    return Basis(how, unit, means, axes)


def project(scan: Scan, basis: Basis, report: Report | None = None) -> Features:
    """Return the features of every pattern of a scan, in a basis that may be another's.

    Raises
    ------
    ScanError
        If counts are negative or not finite, or a file cannot be read.
    """
    values = {
        kind: np.full((*scan.scan_shape, size), np.nan, np.float32)
        for kind, size in basis.sizes.items()
    }

    def work(block: np.ndarray, where: tuple[slice, slice]) -> None:
        counts = count_patterns(block, basis.how, scan.centre, scan.where())
        found = basis.of(counts.reshape(-1, basis.how.size**2))
        for kind, one in found.items():
            values[kind][where] = one.reshape(*block.shape[:2], -1)

    for _ in over_blocks(scan, work, report, "reading patterns"):
        pass
    if scan.missing is not None:
        for one in values.values():
            one[scan.missing] = np.nan
    return Features(basis, values)


def _read(
    scan: Scan, wanted: npt.NDArray[np.bool_], how: Preprocess, report: Report | None
) -> Array:
    counts = np.empty((int(wanted.sum()), how.size**2), np.float32)
    place = np.cumsum(wanted).reshape(wanted.shape) - 1

    def work(block: np.ndarray, where: tuple[slice, slice]) -> None:
        here = wanted[where]
        if here.any():
            some = block if here.all() else block[here]
            found = count_patterns(some, how, scan.centre, scan.where())
            counts[place[where][here]] = found.reshape(-1, how.size**2)

    for _ in over_blocks(scan, work, report, "reading patterns"):
        pass
    return counts


def _placed(basis: Basis, counts: Array, there: npt.NDArray[np.bool_]) -> dict[str, Array]:
    values = {
        kind: np.full((*there.shape, size), np.nan, np.float32)
        for kind, size in basis.sizes.items()
    }
    everywhere = np.nonzero(there)

    def place(start: int) -> None:
        part = slice(start, start + PART)
        places = tuple(axis[part] for axis in everywhere)
        for kind, one in basis.of(counts[part]).items():
            values[kind][places] = one

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(place, range(0, len(counts), PART)))
    return values


def _unit(counts: Array, where: npt.NDArray[np.bool_], apart: int) -> float:
    """Return what one electron adds to a pixel: 1 for counts, else the slope of variance on mean.

    Differences of neighbouring patterns have twice the variance of counting noise.
    """
    number = np.where(where, np.cumsum(where).reshape(where.shape) - 1, -1)
    columns = np.flatnonzero(where.any(axis=0))
    gap = int(np.diff(columns).min(initial=where.shape[1]))
    gap *= -(-apart // max(1, gap))
    both = (number[:, :-gap] >= 0) & (number[:, gap:] >= 0) if gap < where.shape[1] else where[:0]
    before = number[:, : both.shape[1]][: len(both)][both]
    if not len(before):
        return 1.0
    after = number[:, gap:][both]
    step = -(-len(before) // PAIRS)
    first, second = counts[before[::step]], counts[after[::step]]
    mean = (first.mean(axis=0) + second.mean(axis=0)) / 2
    lit = mean > 0.01 * mean.max(initial=0)
    if not lit.any():
        return 1.0
    variance = (first - second)[:, lit].var(axis=0) / 2
    # What changes from position to position adds to it, in bright pixels most.
    slope = float(np.quantile(variance / mean[lit], 0.25))
    whole = bool(np.array_equal(first[:32], np.rint(first[:32])))
    # Whole numbers are counts unless they plainly cannot be (EMPAD and CCD cameras count in more).
    counted = whole and 1 / 3 < slope < 10
    return 1.0 if counted or not np.isfinite(slope) or slope <= 0 else slope


def without_gaps(
    values: dict[str, Array], missing: npt.NDArray[np.bool_] | None
) -> dict[str, Array]:
    """Return features ``[y, x, component]`` with those of the nearest pattern where one lacks."""
    from scipy.ndimage import distance_transform_edt

    if missing is None or not missing.any():
        return values
    nearest = distance_transform_edt(missing, return_distances=False, return_indices=True)
    return {kind: one[tuple(nearest)] for kind, one in values.items()}
