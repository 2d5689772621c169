"""The autoencoder of the paper, exactly.

References
----------
Ludacka et al., npj Comput. Mater. 10, 106 (2024), doi:10.1038/s41524-024-01265-y, Fig. 3; the
details that the paper leaves out are as in its code (PyPI ``m3_learning``).
"""

from __future__ import annotations

import torch
from torch import nn

from napari_ferro4d.learn.networks.fast import (
    Convolution,
    MaxPool,
    Memory,
    NormReLU,
    Upsample,
    chain,
)

from .base import Autoencoder

__all__ = ["PaperAutoencoder"]


class _ThreeConvolutions(nn.Module):
    """Three convolutions without activation between them, norm, ReLU, plus the input."""

    def __init__(self, channels: int, side: int, memory: Memory) -> None:
        super().__init__()
        layers = (Convolution(channels, channels, memory) for _ in range(3))
        self.convolutions = nn.Sequential(*layers)
        self.norm = NormReLU(side, memory)

    def forward(self, x: torch.Tensor, before: Convolution | None = None) -> torch.Tensor:
        """Return the result for what `before`, a layer without activation, makes of `x`."""
        if before is None:
            image = self.convolutions(x)
        else:
            x, image = chain(x, [before, *self.convolutions])
        result: torch.Tensor = self.norm(image, skip=x)
        return result


class _OneConvolution(nn.Module):
    """Convolution, norm, ReLU; the paper's "identity" block, which has no skip connection."""

    def __init__(self, channels: int, side: int, memory: Memory) -> None:
        super().__init__()
        self.convolution = Convolution(channels, channels, memory)
        self.norm = NormReLU(side, memory)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.norm(self.convolution(x))
        return result


class PaperAutoencoder(Autoencoder):
    """The paper's convolutional autoencoder, 256 x 256 -> embedding -> 256 x 256.

    With 32 channels in the embedding it has exactly 4,700,770 parameters.

    Parameters
    ----------
    embedding : int
        Channels of the embedding.
    size, filters, pooling
        256, 128 and (4, 4, 2) are the paper's; smaller ones serve the tests.
    """

    def __init__(
        self,
        embedding: int = 32,
        size: int = 256,
        filters: int = 128,
        pooling: tuple[int, ...] = (4, 4, 2),
    ) -> None:
        super().__init__()
        memory = Memory()

        def pair(side: int) -> list[nn.Module]:
            return [
                _ThreeConvolutions(filters, side, memory),
                _OneConvolution(filters, side, memory),
            ]

        blocks: list[nn.Module] = [Convolution(1, filters, memory)]
        side = size
        for pool in pooling:
            blocks += [*pair(side), MaxPool(pool, memory)]
            side //= pool
        blocks.append(Convolution(filters, 1, memory))
        blocks += [nn.Flatten(), nn.Linear(side * side, embedding), nn.ReLU()]
        self.encoder = nn.Sequential(*blocks)
        blocks = [nn.Linear(embedding, side * side), nn.Unflatten(1, (1, side, side))]
        blocks += [Convolution(1, filters, memory), *pair(side)]
        for scale in reversed(pooling):
            side *= scale
            blocks += [Upsample(scale, memory), *pair(side)]
        blocks.append(Convolution(filters, 1, memory))
        self.decoder = nn.Sequential(*blocks)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Return the embedding ``[n, channel]`` of inputs ``[n, 1, size, size]``."""
        before, block, *others = self.encoder
        x = block(x, before)
        for layer in others:
            x = layer(x)
        return x

    def decode(self, embedding: torch.Tensor) -> torch.Tensor:
        """Return the reconstruction ``[n, 1, size, size]`` of embeddings ``[n, channel]``."""
        image: torch.Tensor = self.decoder(embedding)
        return image
