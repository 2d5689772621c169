"""Convolutions from and to images of one channel, and their gradients, in compiled loops.

The kernel may have any odd side. For a line of the image the neighbours of every pixel are copied
side by side; with these as a matrix, the convolution is a product.
"""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np
import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from .image_parts import array, in_parts, pixels
from .layer_memory import Memory
from .vectors import WIDTH, product

__all__ = ["COLUMNS", "narrow", "widen"]

COLUMNS = 4
"""Pixels of a line that are worked on together; lines are a multiple of them."""

_ROWS = 6
_multiply = product(COLUMNS, accumulate=False)
_add_product = product(_ROWS, accumulate=True)

compiled = functools.partial(numba.njit, nogil=True, cache=True, _nrt=False)


def widen(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    memory: Memory,
    frame: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> torch.Tensor:
    """Convolve images of one channel with kernels ``[c_out, 1, side, side]``.

    Lines must be multiples of 4 pixels and `c_out` of 16.

    `frame` replaces the outermost pixels of the result: ``[2 * n, c_out, 2 * margin, x]`` with the
    upper ends of all images and then the lower ones, and ``[2 * n, c_out, y, 2 * margin]`` with the
    left and the right ones. Of every end only the outer half counts.
    """
    return _Widen.apply(x, weight, bias, memory, *(frame or (None, None)))  # type: ignore[no-any-return, no-untyped-call]


def narrow(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, memory: Memory
) -> torch.Tensor:
    """Convolve to images of one channel with kernels ``[1, c_in, 3, 3]``; sizes as in `widen`."""
    return _Narrow.apply(x, weight, bias, memory)  # type: ignore[no-any-return, no-untyped-call]


class _Widen(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        memory: Memory,
        rows: torch.Tensor | None,
        columns: torch.Tensor | None,
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.margin, ctx.memory = 0, memory
        out = _widened(x, weight, bias, memory)
        if rows is not None and columns is not None:
            ctx.margin = rows.shape[2] // 2
            ends = _ends(pixels(rows), pixels(columns), ctx.margin)
            for part, values in zip(_frame(pixels(out), ctx.margin), ends, strict=True):
                part[...] = values
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: torch.Tensor) -> Any:
        x, weight = ctx.saved_tensors
        slope = slope.contiguous(memory_format=torch.channels_last)
        n, channels, ny, nx = slope.shape
        of_x = of_rows = of_columns = None
        if margin := ctx.margin:
            kind = pixels(slope).dtype
            of_rows = ctx.memory.image(2 * n, channels, 2 * margin, nx, kind)
            of_columns = ctx.memory.image(2 * n, channels, ny, 2 * margin, kind)
            pixels(of_rows)[...] = 0
            pixels(of_columns)[...] = 0
            ends = _ends(pixels(of_rows), pixels(of_columns), margin)
            for part, values in zip(ends, _frame(pixels(slope), margin), strict=True):
                part[...] = values
        of_weight, of_bias = _correlated(x, slope, weight.shape[2], margin)
        if ctx.needs_input_grad[0]:
            inside = slope.clone()
            for part in _frame(pixels(inside), margin):
                part[...] = 0
            of_x = _narrowed(inside, weight)
        return of_x, of_weight, of_bias, None, of_rows, of_columns


class _Narrow(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, memory: Memory
    ) -> torch.Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, weight)
        ctx.memory = memory
        return _narrowed(x, _turned(weight)) + bias

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: torch.Tensor) -> Any:
        x, weight = ctx.saved_tensors
        of_weight, _ = _correlated(slope, x, weight.shape[2])
        none = x.new_zeros(x.shape[1])
        of_x = _widened(slope, _turned(weight), none, ctx.memory)
        return of_x, _turned(of_weight), slope.sum().reshape(1), None


def _turned(weight: torch.Tensor) -> torch.Tensor:
    """Return the kernels from one channel that are the transpose of those to one, or back."""
    return weight.flip(2, 3).transpose(0, 1)


def _frame(image: np.ndarray, margin: int) -> tuple[np.ndarray, ...]:
    """Return the first and last `margin` rows, and of those between the first and last columns."""
    rows, columns = image.shape[1] - margin, image.shape[2] - margin
    between = image[:, margin:rows]
    return image[:, :margin], image[:, rows:], between[:, :, :margin], between[:, :, columns:]


def _ends(rows: np.ndarray, columns: np.ndarray, margin: int) -> tuple[np.ndarray, ...]:
    """Return the same of the ends that `widen` takes."""
    n, between = len(rows) // 2, columns[:, margin : columns.shape[1] - margin]
    return rows[:n, :margin], rows[n:, margin:], between[:n, :, :margin], between[n:, :, margin:]


def _widened(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, memory: Memory
) -> torch.Tensor:
    n, _, ny, nx = x.shape
    c_out, side = weight.shape[0], weight.shape[2]
    out = memory.image(n, c_out, ny, nx, array(bias).dtype)
    # The bias is the weight of a neighbour that is 1 everywhere.
    kernel = np.vstack([array(weight).reshape(c_out, -1).T, array(bias)])
    values = np.ascontiguousarray(kernel.reshape(-1, c_out // WIDTH, WIDTH).swapaxes(0, 1))
    padded, result = _padded(x, side), pixels(out)

    def work(first: int, last: int) -> None:
        columns = _columns(side, nx, values.dtype)
        _widen(padded, values, side, first, last, columns, result)

    in_parts(work, n * ny, 8, each=4)
    return out


def _correlated(
    x: torch.Tensor, slope: torch.Tensor, side: int, margin: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the gradients of kernels and offsets from `slope` but for its outermost pixels."""
    padded, slopes = _padded(x, side), pixels(slope)
    n, ny, nx, c_out = slopes.shape

    def work(first: int, last: int) -> np.ndarray:
        columns = _columns(side, nx, slopes.dtype)
        sums = np.zeros((len(columns), c_out), slopes.dtype)
        _correlate(padded, slopes, side, margin, first, last, columns, sums)
        return sums

    sums = torch.from_numpy(sum(in_parts(work, n * ny, 8)))
    of_weight = sums[: side**2].T.reshape(c_out, 1, side, side)
    return of_weight, sums[side**2].clone()


def _narrowed(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return images of one channel, to which every pixel gives its neighbours a share."""
    side = weight.shape[2]
    shares = torch.matmul(weight.reshape(len(weight), -1).T, x.permute(0, 2, 3, 1).flatten(1, 2).mT)
    return F.fold(shares, x.shape[2:], side, padding=side // 2)


def _padded(x: torch.Tensor, side: int) -> np.ndarray:
    """Return ``[n, y, x]`` with zeros around, as far as kernels reach."""
    around = (side // 2, side // 2)
    return np.pad(array(x)[:, 0], ((0, 0), around, around))


def _columns(side: int, nx: int, dtype: np.dtype[Any]) -> np.ndarray:
    """Return space for the neighbours of a line, one row for each and one that is 1."""
    rows = -(-(side**2 + 1) // _ROWS) * _ROWS
    # Lines a power of two apart would share a few places of a core's first cache.
    columns = np.zeros((rows, nx + WIDTH), dtype)
    columns[side**2] = 1
    return columns


@compiled()
def _neighbours(padded, line, side, out):  # type: ignore[no-untyped-def]
    """Write the neighbours of the pixels of a line of all images, one row for each."""
    ny, nx = padded.shape[1] - side + 1, padded.shape[2] - side + 1
    for i in range(side):
        for j in range(side):
            for c in range(nx):
                out[i * side + j, c] = padded[line // ny, line % ny + i, c + j]


@compiled()
def _widen(padded, kernel, side, first, last, columns, out):  # type: ignore[no-untyped-def]
    """Convolve the lines from `first` to `last` of all images.

    Parameters
    ----------
    padded, columns : array
        From `_padded` and `_columns`.
    kernel : array
        ``[c_out / 16, side**2 + 1, 16]``, the last row an offset.
    out : array
        ``[n, y, x, c_out]``.
    """
    nx, c_out = out.shape[2:]
    depth = side * side + 1
    for line in range(first, last):
        _neighbours(padded, line, side, columns)
        for p in range(0, nx, COLUMNS):
            for block in range(c_out // WIDTH):
                _multiply(
                    columns, p, 1, columns.shape[1],
                    kernel, block * depth * WIDTH, WIDTH, depth,
                    out, (line * nx + p) * c_out + block * WIDTH, c_out,
                )  # fmt: skip


@compiled()
def _correlate(padded, slope, side, margin, first, last, columns, out):  # type: ignore[no-untyped-def]
    """Add the gradients from the lines from `first` to `last`, but for `margin` pixels at the edge.

    Parameters
    ----------
    padded, columns
        As for `_widen`.
    slope : array
        ``[n, y, x, c_out]``.
    out : array
        ``[rows of columns, c_out]``.
    """
    ny, nx, c_out = slope.shape[1:]
    for line in range(first, last):
        # The product reads one pixel at least, so there has to be one between the margins.
        if not margin <= line % ny < ny - margin or nx <= 2 * margin:
            continue
        _neighbours(padded, line, side, columns)
        for row in range(0, columns.shape[0], _ROWS):
            for block in range(0, c_out, WIDTH):
                _add_product(
                    columns, row * columns.shape[1] + margin, columns.shape[1], 1,
                    slope, (line * nx + margin) * c_out + block, c_out, nx - 2 * margin,
                    out, row * c_out + block, c_out,
                )  # fmt: skip
