"""Compiled inner loops: each pattern is read once, sums of integers stay integers.

The accumulator's type comes in with an array of it, so one source serves all: 32 bits where they
cannot overflow (they add twice as fast), 64 bits otherwise, float64 for floats. Rows are sliced
before they are looped over: indices that start at zero need no bounds logic, and the loops become
vector code.

Patterns come as one flat array and the steps between their rows (see `_patterns.py`), so that files
with headers between frames, with rows from the bottom up or in the other byte order are read where
they lie. Rows are always read in the order of their addresses: processors do not foresee the other
way. ``swap`` turns over the two bytes of 16-bit counts as they are loaded; other types come in
native byte order.
"""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np

from ._intrinsics import prefetch, turned

# Allow the compiler to add several partial sums side by side; NaN and infinity keep their meaning.
REORDER = {"reassoc", "nsz", "contract"}


def accumulator(dtype: np.dtype[Any], detector_shape: tuple[int, int]) -> np.dtype[Any]:
    """Return the type in which sums of four rows or of a column of counts cannot overflow."""
    if dtype.kind == "f":
        return np.dtype(np.float64)
    # `_four_rows` adds up to six times the largest count per column.
    if dtype.kind == "u" and dtype.itemsize <= 2 and max(detector_shape) <= 8192:
        return np.dtype(np.uint32)
    return np.dtype(np.uint64 if dtype.kind == "u" else np.int64)


# Nothing is allocated in these loops, so arrays need no reference counts: counting every row slice
# would take half the time.
compiled = functools.partial(numba.njit, nogil=True, cache=True, _nrt=False)


def common_spans(first: np.ndarray, last: np.ndarray, columns: int) -> np.ndarray:
    """Return for every four detector rows which columns all of them have.

    Parameters
    ----------
    first, last : array
        The span of every detector row, as `moments` takes it.
    columns : int
        Detector columns.

    Returns
    -------
    array
        int64 ``[group, 3]``: first and last column, the same where there are none, and whether any
        row has others.
    """
    groups = []
    for top in range(0, len(first), 4):
        starts, ends = first[top : top + 4], last[top : top + 4]
        left, right = starts.max(), ends.min()
        if len(starts) < 4 or right <= left:
            left = right = columns
        groups.append((left, right, np.any((starts < left) | (ends > right))))
    return np.array(groups, np.int64)


_AHEAD_BYTES = 8192
"""How far ahead of the sums memory is asked for: four rows are read side by side, which processors
do not foresee."""

_LINE_BYTES = 64


@compiled(fastmath=REORDER, inline="always")
def _four_rows(a, b, c, d, swap, columns):  # type: ignore[no-untyped-def]
    """Add four rows to the column sums; return their sum, and that times 0, 1, 2 and 3."""
    kind = columns.dtype.type
    total = kind(0)
    down = kind(0)
    if swap:
        for i in range(len(columns)):
            vb = kind(turned(np.uint16(b[i])))
            vd = kind(turned(np.uint16(d[i])))
            lower = kind(turned(np.uint16(c[i]))) + vd
            column = kind(turned(np.uint16(a[i]))) + vb + lower
            total += column
            down += vb + vd + kind(2) * lower
            columns[i] += column
    else:
        for i in range(len(columns)):
            vb = kind(b[i])
            vd = kind(d[i])
            lower = kind(c[i]) + vd
            column = kind(a[i]) + vb + lower
            total += column
            down += vb + vd + kind(2) * lower
            columns[i] += column
    return total, down


@compiled(fastmath=REORDER)
def _one_row(row, swap, columns):  # type: ignore[no-untyped-def]
    """Add a row to the column sums and return its sum."""
    kind = columns.dtype.type
    total = kind(0)
    if swap:
        for i in range(len(row)):
            value = kind(turned(np.uint16(row[i])))
            total += value
            columns[i] += value
    else:
        for i in range(len(row)):
            value = kind(row[i])
            total += value
            columns[i] += value
    return total


@compiled(fastmath=REORDER)
def moments(flat, layout, swap, first, last, common, columns, out):  # type: ignore[no-untyped-def]
    """Sum counts, and counts times row and column index, over the spans of a convex mask.

    Four rows go together where their spans overlap, what is left of each by itself.

    Parameters
    ----------
    flat, layout : array, tuple of int
        Patterns; see `_patterns.Patterns`.
    swap : bool
        Turn over the bytes of 16-bit counts.
    first, last : int array
        Detector row ``ky`` is summed over columns ``first[ky] <= kx < last[ky]``.
    common : int array
        ``[group, 3]`` of `common_spans`.
    columns : array
        Work space ``[kx]`` of the accumulator's type.
    out : float64 array
        ``[y, x, 3]``: sum, sum times ky, sum times kx.
    """
    ny, nx, nky, nkx, origin, down_step, right_step, row_step = layout
    kind = columns.dtype.type
    ahead = _AHEAD_BYTES // flat.itemsize
    line = _LINE_BYTES // flat.itemsize
    groups = common.shape[0]
    for y in range(ny):
        for x in range(nx):
            start = origin + y * down_step + x * right_step
            columns[:] = kind(0)
            total = 0.0
            down = 0.0
            for n in range(groups):
                group = n if row_step > 0 else groups - 1 - n
                left, right, ragged = common[group]
                top = 4 * group
                at = start + top * row_step
                if right > left:
                    if 2 * (right - left) > nkx:
                        for i in range(0, 4 * nkx, line):
                            prefetch(flat, at + ahead + i)
                    else:
                        for r in range(4):
                            for i in range(left, right, line):
                                prefetch(flat, at + r * row_step + i + ahead)
                    four, lower = _four_rows(
                        flat[at + left : at + right],
                        flat[at + row_step + left : at + row_step + right],
                        flat[at + 2 * row_step + left : at + 2 * row_step + right],
                        flat[at + 3 * row_step + left : at + 3 * row_step + right],
                        swap,
                        columns[left:right],
                    )
                    total += four
                    down += four * np.float64(top) + np.float64(lower)
                if ragged:
                    for ky in range(top, min(top + 4, nky)):
                        at = start + ky * row_step
                        row = kind(0)
                        if first[ky] < left:
                            stop = min(left, last[ky])
                            row += _one_row(
                                flat[at + first[ky] : at + stop], swap, columns[first[ky] : stop]
                            )
                        if last[ky] > right:
                            row += _one_row(
                                flat[at + right : at + last[ky]], swap, columns[right : last[ky]]
                            )
                        total += row
                        down += row * np.float64(ky)
            across = 0.0
            for kx in range(nkx):
                across += columns[kx] * np.float64(kx)
            out[y, x, 0] = total
            out[y, x, 1] = down
            out[y, x, 2] = across


@compiled(fastmath=REORDER)
def sum_masked(flat, layout, swap, table, masks, work, out):  # type: ignore[no-untyped-def]
    """Sum integer counts over virtual detectors cut into `_segments.Segments`.

    Parameters
    ----------
    flat, layout, swap
        As for `moments`.
    table, masks : array
        Segments; the weights have the type of the counts, all bits set where a pixel counts.
    work : array
        Of the accumulator's type, which is all that it tells.
    out : float64 array
        ``[y, x, detector]``.
    """
    ny, nx, _nky, _nkx, origin, down_step, right_step, row_step = layout
    kind = work.dtype.type
    for y in range(ny):
        for x in range(nx):
            start = origin + y * down_step + x * right_step
            out[y, x] = 0.0
            for n in range(table.shape[0]):
                s = n if row_step > 0 else table.shape[0] - 1 - n
                rows = table[s, 2]
                width = table[s, 4]
                m = masks[table[s, 5] : table[s, 5] + rows * width]
                at = start + table[s, 1] * row_step + table[s, 3]
                total = kind(0)
                if rows == 4:
                    a = flat[at : at + width]
                    b = flat[at + row_step : at + row_step + width]
                    c = flat[at + 2 * row_step : at + 2 * row_step + width]
                    d = flat[at + 3 * row_step : at + 3 * row_step + width]
                    if swap:
                        for i in range(width):
                            total += (
                                kind(turned(np.uint16(a[i])) & m[i])
                                + kind(turned(np.uint16(b[i])) & m[width + i])
                                + kind(turned(np.uint16(c[i])) & m[2 * width + i])
                                + kind(turned(np.uint16(d[i])) & m[3 * width + i])
                            )
                    else:
                        for i in range(width):
                            total += (
                                kind(a[i] & m[i])
                                + kind(b[i] & m[width + i])
                                + kind(c[i] & m[2 * width + i])
                                + kind(d[i] & m[3 * width + i])
                            )
                else:
                    for r in range(rows):
                        row = flat[at + r * row_step : at + r * row_step + width]
                        for i in range(width):
                            value = turned(np.uint16(row[i])) if swap else row[i]
                            total += kind(value & m[r * width + i])
                out[y, x, table[s, 0]] += total


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


@compiled()
def _add_rows(flat, layout, swap, region, out):  # type: ignore[no-untyped-def]
    """Add the rows of every pattern to those of its region.

    Four neighbours of one region are added together, so that the sum, which is larger than a
    pattern, is read and written a quarter as often.
    """
    ny, nx, nky, nkx, origin, down_step, right_step, row_step = layout
    kind = out.dtype.type
    for y in range(ny):
        x = 0
        while x < nx:
            where = region[y, x]
            if where < 0:
                x += 1
                continue
            alike = x + 4 <= nx
            if alike:
                for j in range(1, 4):
                    alike = alike and region[y, x + j] == where
            for k in range(nky):
                ky = k if row_step > 0 else nky - 1 - k
                sums = out[where, ky]
                start = origin + y * down_step + x * right_step + ky * row_step
                a = flat[start : start + nkx]
                if alike:
                    b = flat[start + right_step : start + right_step + nkx]
                    c = flat[start + 2 * right_step : start + 2 * right_step + nkx]
                    d = flat[start + 3 * right_step : start + 3 * right_step + nkx]
                    if swap:
                        for i in range(len(sums)):
                            sums[i] += (
                                kind(turned(np.uint16(a[i])))
                                + kind(turned(np.uint16(b[i])))
                                + kind(turned(np.uint16(c[i])))
                                + kind(turned(np.uint16(d[i])))
                            )
                    else:
                        for i in range(len(sums)):
                            sums[i] += kind(a[i]) + kind(b[i]) + kind(c[i]) + kind(d[i])
                elif swap:
                    for i in range(len(sums)):
                        sums[i] += kind(turned(np.uint16(a[i])))
                else:
                    for i in range(len(sums)):
                        sums[i] += kind(a[i])
            x += 4 if alike else 1


@compiled()
def add_patterns(flat, layout, swap, region, out, long):  # type: ignore[no-untyped-def]
    """Add every pattern to the sum of its region: ``out[region[y, x], ky, kx]``, -1 to none.

    `long` is `out` with all detector rows in one: patterns without gaps are added in one go.
    """
    ny, nx, nky, nkx, origin, down_step, right_step, row_step = layout
    if row_step == nkx:
        whole = nky * nkx
        one_row = (ny, nx, np.int64(1), whole, origin, down_step, right_step, whole)
        _add_rows(flat, one_row, swap, region, long)
    else:
        _add_rows(flat, layout, swap, region, out)


@compiled()
def together(flat, layout, swap, run, moment, masked, summed):  # type: ignore[no-untyped-def]
    """Run several of the loops above on `run` patterns at a time, which stay in the cache.

    Parameters
    ----------
    flat, layout, swap
        As for `moments`.
    run : int
        Patterns of a scan row that the loops work on in turn.
    moment, masked, summed : tuple or None
        What `moments`, `sum_masked` and `add_patterns` take after `swap`, for the whole block; None
        leaves one out, at compile time.
    """
    ny, nx, nky, nkx, origin, down_step, right_step, row_step = layout
    for y in range(ny):
        for x in range(0, nx, run):
            end = min(x + run, nx)
            start = origin + y * down_step + x * right_step
            # A bare 1 would be a type of its own, for which every loop is compiled once more.
            part = (np.int64(1), end - x, nky, nkx, start, down_step, right_step, row_step)
            if moment is not None:
                first, last, common, columns, sums = moment
                moments(flat, part, swap, first, last, common, columns, sums[y : y + 1, x:end])
            if masked is not None:
                table, masks, work, counts = masked
                sum_masked(flat, part, swap, table, masks, work, counts[y : y + 1, x:end])
            if summed is not None:
                region, patterns, long = summed
                add_patterns(flat, part, swap, region[y : y + 1, x:end], patterns, long)
