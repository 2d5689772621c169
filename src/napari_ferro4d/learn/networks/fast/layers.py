"""Layers of the paper's network that take the compiled loops where these pay."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from napari_ferro4d.learn.compute import single_thread

from . import functions as functions
from .channel import COLUMNS, narrow, widen
from .layer_memory import Memory
from .vectors import WIDTH
from .winograd import TILE

__all__ = ["Convolution", "MaxPool", "NormReLU", "Upsample", "chain"]


def _pays(x: torch.Tensor) -> bool:
    """Tell whether the compiled loops are to be used: on a CPU in single precision.

    Where autocast is on, the processor computes in bfloat16. A compiler makes its own loops.
    """
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


class Convolution(nn.Conv2d):
    """A convolution 3 x 3 that keeps the side of its input."""

    bias: torch.Tensor

    def __init__(self, channels_in: int, channels_out: int, memory: Memory) -> None:
        super().__init__(channels_in, channels_out, 3, padding=1)
        self._memory = memory

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``[n, c_out, y, x]`` of ``[n, c_in, y, x]``."""
        if _pays(x) and x.shape[3] % COLUMNS == 0:
            if self.in_channels == 1 and self.out_channels % WIDTH == 0:
                return widen(x, self.weight, self.bias, self._memory)
            if self.out_channels == 1 and self.in_channels % WIDTH == 0:
                return narrow(x, self.weight, self.bias, self._memory)
            wide = self.in_channels % WIDTH == 0 and self.out_channels % WIDTH == 0
            if wide and x.shape[2] % TILE == 0 and x.shape[3] % TILE == 0:
                return functions.convolve(x, self.weight, self.bias, self._memory)
        return super().forward(x)


def chain(x: torch.Tensor, layers: Sequence[Convolution]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the result of the first and of the last of convolutions one after the other.

    There is nothing between them. From an image of one channel four of them are therefore one
    convolution 9 x 9, of 81 numbers per pixel and channel in place of thousands. Not so at the edge
    of the image, which is continued by zeros before each of them: there they are done in turn.
    """
    first, *others = layers
    wide = first(x)
    # What the first adds beyond one pixel at the edge reaches one pixel further with every other.
    reach = len(others) + 1
    if not (
        _pays(x)
        and first.in_channels == 1
        and first.out_channels % WIDTH == 0
        and reach <= TILE
        and min(x.shape[2:]) >= 2 * TILE
        and not any(side % TILE for side in x.shape[2:])
    ):
        image = wide
        for layer in others:
            image = layer(image)
        return wide, image
    # A single thread, since the others would wait for more to do, busily, while ours compute.
    with single_thread():
        weight, bias = first.weight.transpose(0, 1), first.bias
        for layer in others:
            weight = F.conv_transpose2d(weight, layer.weight.transpose(0, 1))
            bias = layer.weight.sum((2, 3)) @ bias + layer.bias
    frame = _ends(x, 2, layers), _ends(x, 3, layers)
    return wide, widen(x, weight.transpose(0, 1), bias, first._memory, frame)


def _ends(x: torch.Tensor, axis: int, layers: Sequence[Convolution]) -> torch.Tensor:
    """Return the first eight lines along an axis and the last eight, convolved in turn.

    Those towards the middle are wrong, one more after each convolution; the outer four are right.
    """
    side, size = x.shape[axis], 2 * TILE
    ends = torch.cat([x.narrow(axis, 0, size), x.narrow(axis, side - size, size)])
    for layer in layers:
        ends = layer(ends)
    return ends


class NormReLU(nn.LayerNorm):
    """A norm over the image, affine by pixel and shared by the channels, and ReLU."""

    def __init__(self, side: int, memory: Memory) -> None:
        super().__init__([side, side])
        self._memory = memory

    def forward(self, x: torch.Tensor, skip: torch.Tensor | None = None) -> torch.Tensor:
        """Return the activation of `x`, plus `skip`."""
        if _pays(x):
            return functions.norm_relu(x, self.weight, self.bias, skip, self.eps, self._memory)
        activation = torch.relu(super().forward(x))
        return activation if skip is None else activation + skip


class MaxPool(nn.MaxPool2d):
    """The largest value of every square."""

    def __init__(self, side: int, memory: Memory) -> None:
        super().__init__(side)
        self._side, self._memory = side, memory

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``[n, channel, y / side, x / side]``."""
        if _pays(x) and x.shape[2] % self._side == 0 and x.shape[3] % self._side == 0:
            return functions.max_pool(x, self._side, self._memory)
        image: torch.Tensor = super().forward(x)
        return image


class Upsample(nn.Upsample):
    """Bilinear interpolation between the pixels, corners aligned."""

    def __init__(self, scale: int, memory: Memory) -> None:
        super().__init__(scale_factor=scale, mode="bilinear", align_corners=True)
        self._scale, self._memory = scale, memory

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``[n, channel, scale * y, scale * x]``."""
        if _pays(x):
            return functions.upsample(x, self._scale, self._memory)
        image: torch.Tensor = super().forward(x)
        return image
