"""The networks: the two papers' own, exactly, and a compact one of each for CPUs.

References
----------
Autoencoder: Ludacka et al., npj Comput. Mater. 10, 106 (2024), doi:10.1038/s41524-024-01265-y,
Fig. 3; the details that the paper leaves out are as in its code (PyPI ``m3_learning``).
Classifier: Hardy et al. (2025), arXiv:2510.00693, Fig. 4.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from napari_ferro4d.errors import ModelError

__all__ = [
    "Autoencoder",
    "Classifier",
    "CompactAutoencoder",
    "CompactClassifier",
    "PaperAutoencoder",
    "PaperClassifier",
    "build_autoencoder",
    "build_classifier",
    "principal_components",
]


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


class Autoencoder(nn.Module, ABC):
    """What training and embedding need of an autoencoder."""

    scale: torch.Tensor
    """Unit of the input in which the reconstruction error is counted."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(1))

    @abstractmethod
    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Return the embedding ``[n, channel]`` of inputs ``[n, 1, size, size]``."""

    @abstractmethod
    def decode(self, embedding: torch.Tensor) -> torch.Tensor:
        """Return the reconstruction ``[n, 1, size, size]`` of embeddings ``[n, channel]``."""


def build_autoencoder(header: Mapping[str, Any]) -> Autoencoder:
    """Build the network that a model's header describes, with random weights.

    Raises
    ------
    ModelError
        If the header does not describe one.
    """
    kinds: dict[str, type[Autoencoder]] = {
        "paper": PaperAutoencoder,
        "compact": CompactAutoencoder,
    }
    try:
        return kinds[header["preset"]](**header["network"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"the model's header describes no known autoencoder ({error!r}); train it again."
        ) from error


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
            _conv(16, 32, stride=2),
            nn.GELU(),
            _conv(32, 32),
            nn.GELU(),
            nn.Flatten(),
            nn.Linear(32 * 8 * 8, embedding),
        )
        self.decoder = nn.Sequential(
            nn.Linear(embedding, 32 * 8 * 8),
            nn.Unflatten(1, (32, 8, 8)),
            nn.GELU(),
            _conv(32, 64),
            nn.PixelShuffle(2),
            nn.GELU(),
            _conv(16, patch * patch),
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


def principal_components(centred: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return up to `count` axes ``[pixel, axis]`` of ``[n, pixel]`` and the deviations along them.

    Axes along which nothing varies are left out. Randomised, so seed torch first.
    """
    rank = min(count + 8, *centred.shape)
    axes = torch.svd_lowrank(centred, q=rank, niter=3)[2][:, :count]
    deviations = (centred @ axes).square().mean(dim=0).sqrt()
    varies = deviations > 1e-6 * deviations.max().clamp_min(1e-30)
    return axes[:, varies], deviations[varies]


class Classifier(nn.Module, ABC):
    """What training and prediction need of a classifier."""

    @abstractmethod
    def start(self, patterns: torch.Tensor) -> None:
        """Take over what is to be known of all patterns ``[n, 1, size, size]`` of a scan."""

    @abstractmethod
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits ``[member, n, class]`` of inputs ``[n, 1, size, size]``."""


def build_classifier(header: Mapping[str, Any]) -> Classifier:
    """Build the network that a model's header describes, with random weights.

    Raises
    ------
    ModelError
        If the header does not describe one.
    """
    kinds: dict[str, type[Classifier]] = {"paper": PaperClassifier, "compact": CompactClassifier}
    try:
        return kinds[header["preset"]](**header["network"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"the model's header describes no known classifier ({error!r}); train it again."
        ) from error


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
            layers += [_conv(channels_in, channels_out), nn.ReLU(), nn.MaxPool2d(2)]
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
