"""Compiled inner loops: each pattern is read once, sums of integers stay integers.

The accumulator's type comes in with an array of it, so one source serves all: 32 bits where they
cannot overflow (they add twice as fast), 64 bits otherwise, float64 for floats. Rows are sliced
before they are looped over: indices that start at zero need no bounds logic, and the loops become
vector code.
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


@numba.njit(nogil=True, cache=True, fastmath=_REORDER)
def moments(block, first, last, columns, out):  # type: ignore[no-untyped-def]
    """Sum counts, and counts times row and column index, over the spans of a convex mask.

    Parameters
    ----------
    block : array
        Patterns ``[y, x, ky, kx]``.
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
def sum_runs(block, runs, columns, out):  # type: ignore[no-untyped-def]
    """Sum counts over runs ``(ky, first kx, last kx)`` of detector pixels; touches no others."""
    kind = columns.dtype.type
    for y in range(block.shape[0]):
        for x in range(block.shape[1]):
            pattern = block[y, x]
            total = 0.0
            for r in range(runs.shape[0]):
                part = pattern[runs[r, 0], runs[r, 1] : runs[r, 2]]
                row = kind(0)
                for i in range(len(part)):
                    row += kind(part[i])
                total += row
            out[y, x] = total


@numba.njit(nogil=True, cache=True, fastmath=_REORDER)
def sum_weighted(block, runs, weights, out):  # type: ignore[no-untyped-def]
    """Sum counts times ``weights[ky, kx]`` over runs of detector pixels."""
    for y in range(block.shape[0]):
        for x in range(block.shape[1]):
            pattern = block[y, x]
            total = 0.0
            for r in range(runs.shape[0]):
                part = pattern[runs[r, 0], runs[r, 1] : runs[r, 2]]
                weight = weights[runs[r, 0], runs[r, 1] : runs[r, 2]]
                for i in range(len(part)):
                    total += part[i] * weight[i]
            out[y, x] = total


@numba.njit(nogil=True, cache=True)
def add_patterns(block, chosen, out):  # type: ignore[no-untyped-def]
    """Add every chosen pattern ``[y, x]`` to ``out[ky, kx]``."""
    for y in range(block.shape[0]):
        for x in range(block.shape[1]):
            if chosen[y, x]:
                pattern = block[y, x]
                for ky in range(pattern.shape[0]):
                    row = pattern[ky]
                    sums = out[ky]
                    for i in range(len(row)):
                        sums[i] += row[i]
