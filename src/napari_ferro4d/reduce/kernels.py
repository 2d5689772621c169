"""Compiled inner loops: each pattern is read once, sums of integers stay integers.

The accumulator's type comes in with an array of it, so one source serves all: 32 bits where they
cannot overflow (they add twice as fast), 64 bits otherwise, float64 for floats.

Patterns come as one flat array and the steps between their rows (see `Patterns`), so that files
with headers between frames, with rows from the bottom up or in the other byte order are read where
they lie. Rows are always read in the order of their addresses, those of four neighbouring patterns
abreast: processors foresee that, and fetch from all four at once. ``swap`` turns over the two bytes
of 16-bit counts as they are loaded; other types come in native byte order.
"""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np

from .flat_patterns import Patterns
from .intrinsics import native, plus, span, turned, unaliased
from .segments import ROWS

# Allow the compiler to add several partial sums side by side; NaN and infinity keep their meaning.
REORDER = {"reassoc", "nsz", "contract"}

ABREAST = 4
"""Patterns that `sums` reads side by side."""


def accumulator(dtype: np.dtype[Any], detector_shape: tuple[int, int]) -> np.dtype[Any]:
    """Return the type in which sums of eight rows or of a column of counts cannot overflow."""
    if dtype.kind == "f":
        return np.dtype(np.float64)
    if dtype.kind == "u" and dtype.itemsize <= 2 and max(detector_shape) <= 8192:
        return np.dtype(np.uint32)
    return np.dtype(np.uint64 if dtype.kind == "u" else np.int64)


# Nothing is allocated in these loops, so arrays need no reference counts: counting every row slice
# would take half the time.
compiled = functools.partial(numba.njit, nogil=True, cache=True, _nrt=False)
inlined = functools.partial(compiled, fastmath=REORDER, inline="always")


@inlined()
def _add_row(row, swap, columns):  # type: ignore[no-untyped-def]
    """Add a row to the column sums and return its sum."""
    kind = columns.dtype.type
    total = kind(0)
    for i in range(len(row)):
        value = kind(native(row[i], swap))
        total = plus(total, value)
        columns[i] = plus(columns[i], value)
    return total


@inlined()
def _add_four(a, b, c, d, swap, in_a, in_b, in_c, in_d):  # type: ignore[no-untyped-def]
    """Add a row of each of four patterns to its column sums and return the rows' sums."""
    kind = in_a.dtype.type
    of_a = of_b = of_c = of_d = kind(0)
    for i in range(len(a)):
        va, vb = kind(native(a[i], swap)), kind(native(b[i], swap))
        vc, vd = kind(native(c[i], swap)), kind(native(d[i], swap))
        in_a[i], in_b[i] = plus(in_a[i], va), plus(in_b[i], vb)
        in_c[i], in_d[i] = plus(in_c[i], vc), plus(in_d[i], vd)
        of_a, of_b, of_c, of_d = plus(of_a, va), plus(of_b, vb), plus(of_c, vc), plus(of_d, vd)
    return of_a, of_b, of_c, of_d


@inlined()
def _add_four_and_pool(  # type: ignore[no-untyped-def]
    a, b, c, d, swap, in_a, in_b, in_c, in_d, pooled
):
    """Do what `_add_four` does, and add the four rows to one sum of patterns."""
    kind, wide = in_a.dtype.type, pooled.dtype.type
    of_a = of_b = of_c = of_d = kind(0)
    for i in range(len(a)):
        va, vb = kind(native(a[i], swap)), kind(native(b[i], swap))
        vc, vd = kind(native(c[i], swap)), kind(native(d[i], swap))
        in_a[i], in_b[i] = plus(in_a[i], va), plus(in_b[i], vb)
        in_c[i], in_d[i] = plus(in_c[i], vc), plus(in_d[i], vd)
        of_a, of_b, of_c, of_d = plus(of_a, va), plus(of_b, vb), plus(of_c, vc), plus(of_d, vd)
        four = plus(plus(wide(va), wide(vb)), plus(wide(vc), wide(vd)))
        pooled[i] = plus(pooled[i], four)
    return of_a, of_b, of_c, of_d


@inlined()
def _pool(row, swap, pooled):  # type: ignore[no-untyped-def]
    """Add a row to a sum of patterns."""
    wide = pooled.dtype.type
    for i in range(len(row)):
        pooled[i] = plus(pooled[i], wide(native(row[i], swap)))


@inlined()
def _pool_four(a, b, c, d, swap, pooled):  # type: ignore[no-untyped-def]
    """Add four rows to one sum of patterns."""
    wide = pooled.dtype.type
    for i in range(len(a)):
        upper = plus(wide(native(a[i], swap)), wide(native(b[i], swap)))
        lower = plus(wide(native(c[i], swap)), wide(native(d[i], swap)))
        pooled[i] = plus(pooled[i], plus(upper, lower))


@inlined()
def _masked(  # type: ignore[no-untyped-def]
    flat, start, row_step, swap, table, masks, work, chosen, out
):
    """Add the segments `chosen` of one pattern to ``out[detector]``."""
    kind = work.dtype.type
    for s in range(chosen[0], chosen[1]):
        rows, width, mask = table[s, 2], table[s, 4], table[s, 5]
        at = start + table[s, 1] * row_step + table[s, 3]
        total = kind(0)
        if rows == ROWS:
            a, of_a = span(flat, at, width), span(masks, mask, width)
            b, of_b = span(flat, at + row_step, width), span(masks, mask + width, width)
            c, of_c = span(flat, at + 2 * row_step, width), span(masks, mask + 2 * width, width)
            d, of_d = span(flat, at + 3 * row_step, width), span(masks, mask + 3 * width, width)
            e, of_e = span(flat, at + 4 * row_step, width), span(masks, mask + 4 * width, width)
            f, of_f = span(flat, at + 5 * row_step, width), span(masks, mask + 5 * width, width)
            g, of_g = span(flat, at + 6 * row_step, width), span(masks, mask + 6 * width, width)
            h, of_h = span(flat, at + 7 * row_step, width), span(masks, mask + 7 * width, width)
            for i in range(len(a)):
                ab = plus(kind(native(a[i], swap) & of_a[i]), kind(native(b[i], swap) & of_b[i]))
                cd = plus(kind(native(c[i], swap) & of_c[i]), kind(native(d[i], swap) & of_d[i]))
                ef = plus(kind(native(e[i], swap) & of_e[i]), kind(native(f[i], swap) & of_f[i]))
                gh = plus(kind(native(g[i], swap) & of_g[i]), kind(native(h[i], swap) & of_h[i]))
                total = plus(total, plus(plus(ab, cd), plus(ef, gh)))
        else:
            for r in range(rows):
                row = span(flat, at + r * row_step, width)
                of_row = span(masks, mask + r * width, width)
                for i in range(len(row)):
                    total = plus(total, kind(native(row[i], swap) & of_row[i]))
        out[table[s, 0]] += total


@compiled(fastmath=REORDER)
def sums(flat, layout, swap, moment, masked, pooled):  # type: ignore[no-untyped-def]
    """Sum counts in up to three ways at once, reading each pattern once.

    Parameters
    ----------
    flat, layout : array, tuple of int
        Patterns; see `_patterns.Patterns`.
    swap : bool or None
        Turn over the bytes of 16-bit counts; None leaves that out, at compile time.
    moment : tuple or None
        For sums of counts, and of counts times detector row and column: ``first`` and ``last``,
        int arrays, row ``ky`` is summed over columns ``first[ky] <= kx < last[ky]``; work space,
        four arrays ``[kx]`` of the accumulator's type; and the result, float64 ``[y, x, 3]``.
    masked : tuple or None
        For virtual detectors cut into `_segments.Segments`: the table; the masks, of the type of
        the counts, all bits set where a pixel counts; `Segments.groups`; an array of the
        accumulator's type, which is all that it tells; and the result, float64
        ``[y, x, detector]``.
    pooled : tuple or None
        For sums of patterns: the region of every position, int ``[y, x]``, -1 for none; and the
        result ``[region, ky * kx]``.
    """
    unaliased()
    ny, nx, nky, nkx, origin, down_step, right_step, row_step = layout
    for y in range(ny):
        x = 0
        while x < nx:
            start = origin + y * down_step + x * right_step
            abreast = x + 4 <= nx
            where = np.int64(-1)
            if pooled is not None:
                region, patterns = pooled
                where = region[y, x]
                if abreast:
                    for j in range(1, 4):
                        abreast = abreast and region[y, x + j] == where
                # Of no region, the pattern is added to none; the row is only a place to begin.
                pattern = patterns[max(where, 0)]
            if moment is not None:
                first, last, (in_a, in_b, in_c, in_d), out = moment
                for i in range(nkx):
                    in_a[i] = in_b[i] = in_c[i] = in_d[i] = in_a.dtype.type(0)
                out[y, x : x + (4 if abreast else 1)] = 0.0
            if masked is not None:
                table, masks, groups, work, counts = masked
                counts[y, x : x + (4 if abreast else 1)] = 0.0
            for k in range(nky):
                ky = k if row_step > 0 else nky - 1 - k
                at = start + ky * row_step
                together = False
                if moment is not None:
                    left, width = first[ky], last[ky] - first[ky]
                    row = np.float64(ky)
                    a = span(flat, at + left, width)
                    to_a = span(in_a, left, width)
                    if abreast:
                        b = span(flat, at + right_step + left, width)
                        c = span(flat, at + 2 * right_step + left, width)
                        d = span(flat, at + 3 * right_step + left, width)
                        to_b, to_c = span(in_b, left, width), span(in_c, left, width)
                        to_d = span(in_d, left, width)
                        if pooled is not None:
                            together = bool(where >= 0 and width == nkx)
                        if together:
                            if pooled is not None:
                                four = _add_four_and_pool(
                                    a,
                                    b,
                                    c,
                                    d,
                                    swap,
                                    to_a,
                                    to_b,
                                    to_c,
                                    to_d,
                                    span(pattern, ky * nkx, nkx),
                                )
                        else:
                            four = _add_four(a, b, c, d, swap, to_a, to_b, to_c, to_d)
                        for j in range(4):
                            out[y, x + j, 0] += four[j]
                            out[y, x + j, 1] += four[j] * row
                    else:
                        one = _add_row(a, swap, to_a)
                        out[y, x, 0] += one
                        out[y, x, 1] += one * row
                if pooled is not None and where >= 0 and not together:
                    whole = span(pattern, ky * nkx, nkx)
                    a = span(flat, at, nkx)
                    if abreast:
                        b = span(flat, at + right_step, nkx)
                        c = span(flat, at + 2 * right_step, nkx)
                        d = span(flat, at + 3 * right_step, nkx)
                        _pool_four(a, b, c, d, swap, whole)
                    else:
                        _pool(a, swap, whole)
                if masked is not None:
                    # Once all rows that a segment can have were read, and are in the cache.
                    done = ky % ROWS == (ROWS - 1 if row_step > 0 else 0) or k == nky - 1
                    if done and groups[ky // ROWS] < groups[ky // ROWS + 1]:
                        chosen = groups[ky // ROWS], groups[ky // ROWS + 1]
                        for j in range(4 if abreast else 1):
                            _masked(
                                flat,
                                start + j * right_step,
                                row_step,
                                swap,
                                table,
                                masks,
                                work,
                                chosen,
                                counts[y, x + j],
                            )
            if moment is not None:
                across_a = across_b = across_c = across_d = 0.0
                for kx in range(nkx):
                    column = np.float64(kx)
                    across_a += in_a[kx] * column
                    across_b += in_b[kx] * column
                    across_c += in_c[kx] * column
                    across_d += in_d[kx] * column
                out[y, x, 2] = across_a
                if abreast:
                    out[y, x + 1, 2] = across_b
                    out[y, x + 2, 2] = across_c
                    out[y, x + 3, 2] = across_d
            x += 4 if abreast else 1


def add_up(
    patterns: Patterns,
    moment: tuple[Any, ...] | None = None,
    masked: tuple[Any, ...] | None = None,
    pooled: tuple[Any, ...] | None = None,
) -> None:
    """Run `sums` over patterns."""
    sums(patterns.flat, patterns.layout, patterns.swap or None, moment, masked, pooled)


@compiled(fastmath=REORDER)
def sum_weighted(flat, layout, swap, table, weights, out):  # type: ignore[no-untyped-def]
    """Sum counts times weights over `_segments.Segments`: ``[y, x, detector]``.

    A pixel without weight is left out, NaN or not.
    """
    ny, nx, _nky, _nkx, origin, down_step, right_step, row_step = layout
    for y in range(ny):
        for x in range(nx):
            start = origin + y * down_step + x * right_step
            out[y, x] = 0.0
            for n in range(table.shape[0]):
                s = n if row_step > 0 else table.shape[0] - 1 - n
                width = table[s, 4]
                total = 0.0
                for r in range(table[s, 2]):
                    at = start + (table[s, 1] + r) * row_step + table[s, 3]
                    row = flat[at : at + width]
                    weight = weights[table[s, 5] + r * width : table[s, 5] + (r + 1) * width]
                    if swap:
                        for i in range(len(row)):
                            total += np.float64(turned(np.uint16(row[i]))) * weight[i]
                    else:
                        for i in range(len(row)):
                            part = np.float64(row[i]) * weight[i]
                            total += part if weight[i] != 0 else 0.0
                out[y, x, table[s, 0]] += total
