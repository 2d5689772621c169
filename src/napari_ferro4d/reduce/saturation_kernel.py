"""Compiled inner loop: how many counts of a pattern reach a level."""

from __future__ import annotations

import numba
import numpy as np

from .intrinsics import turned


@numba.njit(nogil=True, cache=True)
def count_from(flat, layout, swap, window, holes, least, out):  # type: ignore[no-untyped-def]
    """Count the detector pixels of every pattern whose count is ``least[0]`` or more.

    Parameters
    ----------
    flat, layout, swap
        Patterns; see `kernels`.
    window : tuple of int
        Rows and columns to look at: first row, last row, first column, last column.
    holes : int64 array
        ``[n, (ky, kx)]``: pixels of the window that do not count.
    least : array
        One number of the counts' own type.
    out : float64 array
        ``[y, x]``.
    """
    ny, nx, _nky, _nkx, origin, down_step, right_step, row_step = layout
    level = least[0]
    wanted = np.uint16(level)
    first, last, left, right = window
    for y in range(ny):
        for x in range(nx):
            start = origin + y * down_step + x * right_step
            total = 0
            for k in range(last - first):
                ky = first + k if row_step > 0 else last - 1 - k
                row_start = start + ky * row_step
                part = flat[row_start + left : row_start + right]
                row = np.uint32(0)
                if swap:
                    for i in range(len(part)):
                        row += np.uint32(turned(np.uint16(part[i])) >= wanted)
                else:
                    for i in range(len(part)):
                        row += np.uint32(part[i] >= level)
                total += int(row)
            for n in range(len(holes)):
                hole = flat[start + holes[n, 0] * row_step + holes[n, 1]]
                if swap:
                    total -= turned(np.uint16(hole)) >= wanted
                else:
                    total -= hole >= level
            out[y, x] = total
