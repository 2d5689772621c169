"""What a reduction is: what a block of patterns gives, how parts merge, what result comes out.

Where it runs is decided elsewhere (`reduce_scan`); any number of reductions share one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import numpy as np

from napari_ferro4d.frames import counted
from napari_ferro4d.io import Place
from napari_ferro4d.scan import Scan

from .flat_patterns import Patterns
from .segments import Segments

R = TypeVar("R")
AddPatterns = Callable[[Patterns, np.ndarray, Place], None]

Kind = Literal["moment", "masked", "pooled"]


@dataclass(frozen=True, eq=False)
class Fusible:
    """A sum that `kernels.add_up` makes in one loop with sums of the other kinds.

    Parameters
    ----------
    kind : str
        Which of its parameters.
    arguments : callable
        ``arguments(part, place)`` gives what it takes there.
    """

    kind: Kind
    arguments: Callable[[np.ndarray, Place], tuple[Any, ...]]


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
    fusible : Fusible, optional
        How to make it in one loop with others; None where there is none.
    """

    empty: Callable[[tuple[int, int]], np.ndarray]
    add: AddPatterns
    merge: Callable[[np.ndarray, np.ndarray, Place], None]
    finish: Callable[[np.ndarray], R]
    per_position: bool
    fusible: Fusible | None = None


def put(whole: np.ndarray, part: np.ndarray, place: Place) -> None:
    """Merge a map: what a block gives goes where the block lies."""
    whole[place] = part


def _sum(whole: np.ndarray, part: np.ndarray, place: Place) -> None:
    whole += part


def moments(
    scan: Scan, first: np.ndarray, last: np.ndarray, finish: Callable[[np.ndarray], R]
) -> Reduction[R]:
    """Sum, and sum times detector row and column, over spans of columns: ``[y, x, 3]``."""
    from . import kernels

    kind = kernels.accumulator(scan.dtype, scan.detector_shape)

    def arguments(part: np.ndarray, place: Place) -> tuple[Any, ...]:
        columns = np.zeros((kernels.ABREAST, scan.detector_shape[1]), kind)
        return first, last, tuple(columns), part

    def add(patterns: Patterns, part: np.ndarray, place: Place) -> None:
        kernels.add_up(patterns, moment=arguments(part, place))

    return Reduction(
        lambda shape: np.empty((*shape, 3)),
        add,
        put,
        finish,
        per_position=True,
        fusible=Fusible("moment", arguments),
    )


def detector_sums(
    scan: Scan, masks: Sequence[np.ndarray], finish: Callable[[np.ndarray], R]
) -> Reduction[R]:
    """Sum the counts on virtual detectors, bool ``[ky, kx]`` each: ``[y, x, detector]``."""
    from . import kernels

    if scan.dtype.kind == "f":
        return _weighted(masks, finish)
    kind = scan.dtype.newbyteorder("=")
    all_bits = np.array(-1).astype(kind)
    segments = Segments.of([np.where(mask, all_bits, kind.type(0)) for mask in masks], kind)
    work = np.zeros(1, kernels.accumulator(kind, scan.detector_shape))

    groups = segments.groups(scan.detector_shape[0])

    def arguments(part: np.ndarray, place: Place) -> tuple[Any, ...]:
        return segments.table, segments.weights, groups, work, part

    def add(patterns: Patterns, part: np.ndarray, place: Place) -> None:
        kernels.add_up(patterns, masked=arguments(part, place))

    return Reduction(
        lambda shape: np.empty((*shape, len(masks))),
        add,
        put,
        finish,
        per_position=True,
        fusible=Fusible("masked", arguments),
    )


def weighted_sum(
    scan: Scan, weights: np.ndarray, finish: Callable[[np.ndarray], R]
) -> Reduction[R]:
    """Sum the counts times float weights ``[ky, kx]``: ``[y, x]``."""
    return _weighted([weights], lambda sums: finish(sums[..., 0]))


def _weighted(masks: Sequence[np.ndarray], finish: Callable[[np.ndarray], R]) -> Reduction[R]:
    from . import kernels

    segments = Segments.of(masks, np.dtype(np.float64))

    def add(patterns: Patterns, part: np.ndarray, place: Place) -> None:
        kernels.sum_weighted(*patterns.arguments, segments.table, segments.weights, part)

    return Reduction(
        lambda shape: np.empty((*shape, len(masks))), add, put, finish, per_position=True
    )


def cleaned_moments(
    scan: Scan,
    weights: np.ndarray,
    background: np.ndarray,
    threshold: float,
    finish: Callable[[np.ndarray], R],
) -> Reduction[R]:
    """As `moments`, of counts less `background` that reach `threshold`, times `weights`."""
    from . import pixel_kernels

    inside = weights != 0
    rows = inside.any(axis=1)
    first = np.where(rows, inside.argmax(axis=1), 0).astype(np.int64)
    last = np.where(rows, inside.shape[1] - inside[:, ::-1].argmax(axis=1), 0).astype(np.int64)
    how = weights.astype(np.float64), first, last, background.astype(np.float64), float(threshold)

    def add(patterns: Patterns, part: np.ndarray, place: Place) -> None:
        pixel_kernels.cleaned_moments(*patterns.arguments, *how, part)

    return Reduction(lambda shape: np.empty((*shape, 3)), add, put, finish, per_position=True)


def pattern_sums(
    scan: Scan, regions: np.ndarray, count: int, finish: Callable[[np.ndarray], R]
) -> Reduction[R]:
    """Sum the patterns of every region: ``[region, ky, kx]``.

    `regions` is int64 ``[y, x]``: 0 to ``count - 1``, or -1 for positions that belong to none.
    """
    from . import kernels

    if scan.missing is not None:
        regions = np.where(scan.missing, -1, regions)
    whole = np.dtype(np.float64 if scan.dtype.kind == "f" else np.int64)
    # A block has far fewer than 2^16 patterns, so 16-bit counts cannot overflow 32 bits in it.
    part = np.dtype(np.uint32) if scan.dtype.kind == "u" and scan.dtype.itemsize <= 2 else whole
    shape = (count, *scan.detector_shape)

    def empty(positions: tuple[int, int]) -> np.ndarray:
        return np.zeros(shape, part if positions[0] * positions[1] < 2**16 else whole)

    def arguments(sums: np.ndarray, place: Place) -> tuple[Any, ...]:
        # In one piece, as loops are compiled once more for an array that is not.
        return np.ascontiguousarray(regions[place]), sums.reshape(len(sums), -1)

    def add(patterns: Patterns, sums: np.ndarray, place: Place) -> None:
        kernels.add_up(patterns, pooled=arguments(sums, place))

    return Reduction(
        empty, add, _sum, finish, per_position=False, fusible=Fusible("pooled", arguments)
    )


def ring_sums(
    scan: Scan, rings: np.ndarray, count: int, finish: Callable[[np.ndarray], R]
) -> Reduction[R]:
    """Sum the counts of every ring of detector pixels: ``[y, x, ring]``.

    `rings` is int64 ``[ky, kx]``: 0 to ``count - 1``.
    """
    from . import pixel_kernels

    wide = np.dtype(np.float64 if scan.dtype.kind == "f" else np.int64)

    def add(patterns: Patterns, part: np.ndarray, place: Place) -> None:
        pixel_kernels.ring_sums(*patterns.arguments, rings, np.zeros(count, wide), part)

    return Reduction(lambda shape: np.empty((*shape, count)), add, put, finish, per_position=True)


def largest(scan: Scan, finish: Callable[[np.ndarray], R]) -> Reduction[R]:
    """Largest count of every detector pixel: ``[ky, kx]``."""
    from . import pixel_kernels

    kind = counted(scan.dtype)
    lowest: Any = -np.inf if kind.kind == "f" else np.iinfo(kind).min

    def merge(whole: np.ndarray, part: np.ndarray, place: Place) -> None:
        np.maximum(whole, part, out=whole)

    def add(patterns: Patterns, part: np.ndarray, place: Place) -> None:
        pixel_kernels.largest_counts(*patterns.arguments, part)

    return Reduction(
        lambda shape: np.full(scan.detector_shape, lowest, kind),
        _where_recorded(scan, add),
        merge,
        finish,
        per_position=False,
    )


def squares(scan: Scan, finish: Callable[[np.ndarray], R]) -> Reduction[R]:
    """Sum of the squared counts of every detector pixel, float64: ``[ky, kx]``."""
    from . import pixel_kernels

    def add(patterns: Patterns, part: np.ndarray, place: Place) -> None:
        pixel_kernels.add_squares(*patterns.arguments, part)

    return Reduction(
        lambda shape: np.zeros(scan.detector_shape),
        _where_recorded(scan, add),
        _sum,
        finish,
        per_position=False,
    )


def _where_recorded(scan: Scan, add: AddPatterns) -> AddPatterns:
    """Return `add` for those patterns only that the file holds.

    Zeros were filled in for the others, and a dark image may have been subtracted from them.
    """
    if scan.missing is None:
        return add
    recorded = ~scan.missing

    def add_some(patterns: Patterns, part: np.ndarray, place: Place) -> None:
        for y, row in enumerate(recorded[place]):
            for start, end in np.flatnonzero(np.diff(row, prepend=False, append=False)).reshape(
                -1, 2
            ):
                add(patterns.run(y, int(start), int(end - start)), part, place)

    return add_some
