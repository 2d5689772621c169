"""What a reduction is: what a block of patterns gives, how parts merge, what result comes out.

Where it runs is decided elsewhere (`_pass.py`); any number of reductions share one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from napari_ferro4d.scan import Scan

from ._detectors import runs_of
from ._patterns import Patterns

__all__ = ["Place", "Reduction"]

R = TypeVar("R")
Place = tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class Reduction(Generic[R]):
    """One reduction of a scan.

    Parameters
    ----------
    empty : callable
        ``empty(shape)`` gives the array for a block of ``shape = (rows, columns)`` positions, or
        for the whole scan.
    add : callable
        ``add(patterns, part, place)`` works patterns into `part`; `place` says where in the scan
        they lie.
    merge : callable
        ``merge(whole, part, place)`` works a block's array into that of the scan.
    finish : callable
        Turns the array of the whole scan into the result.
    per_position : bool
        The array has one entry per probe position, so that `part` is handed to `add` sliced to
        the patterns, and a part of the result can be shown before the pass ends.
    """

    empty: Callable[[tuple[int, int]], np.ndarray]
    add: Callable[[Patterns, np.ndarray, Place], None]
    merge: Callable[[np.ndarray, np.ndarray, Place], None]
    finish: Callable[[np.ndarray], R]
    per_position: bool


def _put(whole: np.ndarray, part: np.ndarray, place: Place) -> None:
    whole[place] = part


def _sum(whole: np.ndarray, part: np.ndarray, place: Place) -> None:
    whole += part


def moments(
    scan: Scan, first: np.ndarray, last: np.ndarray, finish: Callable[[np.ndarray], R]
) -> Reduction[R]:
    """Sum, and sum times detector row and column, over spans of columns: ``[y, x, 3]``."""
    from . import _kernels

    kind = _kernels.accumulator(scan.dtype)

    def add(patterns: Patterns, part: np.ndarray, place: Place) -> None:
        columns = np.zeros(patterns.layout[3], kind)
        _kernels.moments(patterns.flat, patterns.layout, patterns.swap, first, last, columns, part)

    return Reduction(lambda shape: np.empty((*shape, 3)), add, _put, finish, per_position=True)


def detector_sums(
    scan: Scan, masks: Sequence[np.ndarray], finish: Callable[[np.ndarray], R]
) -> Reduction[R]:
    """Sum the counts on virtual detectors, bool ``[ky, kx]`` each: ``[y, x, detector]``."""
    from . import _kernels

    kind = _kernels.accumulator(scan.dtype)
    runs = np.concatenate([_with(runs_of(mask), number) for number, mask in enumerate(masks)])
    # Row by row for all detectors: what one has brought into the cache, the next finds there.
    runs = runs[np.lexsort((runs[:, 1], runs[:, 0]))]

    def add(patterns: Patterns, part: np.ndarray, place: Place) -> None:
        work = np.zeros(1, kind)
        _kernels.sum_runs(patterns.flat, patterns.layout, patterns.swap, runs, work, part)

    return Reduction(
        lambda shape: np.empty((*shape, len(masks))), add, _put, finish, per_position=True
    )


def _with(runs: np.ndarray, number: int) -> np.ndarray:
    return np.column_stack([runs, np.full(len(runs), number)])


def weighted_sum(
    scan: Scan, weights: np.ndarray, finish: Callable[[np.ndarray], R]
) -> Reduction[R]:
    """Sum the counts times float weights ``[ky, kx]``: ``[y, x]``."""
    from . import _kernels

    runs = runs_of(weights)

    def add(patterns: Patterns, part: np.ndarray, place: Place) -> None:
        _kernels.sum_weighted(patterns.flat, patterns.layout, patterns.swap, runs, weights, part)

    return Reduction(np.empty, add, _put, finish, per_position=True)


def pattern_sums(
    scan: Scan, regions: np.ndarray, count: int, finish: Callable[[np.ndarray], R]
) -> Reduction[R]:
    """Sum the patterns of every region: ``[region, ky, kx]``.

    `regions` is int64 ``[y, x]``: 0 to ``count - 1``, or -1 for positions that belong to none.
    """
    from . import _kernels

    if scan.missing is not None:
        regions = np.where(scan.missing, -1, regions)
    whole = np.dtype(np.float64 if scan.dtype.kind == "f" else np.int64)
    # A block has far fewer than 2^16 patterns, so 16-bit counts cannot overflow 32 bits in it.
    part = np.dtype(np.uint32) if scan.dtype.kind == "u" and scan.dtype.itemsize <= 2 else whole
    shape = (count, *scan.detector_shape)

    def empty(positions: tuple[int, int]) -> np.ndarray:
        return np.zeros(shape, part if positions[0] * positions[1] < 2**16 else whole)

    def add(patterns: Patterns, out: np.ndarray, place: Place) -> None:
        _kernels.add_patterns(patterns.flat, patterns.layout, patterns.swap, regions[place], out)

    return Reduction(empty, add, _sum, finish, per_position=False)


def largest(scan: Scan, finish: Callable[[np.ndarray], R]) -> Reduction[R]:
    """Largest count of every detector pixel: ``[ky, kx]``."""
    from . import _kernels

    kind = scan.dtype.newbyteorder("=")
    lowest: Any = -np.inf if kind.kind == "f" else np.iinfo(kind).min

    def merge(whole: np.ndarray, part: np.ndarray, place: Place) -> None:
        np.maximum(whole, part, out=whole)

    def add(patterns: Patterns, part: np.ndarray, place: Place) -> None:
        _kernels.largest_counts(patterns.flat, patterns.layout, patterns.swap, part)

    return Reduction(
        lambda shape: np.full(scan.detector_shape, lowest, kind),
        add,
        merge,
        finish,
        per_position=False,
    )


def squares(scan: Scan, finish: Callable[[np.ndarray], R]) -> Reduction[R]:
    """Sum of the squared counts of every detector pixel, float64: ``[ky, kx]``."""
    from . import _kernels

    def add(patterns: Patterns, part: np.ndarray, place: Place) -> None:
        _kernels.add_squares(patterns.flat, patterns.layout, patterns.swap, part)

    return Reduction(
        lambda shape: np.zeros(scan.detector_shape), add, _sum, finish, per_position=False
    )
