"""Compiled inner loops: each pattern is read once, sums of integers stay integers.

The accumulator's type comes in with an array of it, so one source serves all: 32 bits where they
cannot overflow (they add twice as fast), 64 bits otherwise, float64 for floats. Rows are sliced
before they are looped over: indices that start at zero need no bounds logic, and the loops become
vector code. ``swap`` turns over the two bytes of 16-bit counts as they are loaded, so that
big-endian files are read where they lie; other types come in native byte order.
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
def moments(block, swap, first, last, columns, out):  # type: ignore[no-untyped-def]
    """Sum counts, and counts times row and column index, over the spans of a convex mask.

    Parameters
    ----------
    block : array
        Patterns ``[y, x, ky, kx]``.
    swap : bool
        Turn over the bytes of 16-bit counts.
    first, last : int array
        Detector row ``ky`` is summed over columns ``first[ky] <= kx < last[ky]``.
    columns : array
        Work space ``[kx]`` of the accumulator's type.
    out : float64 array
        ``[y, x, 3]``: sum, sum times ky, sum times kx.
    """
    kind = columns.dtype.type
    for y in range(block.shape[0]):
        for x in range(block.shape[1]):
            pattern = block[y, x]
            columns[:] = kind(0)
            total = 0.0
            down = 0.0
            for ky in range(pattern.shape[0]):
                part = pattern[ky, first[ky] : last[ky]]
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
            for kx in range(pattern.shape[1]):
                right += columns[kx] * np.float64(kx)
            out[y, x, 0] = total
            out[y, x, 1] = down
            out[y, x, 2] = right


@numba.njit(nogil=True, cache=True, fastmath=_REORDER)
def sum_runs(block, swap, runs, columns, out):  # type: ignore[no-untyped-def]
    """Sum counts over runs ``(ky, first kx, last kx)`` of detector pixels; touches no others."""
    kind = columns.dtype.type
    for y in range(block.shape[0]):
        for x in range(block.shape[1]):
            pattern = block[y, x]
            total = 0.0
            for r in range(runs.shape[0]):
                part = pattern[runs[r, 0], runs[r, 1] : runs[r, 2]]
                row = kind(0)
                if swap:
                    for i in range(len(part)):
                        row += kind(_turned(np.uint32(part[i])))
                else:
                    for i in range(len(part)):
                        row += kind(part[i])
                total += row
            out[y, x] = total


@numba.njit(nogil=True, cache=True, fastmath=_REORDER)
def sum_weighted(block, swap, runs, weights, out):  # type: ignore[no-untyped-def]
    """Sum counts times ``weights[ky, kx]`` over runs of detector pixels."""
    for y in range(block.shape[0]):
        for x in range(block.shape[1]):
            pattern = block[y, x]
            total = 0.0
            for r in range(runs.shape[0]):
                part = pattern[runs[r, 0], runs[r, 1] : runs[r, 2]]
                weight = weights[runs[r, 0], runs[r, 1] : runs[r, 2]]
                if swap:
                    for i in range(len(part)):
                        total += _turned(np.uint32(part[i])) * weight[i]
                else:
                    for i in range(len(part)):
                        total += part[i] * weight[i]
            out[y, x] = total


@numba.njit(nogil=True, cache=True)
def add_patterns(block, swap, region, out):  # type: ignore[no-untyped-def]
    """Add every pattern to the sum of its region: ``out[region[y, x], ky, kx]``, -1 to none.

    Four neighbours of one region are added together, so that the sum, which is larger than a
    pattern, is read and written a quarter as often.
    """
    kind = out.dtype.type
    columns = block.shape[1]
    for y in range(block.shape[0]):
        x = 0
        while x < columns:
            where = region[y, x]
            if where < 0:
                x += 1
                continue
            alike = x + 4 <= columns
            if alike:
                for j in range(1, 4):
                    alike = alike and region[y, x + j] == where
            for ky in range(block.shape[2]):
                sums = out[where, ky]
                a = block[y, x, ky]
                if alike:
                    b = block[y, x + 1, ky]
                    c = block[y, x + 2, ky]
                    d = block[y, x + 3, ky]
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
def add_squares(block, swap, out):  # type: ignore[no-untyped-def]
    """Add the square of every count to ``out[ky, kx]``."""
    kind = out.dtype.type
    for y in range(block.shape[0]):
        for x in range(block.shape[1]):
            for ky in range(block.shape[2]):
                sums = out[ky]
                row = block[y, x, ky]
                if swap:
                    for i in range(len(sums)):
                        value = kind(_turned(np.uint32(row[i])))
                        sums[i] += value * value
                else:
                    for i in range(len(sums)):
                        value = kind(row[i])
                        sums[i] += value * value


@numba.njit(nogil=True, cache=True)
def largest_counts(block, swap, out):  # type: ignore[no-untyped-def]
    """Keep the largest count of every detector pixel in ``out[ky, kx]``."""
    kind = out.dtype.type
    for y in range(block.shape[0]):
        for x in range(block.shape[1]):
            for ky in range(block.shape[2]):
                most = out[ky]
                row = block[y, x, ky]
                if swap:
                    for i in range(len(most)):
                        most[i] = max(most[i], kind(_turned(np.uint32(row[i]))))
                else:
                    for i in range(len(most)):
                        most[i] = max(most[i], kind(row[i]))
