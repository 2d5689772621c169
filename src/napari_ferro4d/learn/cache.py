"""The patterns to learn from: read once, preprocessed, kept in memory. Knows no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Report
from napari_ferro4d.reduce import over_blocks
from napari_ferro4d.scan import Scan

from .preprocess import Preprocess, prepare

__all__ = ["CACHE_BYTES", "Samples", "read_patterns", "read_samples", "thinned"]

CACHE_BYTES = 2 * 2**30
"""Most memory that preprocessed patterns may take: 131 072 of 64 x 64, or 8 192 of 256 x 256."""


def thinned(scans: Sequence[Scan], size: int) -> tuple[Scan, ...]:
    """Return the scans, or every n-th row and column of them if all would not fit in the cache.

    Neighbouring positions of a finely sampled scan tell nearly the same, so that a regular grid
    loses least. One n for all scans: the smallest with which they fit.
    """
    most = CACHE_BYTES // (size * size * 4)

    def kept(n: int) -> int:
        return sum(math.ceil(s.shape[0] / n) * math.ceil(s.shape[1] / n) for s in scans)

    every = 1
    while kept(every) > most:
        every += 1
    if every == 1:
        return tuple(scans)
    # `frames` would map the whole file again, past the slicing.
    return tuple(
        replace(
            s,
            data=s.data[::every, ::every],
            frames=None,
            missing=None if s.missing is None else s.missing[::every, ::every],
        )
        for s in scans
    )


def read_patterns(
    scans: Sequence[Scan], how: Preprocess, report: Report | None = None
) -> npt.NDArray[np.float32]:
    """Read and preprocess every pattern of `scans`, in scan order.

    Returns
    -------
    ndarray
        ``[n, size, size]`` float32, without the positions that a file lacks.

    Raises
    ------
    ScanError
        If counts are negative or not finite, or a file cannot be read.
    """
    total = sum(s.shape[0] * s.shape[1] for s in scans)
    cache = np.empty((total, how.size, how.size), np.float32)
    begin = 0
    for scan in scans:
        ny, nx = scan.scan_shape
        part = cache[begin : begin + ny * nx].reshape(ny, nx, how.size, how.size)
        fill(part, scan, how, report)
        begin += ny * nx
    there = [np.ones(s.scan_shape, bool) if s.missing is None else ~s.missing for s in scans]
    if not all(one.all() for one in there):
        cache = cache[np.concatenate([one.ravel() for one in there])]
    if not cache.any():
        raise ScanError(f"{scans[0].where()}: every count is zero; there is nothing to learn from.")
    return cache


def fill(part: npt.NDArray[np.float32], scan: Scan, how: Preprocess, report: Report | None) -> None:
    """Write the preprocessed patterns of one scan into `part`, ``[y, x, size, size]``."""

    def work(block: np.ndarray, where: tuple[slice, slice]) -> None:
        part[where] = prepare(block, how, scan.centre, scan.where())

    for _ in over_blocks(scan, work, report, "reading patterns"):
        pass


SAMPLES = 8192
"""Most patterns taken as a sample of a scan."""


@dataclass(frozen=True, eq=False)
class Samples:
    """The labelled patterns of a scan, and a sample of all.

    Parameters
    ----------
    labelled : ndarray
        Preprocessed, ``[n, size, size]``, in scan order.
    sampled : ndarray
        Preprocessed, ``[m, size, size]``: every k-th row and column.
    """

    labelled: npt.NDArray[np.float32]
    sampled: npt.NDArray[np.float32]


def read_samples(
    scan: Scan, labelled: npt.NDArray[np.bool_], how: Preprocess, report: Report | None = None
) -> Samples:
    """Read the labelled patterns and a sample of all in one pass over the scan.

    Parameters
    ----------
    scan : Scan
        The scan.
    labelled : ndarray
        bool ``[y, x]``.
    how : Preprocess
        Applied to both.
    report : callable, optional
        Receives a `Progress` per block; may raise `Cancelled`.

    Raises
    ------
    ScanError
        If counts are negative or not finite, or a file cannot be read.
    """
    ny, nx = scan.scan_shape
    every = 1
    while math.ceil(ny / every) * math.ceil(nx / every) > SAMPLES:
        every += 1
    sample = np.zeros((ny, nx), bool)
    sample[::every, ::every] = True
    if scan.missing is not None:
        sample &= ~scan.missing
    found = np.empty((np.count_nonzero(labelled), how.size, how.size), np.float32)
    sampled = np.empty((np.count_nonzero(sample), how.size, how.size), np.float32)
    place = np.cumsum(labelled).reshape(ny, nx) - 1
    sample_place = np.cumsum(sample).reshape(ny, nx) - 1

    def work(block: np.ndarray, where: tuple[slice, slice]) -> None:
        for mask, places, into in ((labelled, place, found), (sample, sample_place, sampled)):
            here = mask[where]
            if here.any():
                into[places[where][here]] = prepare(block[here], how, scan.centre, scan.where())

    for _ in over_blocks(scan, work, report, "reading patterns"):
        pass
    return Samples(found, sampled)
