"""The autoencoder of the paper, exactly.

References
----------
Ludacka et al., npj Comput. Mater. 10, 106 (2024), doi:10.1038/s41524-024-01265-y, Fig. 3; the
details that the paper leaves out are as in its code (PyPI ``m3_learning``).
"""

from __future__ import annotations

import torch
from torch import nn

from .networks import Autoencoder, conv

__all__ = ["PaperAutoencoder"]


class _ThreeConvolutions(nn.Module):
    """Three convolutions without activation between them, norm, ReLU, plus the input."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(*(conv(channels, channels) for _ in range(3)))
        # Affine over the two image axes, shared by the channels.
        self.norm = nn.LayerNorm([side, side])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(self.convolutions(x))) + x


class _OneConvolution(nn.Module):
    """Convolution, norm, ReLU; the paper's "identity" block, which has no skip connection."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.convolution = conv(channels, channels)
        self.norm = nn.LayerNorm([side, side])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(self.convolution(x)))


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
        blocks: list[nn.Module] = [conv(1, filters)]
        side = size
        for pool in pooling:
            blocks += [_ThreeConvolutions(filters, side), _OneConvolution(filters, side)]
            blocks.append(nn.MaxPool2d(pool))
            side //= pool
        blocks += [conv(filters, 1), nn.Flatten(), nn.Linear(side * side, embedding), nn.ReLU()]
        self.encoder = nn.Sequential(*blocks)
        blocks = [
            nn.Linear(embedding, side * side),
            nn.Unflatten(1, (1, side, side)),
            conv(1, filters),
            _ThreeConvolutions(filters, side),
            _OneConvolution(filters, side),
        ]
        for scale in reversed(pooling):
            side *= scale
            blocks.append(nn.Upsample(scale_factor=scale, mode="bilinear", align_corners=True))
            blocks += [_ThreeConvolutions(filters, side), _OneConvolution(filters, side)]
        blocks.append(conv(filters, 1))
        self.decoder = nn.Sequential(*blocks)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Return the embedding ``[n, channel]`` of inputs ``[n, 1, size, size]``."""
        embedding: torch.Tensor = self.encoder(x)
        return embedding

    def decode(self, embedding: torch.Tensor) -> torch.Tensor:
        """Return the reconstruction ``[n, 1, size, size]`` of embeddings ``[n, channel]``."""
        image: torch.Tensor = self.decoder(embedding)
        return image
