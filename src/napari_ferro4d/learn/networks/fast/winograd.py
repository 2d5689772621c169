"""Convolutions 3 x 3 with a quarter of the multiplications.

Winograd's minimal filtering F(4 x 4, 3 x 3): input and kernel are polynomials; of their product the
values at six points are enough for four coefficients. Squares of 6 x 6 input pixels and the kernels
are transformed to values at 6 x 6 points; there a convolution is a product of numbers, summed over
the channels, in place of nine; and squares of 4 x 4 output pixels are transformed back.

The points are 0, ±√½, ±√2 and infinity, which lose less precision than the usual 0, ±1, ±2 and
infinity: 1.1e-6 of the result's standard deviation at 128 channels in single precision, where the
sum of products itself loses 2e-7.

References
----------
Lavin & Gray, CVPR 2016, doi:10.1109/CVPR.2016.435 (the method, and its gradients by transposition);
Barabasz et al., ACM Trans. Math. Softw. 46, 37 (2020), doi:10.1145/3412380 (precision).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numba

from .vectors import WIDTH, product, transform

__all__ = [
    "GROUP",
    "POINTS",
    "TILE",
    "convolve",
    "correlate",
    "from_points",
    "kernel_from_points",
    "kernel_to_points",
    "to_points",
    "transform_kernel",
    "transform_kernel_back",
]

POINTS, TILE = 6, 4
"""Points along each axis, and output pixels."""

GROUP = 24
"""Tiles worked on together: their values at the 36 points stay in a core's own cache."""

_A, _B = math.sqrt(0.5), math.sqrt(2.0)


def to_points(x: Sequence[Any]) -> list[Any]:
    """Return the values at the six points of six neighbouring pixels."""
    even_a, odd_a = x[4] - 2.0 * x[2], _A * (x[3] - 2.0 * x[1])
    even_b, odd_b = x[4] - 0.5 * x[2], _B * (x[3] - 0.5 * x[1])
    first, last = x[4] - 2.5 * x[2] + x[0], x[5] - 2.5 * x[3] + x[1]
    return [first, even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, last]


def from_points(v: Sequence[Any]) -> list[Any]:
    """Return four pixels of the result from its values at the six points."""
    sum_a, difference_a = v[1] + v[2], v[1] - v[2]
    sum_b, difference_b = v[3] + v[4], v[3] - v[4]
    return [
        v[0] + sum_a + sum_b,
        _A * difference_a + _B * difference_b,
        0.5 * sum_a + 2.0 * sum_b,
        0.5 * _A * difference_a + 2.0 * _B * difference_b + v[5],
    ]


def spread(y: Sequence[Any]) -> list[Any]:
    """Transpose of `from_points`, for gradients with respect to its result."""
    even_a, odd_a = y[0] + 0.5 * y[2], _A * (y[1] + 0.5 * y[3])
    even_b, odd_b = y[0] + 2.0 * y[2], _B * (y[1] + 2.0 * y[3])
    return [y[0], even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, y[3]]


def kernel_to_points(w: Sequence[Any]) -> list[Any]:
    """Return the values at the six points of three neighbouring weights."""
    even_a, odd_a = (-2 / 3) * (w[0] + 0.5 * w[2]), (-2 / 3 * _A) * w[1]
    even_b, odd_b = (1 / 6) * (w[0] + 2.0 * w[2]), (1 / 6 * _B) * w[1]
    return [w[0], even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, w[2]]


def kernel_from_points(v: Sequence[Any]) -> list[Any]:
    """Transpose of `kernel_to_points`."""
    sum_a, difference_a = (-2 / 3) * (v[1] + v[2]), (-2 / 3 * _A) * (v[1] - v[2])
    sum_b, difference_b = (1 / 6) * (v[3] + v[4]), (1 / 6 * _B) * (v[3] - v[4])
    return [
        v[0] + sum_a + sum_b,
        difference_a + difference_b,
        v[5] + 0.5 * sum_a + 2.0 * sum_b,
    ]


_to_points = transform(to_points, POINTS)
_from_points = transform(from_points, POINTS, plus="offset")
_spread = transform(spread, TILE, plus="total")
_kernel_to_points = transform(kernel_to_points, 3)
_kernel_from_points = transform(kernel_from_points, POINTS)
_ROWS = 6
_multiply = product(_ROWS, accumulate=False)
_add_product = product(_ROWS, accumulate=True)
_add_product_of_two = product(2, accumulate=True)

# As in `reduce._kernels`: nothing is allocated here, so nothing need be counted.
compiled = functools.partial(numba.njit, nogil=True, cache=True, _nrt=False)


@compiled()
def transform_kernel(weights, out):  # type: ignore[no-untyped-def]
    """Transform kernels ``[3, 3, c_in, c_out]`` to ``[c_out / 16, 36, c_in, 16]``."""
    c_in, c_out = weights.shape[2:]
    for block in range(c_out // WIDTH):
        for c in range(c_in):
            source = c * c_out + block * WIDTH
            target = (block * POINTS**2 * c_in + c) * WIDTH
            right = c_in * WIDTH
            _kernel_to_points(
                weights, source, 3 * c_in * c_out, c_in * c_out,
                out, target, POINTS * right, right, weights, 0,
            )  # fmt: skip


@compiled()
def transform_kernel_back(values, out):  # type: ignore[no-untyped-def]
    """Transform gradients ``[36, c_in, c_out]`` to those of kernels ``[3, 3, c_in, c_out]``."""
    size = values.shape[1] * values.shape[2]
    for at in range(0, size, WIDTH):
        _kernel_from_points(
            values, at, POINTS * size, size, out, at, 3 * size, size, values, 0
        )  # fmt: skip


@compiled()
def _tile_to_points(x, tile, place, edge, out):  # type: ignore[no-untyped-def]
    """Transform tile number `tile` of all images to ``out[:, place]``."""
    ny, nx, channels = x.shape[1:]
    columns = nx // TILE
    rows = ny // TILE
    n = tile // (rows * columns)
    top = tile // columns % rows * TILE - 1
    left = tile % columns * TILE - 1
    right = out.shape[1] * channels
    source, at, row = x, ((n * ny + top) * nx + left) * channels, nx * channels
    if top < 0 or left < 0 or top + POINTS > ny or left + POINTS > nx:
        for i in range(POINTS):
            for j in range(POINTS):
                inside = 0 <= top + i < ny and 0 <= left + j < nx
                for c in range(channels):
                    edge[0, i, j, c] = x[n, top + i, left + j, c] if inside else 0
        source, at, row = edge, 0, POINTS * channels
    for c in range(0, channels, WIDTH):
        _to_points(
            source, at + c, row, channels,
            out, place * channels + c, POINTS * right, right, x, 0,
        )  # fmt: skip


@compiled()
def convolve(x, kernel, offset, first, last, edge, values, sums, out):  # type: ignore[no-untyped-def]
    """Convolve the tiles from `first` to `last` of all images.

    Parameters
    ----------
    x : array
        ``[n, y, x, c_in]``; y and x multiples of 4, taken as 0 outside.
    kernel : array
        From `transform_kernel`.
    offset : array
        ``[c_out]``.
    edge, values, sums : array
        Work space ``[1, 6, 6, c_in]``, ``[36, GROUP, c_in]``, ``[36, GROUP, 16]``.
    out : array
        ``[n, y, x, c_out]``.
    """
    nx, channels = x.shape[2:]
    c_out = out.shape[3]
    columns = nx // TILE
    group = values.shape[1]
    for start in range(first, last, group):
        count = min(group, last - start)
        for t in range(count):
            _tile_to_points(x, start + t, t, edge, values)
        for block in range(c_out // WIDTH):
            for point in range(POINTS**2):
                # Rows beyond `count` hold old values, whose results nobody reads.
                for t in range(0, count, _ROWS):
                    _multiply(
                        values, (point * group + t) * channels, channels, 1,
                        kernel, (block * POINTS**2 + point) * channels * WIDTH, WIDTH, channels,
                        sums, (point * group + t) * WIDTH, WIDTH,
                    )  # fmt: skip
            for t in range(count):
                # Rows of tiles of all images, one below the other.
                line, column = (start + t) // columns, (start + t) % columns
                at = (line * TILE * nx + column * TILE) * c_out + block * WIDTH
                _from_points(
                    sums, t * WIDTH, POINTS * group * WIDTH, group * WIDTH,
                    out, at, nx * c_out, c_out, offset, block * WIDTH,
                )  # fmt: skip


@compiled()
def correlate(x, slope, first, last, edge, values, slopes, out, total):  # type: ignore[no-untyped-def]
    """Add the gradients of kernel and offset from the tiles from `first` to `last`.

    Parameters
    ----------
    x, first, last, edge, values
        As for `convolve`.
    slope : array
        Gradient ``[n, y, x, c_out]`` with respect to the result of `convolve`.
    slopes : array
        Work space ``[36, GROUP, c_out]``.
    out, total : array
        Gradients ``[36, c_in, c_out]``, to be transformed by `transform_kernel_back`, and
        ``[c_out]``; added to.
    """
    nx, channels = x.shape[2:]
    c_out = slope.shape[3]
    columns = nx // TILE
    group = values.shape[1]
    for start in range(first, last, group):
        count = min(group, last - start)
        for t in range(count):
            _tile_to_points(x, start + t, t, edge, values)
            line, column = (start + t) // columns, (start + t) % columns
            at = (line * TILE * nx + column * TILE) * c_out
            for c in range(0, c_out, WIDTH):
                _spread(
                    slope, at + c, nx * c_out, c_out,
                    slopes, t * c_out + c, POINTS * group * c_out, group * c_out, total, c,
                )  # fmt: skip
        for point in range(POINTS**2):
            a = point * group * channels
            b = point * group * c_out
            c = point * channels * c_out
            for row in range(0, channels - _ROWS + 1, _ROWS):
                for block in range(0, c_out, WIDTH):
                    _add_product(
                        values, a + row, 1, channels, slopes, b + block, c_out, count,
                        out, c + row * c_out + block, c_out,
                    )  # fmt: skip
            for row in range(channels // _ROWS * _ROWS, channels, 2):
                for block in range(0, c_out, WIDTH):
                    _add_product_of_two(
                        values, a + row, 1, channels, slopes, b + block, c_out, count,
                        out, c + row * c_out + block, c_out,
                    )  # fmt: skip
