"""The layers of the paper's network, and their gradients, in compiled loops for CPUs.

Images are tensors ``[n, channel, y, x]``, channels last in memory. Everything is float32, or
float64 where gradients are checked. With as many threads, results are the same bit by bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from . import loops as loops
from . import winograd as winograd
from .image_parts import array, in_parts, pixels
from .layer_memory import Memory
from .vectors import WIDTH

__all__ = ["convolve", "max_pool", "norm_relu", "upsample"]


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


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, memory: Memory
    ) -> torch.Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, weight)
        ctx.memory = memory
        return _convolved(x, array(weight), array(bias), memory)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: torch.Tensor) -> Any:
        x, weight = ctx.saved_tensors
        slope = slope.contiguous(memory_format=torch.channels_last)
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            of_weight = torch.empty_like(weight)
            of_bias = _correlated(x, slope, ctx.memory, array(of_weight))
        if ctx.needs_input_grad[0]:
            back = array(weight)[:, :, ::-1, ::-1].swapaxes(0, 1)
            of_x = _convolved(slope, back, np.zeros(len(back), back.dtype), ctx.memory)
        return of_x, of_weight, of_bias, None


def _convolved(
    x: torch.Tensor, weight: np.ndarray, offset: np.ndarray, memory: Memory
) -> torch.Tensor:
    image = pixels(x)
    n, ny, nx, channels = image.shape
    points, group, kind = winograd.POINTS, winograd.GROUP, image.dtype
    kernel = memory.array((len(offset) // WIDTH, points**2, channels, WIDTH), kind)
    winograd.transform_kernel(np.ascontiguousarray(weight.transpose(2, 3, 1, 0)), kernel)
    out = memory.image(n, len(offset), ny, nx, kind)
    result = pixels(out)

    def work(first: int, last: int) -> None:
        edge = memory.array((1, points, points, channels), kind)
        values = memory.array((points**2, group, channels), kind)
        sums = memory.array((points**2, group, WIDTH), kind)
        winograd.convolve(image, kernel, offset, first, last, edge, values, sums, result)

    in_parts(work, n * ny * nx // winograd.TILE**2, group, each=8)
    return out


def _correlated(
    x: torch.Tensor, slope: torch.Tensor, memory: Memory, of_weight: np.ndarray
) -> torch.Tensor:
    """Write the gradient of kernels ``[c_out, c_in, 3, 3]`` and return that of offsets."""
    image, slopes = pixels(x), pixels(slope)
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

    (sums, total), *others = in_parts(work, n * ny * nx // winograd.TILE**2, group)
    for more, more_total in others:
        sums += more
        total += more_total
    kernel = np.empty((3, 3, channels, c_out), kind)
    winograd.transform_kernel_back(sums, kernel)
    of_weight[...] = kernel.transpose(3, 2, 0, 1)
    return torch.from_numpy(total)


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
        images, size = pixels(x).reshape(n, ny * nx, channels), ny * nx
        mean, scale = np.empty((2, n, channels), images.dtype)
        out = memory.image(n, channels, ny, nx, images.dtype)
        results = pixels(out).reshape(images.shape)
        skips = None if skip is None else pixels(skip).reshape(images.shape)
        w, b = array(weight).ravel(), array(bias).ravel()
        for i, image in enumerate(images):

            def add(first: int, last: int, image: np.ndarray = image) -> np.ndarray:
                moments = np.zeros((2, channels))
                loops.add_moments(image, first, last, moments)
                return moments

            first, second = sum(in_parts(add, size)) / size
            mean[i] = first
            scale[i] = 1 / np.sqrt(np.maximum(second - first**2, 0) + eps)

            def write(first: int, last: int, i: int = i, image: np.ndarray = image) -> None:
                more = None if skips is None else skips[i]
                loops.norm_relu(image, mean[i], scale[i], w, b, more, first, last, results[i])

            in_parts(write, size, each=8)
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
        images = pixels(x).reshape(n, size, channels)
        slopes = pixels(slope).reshape(images.shape)
        out = ctx.memory.image(n, channels, ny, nx, images.dtype)
        results = pixels(out).reshape(images.shape)
        w, b = array(weight).ravel(), array(bias).ravel()
        of_weight, of_bias = np.zeros((2, size), images.dtype)
        for i in range(n):
            known = (images[i], ctx.mean[i], ctx.scale[i], w, b, slopes[i])

            def add(first: int, last: int, known: Any = known) -> np.ndarray:
                sums = np.zeros((2, channels))
                loops.add_slopes(*known, first, last, sums, of_weight, of_bias)
                return sums

            means = (sum(in_parts(add, size)) / size).astype(images.dtype)

            def write(
                first: int, last: int, i: int = i, known: Any = known, means: Any = means
            ) -> None:
                loops.norm_slope(*known, means, first, last, results[i])

            in_parts(write, size, each=8)
        shape = (ny, nx)
        of_weight, of_bias = (torch.from_numpy(a.reshape(shape)) for a in (of_weight, of_bias))
        return out, of_weight, of_bias, slope if ctx.needs_input_grad[3] else None, None, None


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, side: int, memory: Memory) -> torch.Tensor:
        image = pixels(x.contiguous(memory_format=torch.channels_last))
        n, ny, nx, channels = image.shape
        out = memory.image(n, channels, ny // side, nx // side, image.dtype)
        result = pixels(out)
        where = memory.array(result.shape, np.dtype(np.int32))

        def work(first: int, last: int) -> None:
            loops.pool(image, side, first, last, result, where)

        in_parts(work, n * ny // side, 4)
        ctx.side, ctx.where, ctx.memory = side, where, memory
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: torch.Tensor) -> Any:
        slopes = pixels(slope.contiguous(memory_format=torch.channels_last))
        n, ny, nx, channels = slopes.shape
        side = ctx.side
        out = ctx.memory.image(n, channels, ny * side, nx * side, slopes.dtype)
        result = pixels(out)

        def work(first: int, last: int) -> None:
            loops.pool_slope(slopes, ctx.where, side, first, last, result)

        in_parts(work, n * ny, 4)
        return out, None, None


class _Upsample(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, scale: int, memory: Memory) -> torch.Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        n, channels, ny, nx = x.shape
        ctx.shape, ctx.size, ctx.memory = x.shape, [ny * scale, nx * scale], memory
        out = memory.image(n, channels, ny * scale, nx * scale, pixels(x).dtype)
        torch.ops.aten.upsample_bilinear2d.out(x, ctx.size, True, None, None, out=out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: torch.Tensor) -> Any:
        slope = slope.contiguous(memory_format=torch.channels_last)
        n, channels, ny, nx = ctx.shape
        out = ctx.memory.image(n, channels, ny, nx, pixels(slope).dtype)
        back = torch.ops.aten.upsample_bilinear2d_backward.grad_input
        back(slope, ctx.size, ctx.shape, True, None, None, grad_input=out)
        return out, None, None
