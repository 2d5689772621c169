"""Layers of the paper's network that take the compiled loops where these pay."""

from __future__ import annotations

import torch
from torch import nn

from . import fast_functions as functions
from .fast_memory import Memory
from .fast_vectors import WIDTH
from .fast_winograd import TILE

__all__ = ["Convolution", "MaxPool", "NormReLU", "Upsample"]


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

    def __init__(self, channels_in: int, channels_out: int, memory: Memory) -> None:
        super().__init__(channels_in, channels_out, 3, padding=1)
        self._memory = memory

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``[n, c_out, y, x]`` of ``[n, c_in, y, x]``."""
        assert self.bias is not None, "switched on by default"
        if _pays(x):
            if self.in_channels == 1:
                return functions.widen(x, self.weight, self.bias, self._memory)
            if self.out_channels == 1:
                return functions.narrow(x, self.weight, self.bias, self._memory)
            wide = self.in_channels % WIDTH == 0 and self.out_channels % WIDTH == 0
            if wide and x.shape[2] % TILE == 0 and x.shape[3] % TILE == 0:
                return functions.convolve(x, self.weight, self.bias, self._memory)
        return super().forward(x)


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
