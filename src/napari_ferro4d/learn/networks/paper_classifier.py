"""The networks of the classifier: the paper's own, exactly, and a compact one for CPUs.

References
----------
Hardy et al. (2025), arXiv:2510.00693, Fig. 4.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .base import Classifier, conv, principal_components


class PaperClassifier(Classifier):
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
            layers += [conv(channels_in, channels_out), nn.ReLU(), nn.MaxPool2d(2)]
        side = size // 8
        layers += [nn.Flatten(), nn.Linear(64 * side * side, 128), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(128, classes))

    @torch.no_grad()
    def start(self, patterns: torch.Tensor) -> None:
        """Take over mean and spread of ``[n, 1, size, size]``, for training and use alike."""
        self.mean.copy_(patterns.mean())
        self.scale.copy_((patterns - self.mean).square().mean().sqrt().clamp_min(1e-6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits ``[1, n, class]`` of inputs ``[n, 1, size, size]``."""
        logits: torch.Tensor = self.layers((x - self.mean) / self.scale)
        return logits[None]


class CompactClassifier(Classifier):
    """Small perceptrons on the principal components of all patterns of a scan.

    The components come from every pattern, labelled or not, so that few labels suffice. The
    members differ in their initial weights and in the labels they are trained on.

    Parameters
    ----------
    classes : int
        Number of classes.
    size : int
        Side of the input.
    components, hidden, members : int
        Principal components; hidden units of a member; number of members.
    """

    mean: torch.Tensor
    projection: torch.Tensor

    def __init__(
        self, classes: int, size: int, components: int = 24, hidden: int = 128, members: int = 10
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1, size, size))
        self.register_buffer("projection", torch.zeros(size * size, components))
        self.skip = nn.Parameter(0.02 * torch.randn(members, components, classes))
        self.bias = nn.Parameter(torch.zeros(members, 1, classes))
        self.into = nn.Parameter(torch.randn(members, components, hidden) / components**0.5)
        self.into_bias = nn.Parameter(0.3 * torch.randn(members, 1, hidden))
        self.out = nn.Parameter(0.3 * torch.randn(members, hidden, classes) / hidden**0.5)

    @torch.no_grad()
    def start(self, patterns: torch.Tensor) -> None:
        """Find the principal components of ``[n, 1, size, size]``."""
        self.mean.copy_(patterns.mean(dim=0))
        centred = (patterns - self.mean).flatten(1)
        axes, deviations = principal_components(centred, self.projection.shape[1])
        # One scale for all: whitening would blow up the components that are mostly noise.
        if len(deviations):
            unit = deviations.square().mean().sqrt()
            self.projection[:, : len(deviations)] = axes / unit

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits ``[member, n, class]`` of inputs ``[n, 1, size, size]``."""
        z = (x - self.mean).flatten(1) @ self.projection
        z = F.dropout(z.expand(len(self.skip), *z.shape), 0.3, self.training)
        hidden = F.gelu(z @ self.into + self.into_bias)
        return z @ self.skip + self.bias + hidden @ self.out
