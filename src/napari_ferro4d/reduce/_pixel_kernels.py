"""Compiled inner loops over single detector pixels and rings of them; see `_kernels.py`."""

from __future__ import annotations

import numpy as np

from ._intrinsics import turned
from ._kernels import compiled


@compiled()
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
                        value = kind(turned(np.uint16(row[i])))
                        sums[i] += value * value
                else:
                    for i in range(len(sums)):
                        value = kind(row[i])
                        sums[i] += value * value


@compiled()
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
                        most[i] = max(most[i], kind(turned(np.uint16(row[i]))))
                else:
                    for i in range(len(most)):
                        most[i] = max(most[i], kind(row[i]))


@compiled()
def ring_sums(flat, layout, swap, rings, work, out):  # type: ignore[no-untyped-def]
    """Sum counts over rings of detector pixels: ``out[y, x, ring]``, ``rings[ky, kx]`` says which.

    `work` holds the sums ``[ring]`` of one pattern, in the accumulator's type.
    """
    ny, nx, nky, nkx, origin, down_step, right_step, row_step = layout
    kind = work.dtype.type
    for y in range(ny):
        for x in range(nx):
            work[:] = kind(0)
            for k in range(nky):
                ky = k if row_step > 0 else nky - 1 - k
                start = origin + y * down_step + x * right_step + ky * row_step
                row = flat[start : start + nkx]
                ring = rings[ky]
                if swap:
                    for i in range(len(row)):
                        work[ring[i]] += kind(turned(np.uint16(row[i])))
                else:
                    for i in range(len(row)):
                        work[ring[i]] += kind(row[i])
            for r in range(len(work)):
                out[y, x, r] = work[r]
