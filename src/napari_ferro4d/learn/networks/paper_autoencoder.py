"""The autoencoder of the paper, exactly.

References
----------
Ludacka et al., npj Comput. Mater. 10, 106 (2024), doi:10.1038/s41524-024-01265-y, Fig. 3; the
details that the paper leaves out are as in its code (PyPI ``m3_learning``).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from .base import Autoencoder, conv
from .frozen_layers import LinearLayers, MinimalConvolution, norm_relu_

Layer = Callable[[torch.Tensor], torch.Tensor]


class _ThreeConvolutions(nn.Module):
    """Three convolutions without activation between them, norm, ReLU, plus the input."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(*(conv(channels, channels) for _ in range(3)))
        self.norm = nn.LayerNorm([side, side])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(self.convolutions(x))) + x

    def frozen(self) -> Layer:
        """Return the block for an image ``[y, x, channel]`` and weights as they are."""
        layers = [MinimalConvolution(layer) for layer in _convolutions(self)]

        def block(image: torch.Tensor) -> torch.Tensor:
            result = image
            for layer in layers:
                result = layer(result)
            return norm_relu_(result, self.norm).add_(image)

        return block


class _OneConvolution(nn.Module):
    """Convolution, norm, ReLU; the paper's "identity" block, which has no skip connection."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.convolution = conv(channels, channels)
        # The norm is affine by pixel, and shared by the channels.
        self.norm = nn.LayerNorm([side, side])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(self.convolution(x)))

    def frozen(self) -> Layer:
        """Return the block for an image ``[y, x, channel]`` and weights as they are."""
        layer = MinimalConvolution(self.convolution)
        return lambda image: norm_relu_(layer(image), self.norm)


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

        def pair(side: int) -> list[nn.Module]:
            return [_ThreeConvolutions(filters, side), _OneConvolution(filters, side)]

        blocks: list[nn.Module] = [conv(1, filters)]
        self._sides = []
        side = size
        for pool in pooling:
            self._sides.append(side)
            blocks += [*pair(side), nn.MaxPool2d(pool)]
            side //= pool
        blocks.append(conv(filters, 1))
        blocks += [nn.Flatten(), nn.Linear(side * side, embedding), nn.ReLU()]
        self.encoder = nn.Sequential(*blocks)
        blocks = [nn.Linear(embedding, side * side), nn.Unflatten(1, (1, side, side))]
        blocks += [conv(1, filters), *pair(side)]
        for scale in reversed(pooling):
            side *= scale
            larger = nn.Upsample(scale_factor=scale, mode="bilinear", align_corners=True)
            blocks += [larger, *pair(side)]
        blocks.append(conv(filters, 1))
        self.decoder = nn.Sequential(*blocks)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Return the embedding ``[n, channel]`` of inputs ``[n, 1, size, size]``."""
        embedding: torch.Tensor = self.encoder(x)
        return embedding

    def frozen_encode(self) -> Layer:
        """Return `encode` for weights as they are: on a CPU, four times as fast."""
        weight = self.encoder[0].weight
        on_cpu = weight.device.type == "cpu" and weight.dtype == torch.float32
        if on_cpu and self._sides[0] > 8 and not any(side % 4 for side in self._sides):
            return _FrozenEncoder(self.encoder)
        return self.encode

    def decode(self, embedding: torch.Tensor) -> torch.Tensor:
        """Return the reconstruction ``[n, 1, size, size]`` of embeddings ``[n, channel]``."""
        image: torch.Tensor = self.decoder(embedding)
        return image


class _FrozenEncoder:
    """The encoder with all that depends on its weights alone computed beforehand.

    For one thread at a time: the layers keep the memory of their results for the next pattern.
    """

    @torch.no_grad()
    def __init__(self, encoder: nn.Sequential) -> None:
        block = encoder[1]
        assert isinstance(block, _ThreeConvolutions)
        layers = _convolutions(encoder[:2])
        self._skip, self._before_norm = LinearLayers(layers[:1]), LinearLayers(layers)
        self._norm = block.norm
        self._image = torch.empty(0)
        self._blocks = [_frozen(encoder[i]) for i in range(2, len(encoder) - 4)]
        self._end = encoder[-4:]

    @torch.no_grad()
    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return the embedding ``[n, channel]`` of inputs ``[n, 1, size, size]``."""
        return torch.cat([self._embedding(image) for image in x[:, 0]])

    def _embedding(self, x: torch.Tensor) -> torch.Tensor:
        image = self._image.resize_(*x.shape, self._skip.channels).zero_()
        self._before_norm.add_to(image, x)
        self._skip.add_to(norm_relu_(image, self._norm), x)
        for block in self._blocks:
            image = block(image)
        embedding: torch.Tensor = self._end(_as_batch(image))
        return embedding


def _frozen(layer: nn.Module) -> Layer:
    if isinstance(layer, _ThreeConvolutions | _OneConvolution):
        return layer.frozen()
    return lambda image: layer(_as_batch(image))[0].permute(1, 2, 0)  # a pooling


def _as_batch(image: torch.Tensor) -> torch.Tensor:
    """Return ``[1, channel, y, x]``, which torch recognises as channels last: not turned first."""
    return image[None].permute(0, 3, 1, 2)


def _convolutions(part: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in part.modules() if isinstance(layer, nn.Conv2d)]
