"""The classifier of the paper, exactly.

References
----------
Hardy et al. (2025), arXiv:2510.00693, Fig. 4.
"""

from __future__ import annotations

import torch
from torch import nn

from .base import conv


class PaperClassifier(nn.Module):
    """The paper's "ThreeLayerCnn" on 128 x 128: 2,120,963 parameters with three classes.

    Parameters
    ----------
    classes : int
        Number of classes.
    size : int
        Side of the input; a multiple of 8.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, classes: int, size: int = 128) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1))
        self.register_buffer("scale", torch.ones(1))
        layers: list[nn.Module] = []
        for channels_in, channels_out in ((1, 16), (16, 32), (32, 64)):
            # The paper pools after the ReLU: the same numbers, from four times as many of them.
            layers += [conv(channels_in, channels_out), nn.MaxPool2d(2), nn.ReLU()]
        side = size // 8
        layers += [nn.Flatten(), nn.Linear(64 * side * side, 128), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(128, classes))
        # In which a CPU convolves and pools these few channels nearly twice as fast.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def start(self, patterns: torch.Tensor) -> None:
        """Take over mean and spread of ``[n, 1, size, size]``, for training and use alike."""
        self.mean.copy_(patterns.mean())
        self.scale.copy_((patterns - self.mean).square().mean().sqrt().clamp_min(1e-6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits ``[n, class]`` of inputs ``[n, 1, size, size]``."""
        x = x.contiguous(memory_format=torch.channels_last)
        logits: torch.Tensor = self.layers((x - self.mean) / self.scale)
        return logits
