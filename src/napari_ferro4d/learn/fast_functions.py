"""The layers of the paper's network, and their gradients, in compiled loops for CPUs.

Images are tensors ``[n, channel, y, x]``, channels last in memory. Everything is float32, or
float64 where gradients are checked. With as many threads, results are the same bit by bit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from . import fast_loops as loops
from . import fast_winograd as winograd
from .fast_memory import Memory
from .fast_vectors import WIDTH

__all__ = ["convolve", "max_pool", "narrow", "norm_relu", "upsample", "widen"]


def convolve(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, memory: Memory
) -> torch.Tensor:
    """Convolve with kernels ``[c_out, c_in, 3, 3]``; the image is continued by zeros.

    Sides must be multiples of 4 and channels of 16.
    """
    return _Convolve.apply(x, weight, bias, memory)  # type: ignore[no-any-return, no-untyped-call]


def norm_relu(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    skip: torch.Tensor | None,
    eps: float,
    memory: Memory,
) -> torch.Tensor:
    """Normalise every channel over the image, times `weight` plus `bias` ``[y, x]``; ReLU; `skip`.

    `skip` is added last, or None.
    """
    return _NormRelu.apply(x, weight, bias, skip, eps, memory)  # type: ignore[no-any-return, no-untyped-call]


def max_pool(x: torch.Tensor, side: int, memory: Memory) -> torch.Tensor:
    """Return the largest value of every square of `side` pixels."""
    return _MaxPool.apply(x, side, memory)  # type: ignore[no-any-return, no-untyped-call]


def upsample(x: torch.Tensor, scale: int, memory: Memory) -> torch.Tensor:
    """Interpolate to `scale` times as many pixels per axis, bilinear, corners aligned."""
    return _Upsample.apply(x, scale, memory)  # type: ignore[no-any-return, no-untyped-call]


def widen(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, memory: Memory
) -> torch.Tensor:
    """Convolve images of one channel with kernels ``[c_out, 1, 3, 3]``."""
    return _Widen.apply(x, weight, bias, memory)  # type: ignore[no-any-return, no-untyped-call]


def narrow(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, memory: Memory
) -> torch.Tensor:
    """Convolve to images of one channel with kernels ``[1, c_in, 3, 3]``."""
    return _Narrow.apply(x, weight, bias, memory)  # type: ignore[no-any-return, no-untyped-call]


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, memory: Memory
    ) -> torch.Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, weight)
        ctx.memory = memory
        return _convolved(x, weight, bias, memory)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: torch.Tensor) -> Any:
        x, weight = ctx.saved_tensors
        slope = slope.contiguous(memory_format=torch.channels_last)
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            of_weight, of_bias = _correlated(x, slope, ctx.memory)
        if ctx.needs_input_grad[0]:
            back = weight.flip(2, 3).transpose(0, 1)
            of_x = _convolved(slope, back, slope.new_zeros(len(back)), ctx.memory)
        return of_x, of_weight, of_bias, None


def _convolved(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, memory: Memory
) -> torch.Tensor:
    image, offset = _pixels(x), _array(bias)
    n, ny, nx, channels = image.shape
    points, group, kind = winograd.POINTS, winograd.GROUP, image.dtype
    kernel = memory.array((len(bias) // WIDTH, points**2, channels, WIDTH), kind)
    winograd.transform_kernel(_array(weight.permute(2, 3, 1, 0).contiguous()), kernel)
    out = memory.image(n, len(bias), ny, nx, kind)
    result = _pixels(out)

    def work(first: int, last: int) -> None:
        edge = memory.array((1, points, points, channels), kind)
        values = memory.array((points**2, group, channels), kind)
        sums = memory.array((points**2, group, WIDTH), kind)
        winograd.convolve(image, kernel, offset, first, last, edge, values, sums, result)

    _in_parts(work, n * ny * nx // winograd.TILE**2, group, each=8)
    return out


def _correlated(
    x: torch.Tensor, slope: torch.Tensor, memory: Memory
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the gradients of kernels and offsets."""
    image, slopes = _pixels(x), _pixels(slope)
    n, ny, nx, channels = image.shape
    c_out = slopes.shape[3]
    points, group, kind = winograd.POINTS, winograd.GROUP, image.dtype

    def work(first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        edge = memory.array((1, points, points, channels), kind)
        values = memory.array((points**2, group, channels), kind)
        spread = memory.array((points**2, group, c_out), kind)
        sums, total = memory.array((points**2, channels, c_out), kind), np.zeros(c_out, kind)
        sums[:] = 0
        winograd.correlate(image, slopes, first, last, edge, values, spread, sums, total)
        return sums, total

    (sums, total), *others = _in_parts(work, n * ny * nx // winograd.TILE**2, group)
    for more, more_total in others:
        sums += more
        total += more_total
    of_weight = np.empty((3, 3, channels, c_out), kind)
    winograd.transform_kernel_back(sums, of_weight)
    return torch.from_numpy(of_weight).permute(3, 2, 0, 1), torch.from_numpy(total)


class _NormRelu(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        skip: torch.Tensor | None,
        eps: float,
        memory: Memory,
    ) -> torch.Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        if skip is not None:
            skip = skip.contiguous(memory_format=torch.channels_last)
        n, channels, ny, nx = x.shape
        images, size = _pixels(x).reshape(n, ny * nx, channels), ny * nx
        mean, scale = np.empty((2, n, channels), images.dtype)
        out = memory.image(n, channels, ny, nx, images.dtype)
        results = _pixels(out).reshape(images.shape)
        skips = None if skip is None else _pixels(skip).reshape(images.shape)
        w, b = _array(weight).ravel(), _array(bias).ravel()
        for i, image in enumerate(images):

            def add(first: int, last: int, image: np.ndarray = image) -> np.ndarray:
                moments = np.zeros((2, channels))
                loops.add_moments(image, first, last, moments)
                return moments

            first, second = sum(_in_parts(add, size)) / size
            mean[i] = first
            scale[i] = 1 / np.sqrt(np.maximum(second - first**2, 0) + eps)

            def write(first: int, last: int, i: int = i, image: np.ndarray = image) -> None:
                more = None if skips is None else skips[i]
                loops.norm_relu(image, mean[i], scale[i], w, b, more, first, last, results[i])

            _in_parts(write, size, each=8)
        ctx.save_for_backward(x, weight, bias)
        ctx.mean, ctx.scale, ctx.memory = mean, scale, memory
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: torch.Tensor) -> Any:
        x, weight, bias = ctx.saved_tensors
        slope = slope.contiguous(memory_format=torch.channels_last)
        n, channels, ny, nx = x.shape
        size = ny * nx
        images = _pixels(x).reshape(n, size, channels)
        slopes = _pixels(slope).reshape(images.shape)
        out = ctx.memory.image(n, channels, ny, nx, images.dtype)
        results = _pixels(out).reshape(images.shape)
        w, b = _array(weight).ravel(), _array(bias).ravel()
        of_weight, of_bias = np.zeros((2, size), images.dtype)
        for i in range(n):
            known = (images[i], ctx.mean[i], ctx.scale[i], w, b, slopes[i])

            def add(first: int, last: int, known: Any = known) -> np.ndarray:
                sums = np.zeros((2, channels))
                loops.add_slopes(*known, first, last, sums, of_weight, of_bias)
                return sums

            means = (sum(_in_parts(add, size)) / size).astype(images.dtype)

            def write(
                first: int, last: int, i: int = i, known: Any = known, means: Any = means
            ) -> None:
                loops.norm_slope(*known, means, first, last, results[i])

            _in_parts(write, size, each=8)
        shape = (ny, nx)
        of_weight, of_bias = (torch.from_numpy(a.reshape(shape)) for a in (of_weight, of_bias))
        return out, of_weight, of_bias, slope if ctx.needs_input_grad[3] else None, None, None


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, side: int, memory: Memory) -> torch.Tensor:
        image = _pixels(x.contiguous(memory_format=torch.channels_last))
        n, ny, nx, channels = image.shape
        out = memory.image(n, channels, ny // side, nx // side, image.dtype)
        result = _pixels(out)
        where = memory.array(result.shape, np.dtype(np.uint8))

        def work(first: int, last: int) -> None:
            loops.pool(image, side, first, last, result, where)

        _in_parts(work, n * ny // side)
        ctx.side, ctx.where, ctx.memory = side, where, memory
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: torch.Tensor) -> Any:
        slopes = _pixels(slope.contiguous(memory_format=torch.channels_last))
        n, ny, nx, channels = slopes.shape
        side = ctx.side
        out = ctx.memory.image(n, channels, ny * side, nx * side, slopes.dtype)
        result = _pixels(out)

        def work(first: int, last: int) -> None:
            loops.pool_slope(slopes, ctx.where, side, first, last, result)

        _in_parts(work, n * ny)
        return out, None, None


class _Upsample(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, scale: int, memory: Memory) -> torch.Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        n, channels, ny, nx = x.shape
        ctx.shape, ctx.size, ctx.memory = x.shape, [ny * scale, nx * scale], memory
        out = memory.image(n, channels, ny * scale, nx * scale, _pixels(x).dtype)
        torch.ops.aten.upsample_bilinear2d.out(x, ctx.size, True, None, None, out=out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: torch.Tensor) -> Any:
        slope = slope.contiguous(memory_format=torch.channels_last)
        n, channels, ny, nx = ctx.shape
        out = ctx.memory.image(n, channels, ny, nx, _pixels(slope).dtype)
        back = torch.ops.aten.upsample_bilinear2d_backward.grad_input
        back(slope, ctx.size, ctx.shape, True, None, None, grad_input=out)
        return out, None, None


# A convolution from or to one channel is a product of matrices: that of the nine neighbours of
# every pixel, and the kernels.


class _Widen(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, memory: Memory
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        return _from_neighbours(x, weight.reshape(-1, 9), bias, memory)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: torch.Tensor) -> Any:
        x, weight = ctx.saved_tensors
        slopes = _flat(slope)
        of_weight = torch.matmul(_neighbours(x), slopes).sum(0).T.reshape(weight.shape)
        of_x = _to_neighbours(slopes, weight.reshape(-1, 9), x) if ctx.needs_input_grad[0] else None
        return of_x, of_weight, slopes.sum((0, 1)), None


class _Narrow(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, memory: Memory
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.memory = memory
        return _to_neighbours(_flat(x), weight.flip(2, 3).reshape(-1, 9), x[:, :1]) + bias

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: torch.Tensor) -> Any:
        x, weight = ctx.saved_tensors
        of_weight = torch.matmul(_neighbours(slope), _flat(x)).sum(0).T.reshape(weight.shape)
        back, none = weight.flip(2, 3).reshape(-1, 9), x.new_zeros(x.shape[1])
        of_x = _from_neighbours(slope, back, none, ctx.memory) if ctx.needs_input_grad[0] else None
        return of_x, of_weight.flip(2, 3), slope.sum().reshape(1), None


def _neighbours(x: torch.Tensor) -> torch.Tensor:
    """Return ``[n, 9, pixel]`` of images of one channel."""
    return F.unfold(x, 3, padding=1)


def _from_neighbours(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, memory: Memory
) -> torch.Tensor:
    """Return images, every channel the sum of the neighbours times ``weight[channel, 9]``."""
    n, _, ny, nx = x.shape
    out = memory.image(n, len(weight), ny, nx, _array(bias).dtype)
    columns, offset = _neighbours(x).transpose(1, 2), bias.expand(1, 1, -1)
    torch.baddbmm(offset, columns, weight.T.expand(n, 9, -1), out=_flat(out))
    return out


def _to_neighbours(pixels: torch.Tensor, weight: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return images of one channel, to which every pixel gives its nine neighbours a share."""
    shares = torch.matmul(weight.T, pixels.transpose(1, 2))
    return F.fold(shares, like.shape[2:], 3, padding=1)


def _flat(x: torch.Tensor) -> torch.Tensor:
    """Return an image as ``[n, pixel, channel]``."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def _pixels(x: torch.Tensor) -> np.ndarray:
    """Return a channels-last image as an array ``[n, y, x, channel]``, the same memory."""
    return _array(x.permute(0, 2, 3, 1))


def _array(x: torch.Tensor) -> np.ndarray:
    return x.detach().numpy()


@functools.cache
def _workers(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "ferro4d-layers")


def _in_parts(
    work: Callable[[int, int], Any], count: int, least: int = 256, *, each: int = 1
) -> list[Any]:
    """Return ``work(first, last)`` of parts of `count`, computed with as many threads as torch has.

    Parameters
    ----------
    work : callable
        What to do for a part.
    count, least : int
        Of what, and how many are worth a thread.
    each : int
        Parts per thread. More keep all busy where a core is taken away for a while; sums, which
        depend on the parts, have one.
    """
    threads = max(1, min(torch.get_num_threads(), count // least))
    if threads == 1:
        return [work(0, count)]
    parts = min(threads * each, count // least)
    ends = [count * i // parts for i in range(parts + 1)]
    return list(_workers(threads).map(work, ends[:-1], ends[1:]))
