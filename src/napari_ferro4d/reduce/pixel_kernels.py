"""Compiled inner loops over single detector pixels and rings of them; see `kernels`."""

from __future__ import annotations

import numpy as np

from .intrinsics import turned
from .kernels import REORDER, compiled


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


@compiled(fastmath=REORDER)
def cleaned_moments(  # type: ignore[no-untyped-def]
    flat, layout, swap, weights, first, last, background, threshold, out
):
    """Sum cleaned counts, and those times row and column index: ``[y, x, 3]``.

    A count loses its ``background[ky, kx]``, is left out if it is then below `threshold`, and is
    multiplied by ``weights[ky, kx]``. Of row ``ky`` columns from ``first[ky]`` to ``last[ky]``
    are read. NaN is not below anything, so it shows in the sums.
    """
    ny, nx, nky, _nkx, origin, down_step, right_step, row_step = layout
    for y in range(ny):
        for x in range(nx):
            total = 0.0
            down = 0.0
            across = 0.0
            for k in range(nky):
                ky = k if row_step > 0 else nky - 1 - k
                left = first[ky]
                start = origin + y * down_step + x * right_step + ky * row_step
                row = flat[start + left : start + last[ky]]
                weight = weights[ky, left : last[ky]]
                under = background[ky, left : last[ky]]
                sums = 0.0
                moment = 0.0
                for i in range(len(row)):
                    raw = turned(np.uint16(row[i])) if swap else row[i]
                    value = np.float64(raw) - under[i]
                    value = 0.0 if value < threshold or weight[i] == 0 else value * weight[i]
                    sums += value
                    moment += value * np.float64(i)
                total += sums
                down += sums * np.float64(ky)
                across += moment + sums * np.float64(left)
            out[y, x, 0] = total
            out[y, x, 1] = down
            out[y, x, 2] = across
