"""A small autoencoder for CPUs, of the same kind as the paper's."""

from __future__ import annotations

import torch
from torch import nn

from .networks import Autoencoder, conv, principal_components

__all__ = ["CompactAutoencoder"]


class CompactAutoencoder(Autoencoder):
    """A small autoencoder of the same kind, for a CPU.

    The paper's network spends nearly all its time at full resolution. This one has a linear path
    from the pattern to the embedding and back, and beside each a convolutional one, which cuts the
    pattern into 16 x 16 patches with a strided convolution, so that no layer works at full
    resolution. The linear paths start from the principal components of the patterns (`start`), the
    convolutional ones from nothing: before the first step the network is a principal component
    analysis, and training can only improve on that.

    Parameters
    ----------
    embedding : int
        Channels of the embedding.
    size : int
        Side of the input; a multiple of 16.
    """

    mean: torch.Tensor

    def __init__(self, embedding: int = 32, size: int = 32) -> None:
        super().__init__()
        patch = size // 16
        self.register_buffer("mean", torch.zeros(1, size, size))
        self.linear_encoder = nn.Linear(size * size, embedding)
        self.linear_decoder = nn.Linear(embedding, size * size)
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, patch, stride=patch),
            nn.GELU(),
            conv(16, 32, stride=2),
            nn.GELU(),
            conv(32, 32),
            nn.GELU(),
            nn.Flatten(),
            nn.Linear(32 * 8 * 8, embedding),
        )
        self.decoder = nn.Sequential(
            nn.Linear(embedding, 32 * 8 * 8),
            nn.Unflatten(1, (32, 8, 8)),
            nn.GELU(),
            conv(32, 64),
            nn.PixelShuffle(2),
            nn.GELU(),
            conv(16, patch * patch),
            nn.PixelShuffle(patch),
        )

    @torch.no_grad()
    def start(self, patterns: torch.Tensor) -> None:
        """Make the network the principal component analysis of ``[n, 1, size, size]``.

        Channels come in pairs, as a ReLU cuts each component into what lies above the mean and
        what lies below: the first half takes the positive sides, the second the negative ones.
        Channels without a component of their own encode at random and decode to nothing yet.
        """
        self.mean.copy_(patterns.mean(dim=0))
        centred = (patterns - self.mean).flatten(1)
        spread = centred.square().mean().sqrt()
        self.scale.copy_(spread if spread > 0 else torch.ones(1))
        for path in (self.encoder[-1], self.decoder[-2]):
            for values in path.parameters():
                nn.init.zeros_(values)
        for values in (self.linear_encoder.bias, *self.linear_decoder.parameters()):
            nn.init.zeros_(values)
        axes, deviations = principal_components(
            centred / self.scale, (self.linear_encoder.out_features + 1) // 2
        )
        half, count = (self.linear_encoder.out_features + 1) // 2, len(deviations)
        for first, sign in ((0, 1.0), (half, -1.0)):
            found = min(count, self.linear_encoder.out_features - first)
            here = slice(first, first + found)
            self.linear_encoder.weight[here] = sign * (axes / deviations)[:, :found].T
            self.linear_decoder.weight[:, here] = sign * (axes * deviations)[:, :found]

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Return the embedding ``[n, channel]`` of inputs ``[n, 1, size, size]``."""
        x = (x - self.mean) / self.scale
        return torch.relu(self.linear_encoder(x.flatten(1)) + self.encoder(x))

    def decode(self, embedding: torch.Tensor) -> torch.Tensor:
        """Return the reconstruction ``[n, 1, size, size]`` of embeddings ``[n, channel]``."""
        image: torch.Tensor = self.decoder(embedding)
        image = image + self.linear_decoder(embedding).view_as(image)
        return image * self.scale + self.mean
