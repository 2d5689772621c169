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

from typing import Any

import numba
import numpy as np

# Allow the compiler to add several partial sums side by side; NaN and infinity keep their meaning.
_REORDER = {"reassoc", "nsz", "contract"}


def accumulator(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type in which row and column sums of `dtype` counts cannot overflow."""
    if dtype.kind == "f":
        return np.dtype(np.float64)
    if dtype.kind == "u" and dtype.itemsize <= 2:
        return np.dtype(np.uint32)
    return np.dtype(np.uint64 if dtype.kind == "u" else np.int64)


@numba.njit(nogil=True, cache=True, inline="always")
def _turned(value):  # type: ignore[no-untyped-def]
    return ((value & np.uint32(0xFF)) << np.uint32(8)) | (value >> np.uint32(8))


@numba.njit(nogil=True, cache=True, fastmath=_REORDER)
def moments(flat, layout, swap, first, last, columns, out):  # type: ignore[no-untyped-def]
    """Sum counts, and counts times row and column index, over the spans of a convex mask.

    Parameters
    ----------
    flat, layout : array, tuple of int
        Patterns; see `_patterns.Patterns`.
    swap : bool
        Turn over the bytes of 16-bit counts.
    first, last : int array
        Detector row ``ky`` is summed over columns ``first[ky] <= kx < last[ky]``.
    columns : array
        Work space ``[kx]`` of the accumulator's type.
    out : float64 array
        ``[y, x, 3]``: sum, sum times ky, sum times kx.
    """
    ny, nx, nky, nkx, origin, down_step, right_step, row_step = layout
    kind = columns.dtype.type
    for y in range(ny):
        for x in range(nx):
            start = origin + y * down_step + x * right_step
            columns[:] = kind(0)
            total = 0.0
            down = 0.0
            for k in range(nky):
                ky = k if row_step > 0 else nky - 1 - k
                row_start = start + ky * row_step
                part = flat[row_start + first[ky] : row_start + last[ky]]
                under = columns[first[ky] : last[ky]]
                row = kind(0)
                if swap:
                    for i in range(len(part)):
                        value = kind(_turned(np.uint32(part[i])))
                        row += value
                        under[i] += value
                else:
                    for i in range(len(part)):
                        value = kind(part[i])
                        row += value
                        under[i] += value
                total += row
                down += row * np.float64(ky)
            right = 0.0
            for kx in range(nkx):
                right += columns[kx] * np.float64(kx)
            out[y, x, 0] = total
            out[y, x, 1] = down
            out[y, x, 2] = right


@numba.njit(nogil=True, cache=True, fastmath=_REORDER)
def sum_runs(flat, layout, swap, runs, columns, out):  # type: ignore[no-untyped-def]
    """Sum counts over runs ``(ky, first kx, last kx, detector)``; touches no other pixels.

    `out` is ``[y, x, detector]``, so that any number of virtual detectors take one call.
    """
    ny, nx, _nky, _nkx, origin, down_step, right_step, row_step = layout
    kind = columns.dtype.type
    for y in range(ny):
        for x in range(nx):
            start = origin + y * down_step + x * right_step
            out[y, x] = 0.0
            for n in range(runs.shape[0]):
                r = n if row_step > 0 else runs.shape[0] - 1 - n
                row_start = start + runs[r, 0] * row_step
                part = flat[row_start + runs[r, 1] : row_start + runs[r, 2]]
                row = kind(0)
                if swap:
                    for i in range(len(part)):
                        row += kind(_turned(np.uint32(part[i])))
                else:
                    for i in range(len(part)):
                        row += kind(part[i])
                out[y, x, runs[r, 3]] += row


@numba.njit(nogil=True, cache=True, fastmath=_REORDER)
def sum_weighted(flat, layout, swap, runs, weights, out):  # type: ignore[no-untyped-def]
    """Sum counts times ``weights[ky, kx]`` over runs of detector pixels."""
    ny, nx, _nky, _nkx, origin, down_step, right_step, row_step = layout
    for y in range(ny):
        for x in range(nx):
            start = origin + y * down_step + x * right_step
            total = 0.0
            for n in range(runs.shape[0]):
                r = n if row_step > 0 else runs.shape[0] - 1 - n
                row_start = start + runs[r, 0] * row_step
                part = flat[row_start + runs[r, 1] : row_start + runs[r, 2]]
                weight = weights[runs[r, 0], runs[r, 1] : runs[r, 2]]
                if swap:
                    for i in range(len(part)):
                        total += _turned(np.uint32(part[i])) * weight[i]
                else:
                    for i in range(len(part)):
                        total += part[i] * weight[i]
            out[y, x] = total


@numba.njit(nogil=True, cache=True)
def add_patterns(flat, layout, swap, region, out):  # type: ignore[no-untyped-def]
    """Add every pattern to the sum of its region: ``out[region[y, x], ky, kx]``, -1 to none.

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
                                kind(_turned(np.uint32(a[i])))
                                + kind(_turned(np.uint32(b[i])))
                                + kind(_turned(np.uint32(c[i])))
                                + kind(_turned(np.uint32(d[i])))
                            )
                    else:
                        for i in range(len(sums)):
                            sums[i] += kind(a[i]) + kind(b[i]) + kind(c[i]) + kind(d[i])
                elif swap:
                    for i in range(len(sums)):
                        sums[i] += kind(_turned(np.uint32(a[i])))
                else:
                    for i in range(len(sums)):
                        sums[i] += kind(a[i])
            x += 4 if alike else 1


@numba.njit(nogil=True, cache=True)
def add_squares(flat, layout, swap, out):  # type: ignore[no-untyped-def]
    """Add the square of every count to ``out[ky, kx]``."""
    ny, nx, nky, nkx, origin, down_step, right_step, row_step = layout
    kind = out.dtype.type
    for y in range(ny):
        for x in range(nx):
            for k in range(nky):
                ky = k if row_step > 0 else nky - 1 - k
                start = origin + y * down_step + x * right_step + ky * row_step
                sums = out[ky]
                row = flat[start : start + nkx]
                if swap:
                    for i in range(len(sums)):
                        value = kind(_turned(np.uint32(row[i])))
                        sums[i] += value * value
                else:
                    for i in range(len(sums)):
                        value = kind(row[i])
                        sums[i] += value * value


@numba.njit(nogil=True, cache=True)
def largest_counts(flat, layout, swap, out):  # type: ignore[no-untyped-def]
    """Keep the largest count of every detector pixel in ``out[ky, kx]``."""
    ny, nx, nky, nkx, origin, down_step, right_step, row_step = layout
    kind = out.dtype.type
    for y in range(ny):
        for x in range(nx):
            for k in range(nky):
                ky = k if row_step > 0 else nky - 1 - k
                start = origin + y * down_step + x * right_step + ky * row_step
                most = out[ky]
                row = flat[start : start + nkx]
                if swap:
                    for i in range(len(most)):
                        most[i] = max(most[i], kind(_turned(np.uint32(row[i]))))
                else:
                    for i in range(len(most)):
                        most[i] = max(most[i], kind(row[i]))
