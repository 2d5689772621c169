"""The networks: the two papers' own, exactly, and a compact one of each for CPUs.

References
----------
Autoencoder: Ludacka et al., npj Comput. Mater. 10, 106 (2024), doi:10.1038/s41524-024-01265-y,
Fig. 3; the details that the paper leaves out are as in its code (PyPI ``m3_learning``).
Classifier: Hardy et al. (2025), arXiv:2510.00693, Fig. 4.
"""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["CompactAutoencoder", "PaperAutoencoder", "PaperClassifier"]


def _conv(channels_in: int, channels_out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1)


class _ThreeConvolutions(nn.Module):
    """Three convolutions without activation between them, norm, ReLU, plus the input."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(*(_conv(channels, channels) for _ in range(3)))
        # Affine over the two image axes, shared by the channels.
        self.norm = nn.LayerNorm([side, side])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(self.convolutions(x))) + x


class _OneConvolution(nn.Module):
    """Convolution, norm, ReLU; the paper's "identity" block, which has no skip connection."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.convolution = _conv(channels, channels)
        self.norm = nn.LayerNorm([side, side])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(self.convolution(x)))


class PaperAutoencoder(nn.Module):
    """The paper's convolutional autoencoder, 256 x 256 -> embedding -> 256 x 256.

    With 32 channels in the embedding it has exactly 4,700,770 parameters.

    Parameters
    ----------
    embedding : int
        Channels of the embedding.
    size, filters, pooling
        256, 128 and (4, 4, 2) are the paper's; smaller ones serve the tests.
    """

    scale: float | torch.Tensor = 1.0
    """Unit of the input in which the reconstruction error is counted."""

    def __init__(
        self,
        embedding: int = 32,
        size: int = 256,
        filters: int = 128,
        pooling: tuple[int, ...] = (4, 4, 2),
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = [_conv(1, filters)]
        side = size
        for pool in pooling:
            blocks += [_ThreeConvolutions(filters, side), _OneConvolution(filters, side)]
            blocks.append(nn.MaxPool2d(pool))
            side //= pool
        blocks += [_conv(filters, 1), nn.Flatten(), nn.Linear(side * side, embedding), nn.ReLU()]
        self.encoder = nn.Sequential(*blocks)
        blocks = [
            nn.Linear(embedding, side * side),
            nn.Unflatten(1, (1, side, side)),
            _conv(1, filters),
            _ThreeConvolutions(filters, side),
            _OneConvolution(filters, side),
        ]
        for scale in reversed(pooling):
            side *= scale
            blocks.append(nn.Upsample(scale_factor=scale, mode="bilinear", align_corners=True))
            blocks += [_ThreeConvolutions(filters, side), _OneConvolution(filters, side)]
        blocks.append(_conv(filters, 1))
        self.decoder = nn.Sequential(*blocks)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Return the embedding ``[n, channel]`` of inputs ``[n, 1, size, size]``."""
        embedding: torch.Tensor = self.encoder(x)
        return embedding

    def decode(self, embedding: torch.Tensor) -> torch.Tensor:
        """Return the reconstruction ``[n, 1, size, size]`` of embeddings ``[n, channel]``."""
        image: torch.Tensor = self.decoder(embedding)
        return image


class CompactAutoencoder(nn.Module):
    """A small autoencoder of the same kind, for a CPU.

    The paper's network spends nearly all its time at full resolution. This one cuts the pattern
    into patches with its first, strided convolution and puts it together again from patches with
    its last, so that no layer works at full resolution. It learns what differs from the mean
    pattern, in units of the standard deviation about it.

    Parameters
    ----------
    embedding : int
        Channels of the embedding.
    size : int
        Side of the input; a multiple of 8.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, embedding: int = 32, size: int = 64) -> None:
        super().__init__()
        side = size // 8
        self.register_buffer("mean", torch.zeros(1, size, size))
        self.register_buffer("scale", torch.ones(()))
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 4, stride=4),
            nn.GELU(),
            _conv(32, 64, stride=2),
            nn.GELU(),
            _conv(64, 64),
            nn.GELU(),
            nn.Flatten(),
            nn.Linear(64 * side * side, embedding),
            nn.ReLU(),
        )
        self.decoder = nn.Sequential(
            nn.Linear(embedding, 64 * side * side),
            nn.Unflatten(1, (64, side, side)),
            nn.GELU(),
            _conv(64, 128),
            nn.PixelShuffle(2),
            nn.GELU(),
            _conv(32, 16),
            nn.PixelShuffle(4),
        )

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Return the embedding ``[n, channel]`` of inputs ``[n, 1, size, size]``."""
        embedding: torch.Tensor = self.encoder((x - self.mean) / self.scale)
        return embedding

    def decode(self, embedding: torch.Tensor) -> torch.Tensor:
        """Return the reconstruction ``[n, 1, size, size]`` of embeddings ``[n, channel]``."""
        image: torch.Tensor = self.decoder(embedding) * self.scale + self.mean
        return image


class PaperClassifier(nn.Sequential):
    """The paper's "ThreeLayerCnn" on 128 x 128: 2,120,963 parameters with three classes.

    Parameters
    ----------
    classes : int
        Number of classes; the output is one logit for each.
    size : int
        Side of the input; a multiple of 8.
    """

    def __init__(self, classes: int, size: int = 128) -> None:
        layers: list[nn.Module] = []
        for channels_in, channels_out in ((1, 16), (16, 32), (32, 64)):
            layers += [_conv(channels_in, channels_out), nn.ReLU(), nn.MaxPool2d(2)]
        side = size // 8
        layers += [nn.Flatten(), nn.Linear(64 * side * side, 128), nn.ReLU()]
        super().__init__(*layers, nn.Linear(128, classes))
