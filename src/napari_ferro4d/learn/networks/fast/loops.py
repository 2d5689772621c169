"""Compiled loops for what follows a convolution: norm over the image, ReLU and skip; pooling.

Images are ``[pixel, channel]``: in the paper's network weight and offset of the norm belong to the
pixels, mean and variance to the channels.
"""

from __future__ import annotations

import functools

import numba

from napari_ferro4d.reduce import REORDER

__all__ = ["add_moments", "add_slopes", "norm_relu", "norm_slope", "pool", "pool_slope"]

compiled = functools.partial(numba.njit, nogil=True, cache=True, _nrt=False)


@compiled()
def add_moments(x, first, last, out):  # type: ignore[no-untyped-def]
    """Add sum and sum of squares of every channel to float64 ``out[2, channel]``."""
    for p in range(first, last):
        for c in range(x.shape[1]):
            value = float(x[p, c])
            out[0, c] += value
            out[1, c] += value * value


@compiled()
def norm_relu(x, mean, scale, weight, offset, skip, first, last, out):  # type: ignore[no-untyped-def]
    """Write ``max(0, (x - mean) * scale * weight + offset) + skip``; `skip` may be None."""
    zero = x.dtype.type(0)
    for p in range(first, last):
        w, b = weight[p], offset[p]
        for c in range(x.shape[1]):
            value = (x[p, c] - mean[c]) * scale[c] * w + b
            value = zero if value < zero else value  # NaN stays, unlike with `max`
            if skip is not None:
                value += skip[p, c]
            out[p, c] = value


@compiled(fastmath=REORDER)
def add_slopes(x, mean, scale, weight, offset, slope, first, last, out, of_weight, of_offset):  # type: ignore[no-untyped-def]
    """Reduce the gradient `slope` with respect to the result of `norm_relu`.

    Parameters
    ----------
    out : float64 array
        ``[2, channel]``; the sums over the pixels of gradient times weight, and of that times the
        normalised value, are added to it.
    of_weight, of_offset : array
        ``[pixel]``; the gradients of weight and offset are added to them.
    """
    zero = x.dtype.type(0)
    for p in range(first, last):
        w, b = weight[p], offset[p]
        total = zero
        weighted = zero
        for c in range(x.shape[1]):
            value = (x[p, c] - mean[c]) * scale[c]
            passed = slope[p, c] if value * w + b > zero else zero
            total += passed
            weighted += passed * value
            out[0, c] += passed * w
            out[1, c] += passed * w * value
        of_weight[p] += weighted
        of_offset[p] += total


@compiled()
def norm_slope(x, mean, scale, weight, offset, slope, means, first, last, out):  # type: ignore[no-untyped-def]
    """Write the gradient with respect to `x`; `means` are the sums of `add_slopes` per pixel."""
    zero = x.dtype.type(0)
    for p in range(first, last):
        w, b = weight[p], offset[p]
        for c in range(x.shape[1]):
            value = (x[p, c] - mean[c]) * scale[c]
            passed = slope[p, c] * w if value * w + b > zero else zero
            out[p, c] = scale[c] * (passed - means[0, c] - value * means[1, c])


@compiled()
def pool(x, side, first, last, out, where):  # type: ignore[no-untyped-def]
    """Write the largest value of every square and its place in the square.

    Parameters
    ----------
    x : array
        ``[n, y, x, channel]``.
    side : int
        Of the squares.
    first, last : int
        Rows of the results of all images.
    out, where : array
        ``[n, y / side, x / side, channel]``; `where` is int32, as wide as single precision: of
        narrower ones compilers do not work on several at a time.
    """
    rows, columns, channels = out.shape[1:]
    for line in range(first, last):
        n, i = line // rows, line % rows
        for j in range(columns):
            for c in range(channels):
                out[n, i, j, c] = x[n, i * side, j * side, c]
                where[n, i, j, c] = 0
            for place in range(1, side * side):
                y, z = i * side + place // side, j * side + place % side
                for c in range(channels):
                    # Written in any case: without a branch, many channels at a time.
                    value, best = x[n, y, z, c], out[n, i, j, c]
                    larger = (value > best) | (value != value)
                    out[n, i, j, c] = value if larger else best
                    where[n, i, j, c] = place if larger else where[n, i, j, c]


@compiled()
def pool_slope(slope, where, side, first, last, out):  # type: ignore[no-untyped-def]
    """Write the gradient with respect to the `x` of `pool`."""
    rows = slope.shape[1]
    zero = slope.dtype.type(0)
    for line in range(first, last):
        n, i = line // rows, line % rows
        for j in range(slope.shape[2]):
            for place in range(side * side):
                y, z = i * side + place // side, j * side + place % side
                for c in range(slope.shape[3]):
                    chosen = where[n, i, j, c] == place
                    out[n, y, z, c] = slope[n, i, j, c] if chosen else zero
