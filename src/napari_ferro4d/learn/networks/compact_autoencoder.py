"""A small autoencoder for CPUs, of the same kind as the paper's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from .base import Autoencoder, conv, principal_components
from .compact_start import Found, distil, find, linear_decoder

COORDINATES = 16
"""Principal components in which walls and domains are looked for."""

HIDDEN = 64
"""Hidden units of the perceptron that tells what was found from a single pattern."""


class CompactAutoencoder(Autoencoder):
    """A small autoencoder of the same kind, for a CPU.

    The paper's network spends nearly all its time at full resolution and hundreds of epochs until
    its channels show domains and walls. This one has two kinds of channels:

    - *found*, before training, from where the scan changes abruptly (see `abrupt`): both sides of
      the jumps across walls, the walls, and their kinds. A small perceptron, the `Finder`, tells
      them from a single pattern. Training leaves them as they are;
    - *learnt*: a linear path from the pattern to the embedding, and beside it a convolutional one,
      which cuts the pattern into 16 x 16 patches with a strided convolution, so that no layer works
      at full resolution. The linear path starts from the principal components of what the found
      channels leave unexplained, the convolutional one from nothing.

    The decoder has the same two paths for all channels. Where nothing is found - one domain, few
    positions - all channels are learnt, and before the first step the network is a principal
    component analysis.

    Parameters
    ----------
    embedding : int
        Channels of the embedding.
    size : int
        Side of the input; a multiple of 16.
    """

    mean: torch.Tensor
    found: torch.Tensor

    def __init__(self, embedding: int = 32, size: int = 32) -> None:
        super().__init__()
        patch = size // 16
        self.register_buffer("mean", torch.zeros(1, size, size))
        self.register_buffer("found", torch.zeros(embedding, dtype=torch.bool))
        self.finder = Finder(size, embedding)
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
    def start(self, patterns: torch.Tensor, places: Sequence[npt.NDArray[np.int64]] = ()) -> None:
        """Find domains and walls, and take over the principal components of the rest.

        Parameters
        ----------
        patterns : Tensor
            ``[n, 1, size, size]``.
        places : sequence of ndarray
            Parts of scans, each ``[y, x]``: the number of the pattern among `patterns`, -1 where
            there is none.
        """
        self.mean.copy_(patterns.mean(dim=0))
        centred = (patterns - self.mean).flatten(1)
        spread = centred.square().mean().sqrt()
        self.scale.copy_(spread if spread > 0 else torch.ones(1))
        centred = centred / self.scale
        for path in (self.encoder[-1], self.decoder[-2], self.linear_encoder, self.linear_decoder):
            for values in path.parameters():
                nn.init.zeros_(values)
        axes, deviations = principal_components(centred, COORDINATES)
        coordinates = centred @ (axes / deviations)
        found = find(coordinates, places, len(self.found) // 2)
        if found is None:
            first = 0
            explained = torch.zeros(centred.shape[1], 0)
            linear = explained
        else:
            first = len(found.names)
            self.found[:first] = True
            self.finder.start((axes / deviations), coordinates, found)
            linear = (axes / deviations) @ found.jumps[:, found.told]
            explained = torch.linalg.lstsq(centred @ linear, centred).solution.T
        self._start_learnt(centred, linear, explained, first)
        parts = centred.split(1024)  # type: ignore[no-untyped-call]
        activations = torch.cat([self._activations(part) for part in parts])
        weight, bias = linear_decoder(activations, centred)
        self.linear_decoder.weight.copy_(weight)
        self.linear_decoder.bias.copy_(bias)

    def _start_learnt(
        self, centred: torch.Tensor, linear: torch.Tensor, explained: torch.Tensor, first: int
    ) -> None:
        """Start the linear path: the components of what `linear` scores do not explain.

        Channels come in pairs, as a ReLU cuts each component into what lies above the mean and
        what lies below: the first half takes the positive sides, the second the negative ones.
        Channels without a component of their own encode at random and decode to nothing yet.
        """
        channels = len(self.found) - first
        half = (channels + 1) // 2
        rest = centred - (centred @ linear) @ explained.T
        axes, deviations = principal_components(rest, half)
        # A component of the rest, as a function of the whole pattern.
        filters = axes / deviations
        filters = filters - linear @ (explained.T @ filters)
        nn.init.kaiming_uniform_(self.linear_encoder.weight[first:], a=5**0.5)
        for begin, sign in ((first, 1.0), (first + half, -1.0)):
            count = min(filters.shape[1], len(self.found) - begin)
            self.linear_encoder.weight[begin : begin + count] = sign * filters[:, :count].T

    def _activations(self, flat: torch.Tensor) -> torch.Tensor:
        side = self.mean.shape[-1]
        learnt = self.linear_encoder(flat) + self.encoder(flat.view(-1, 1, side, side))
        return torch.relu(torch.where(self.found, self.finder(flat), learnt))

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Return the embedding ``[n, channel]`` of inputs ``[n, 1, size, size]``."""
        return self._activations(((x - self.mean) / self.scale).flatten(1))

    def decode(self, embedding: torch.Tensor) -> torch.Tensor:
        """Return the reconstruction ``[n, 1, size, size]`` of embeddings ``[n, channel]``."""
        image: torch.Tensor = self.decoder(embedding)
        image = image + self.linear_decoder(embedding).view_as(image)
        return image * self.scale + self.mean


class Finder(nn.Module):
    """What was found in a scan, as a function of a single pattern; nothing here is trained later.

    Parameters
    ----------
    size : int
        Side of the input.
    embedding : int
        Channels of the embedding; those that were not found are of no use.
    """

    coordinates: torch.Tensor
    jumps: torch.Tensor
    thresholds: torch.Tensor
    weight0: torch.Tensor
    weight1: torch.Tensor
    weight2: torch.Tensor
    bias0: torch.Tensor
    bias1: torch.Tensor
    bias2: torch.Tensor

    def __init__(self, size: int, embedding: int) -> None:
        super().__init__()
        # Buffers, so that no optimiser takes them up.
        self.register_buffer("coordinates", torch.zeros(COORDINATES, size * size))
        self.register_buffer("jumps", torch.zeros(embedding, COORDINATES))
        self.register_buffer("thresholds", torch.zeros(embedding))
        for layer, (wide, deep) in enumerate(
            ((HIDDEN, COORDINATES), (HIDDEN, HIDDEN), (embedding, HIDDEN))
        ):
            self.register_buffer(f"weight{layer}", torch.zeros(wide, deep))
            self.register_buffer(f"bias{layer}", torch.zeros(wide))

    def start(self, filters: torch.Tensor, coordinates: torch.Tensor, found: Found) -> None:
        """Take over what was found.

        Parameters
        ----------
        filters : Tensor
            ``[pixel, k]``: patterns to coordinates.
        coordinates : Tensor
            ``[n, k]`` of the patterns that `found` is of.
        found : Found
            What to tell from a pattern.
        """
        k = filters.shape[1]
        self.coordinates[:k] = filters.T
        for channel, (jump, sign) in enumerate(found.sides):
            if sign:
                self.jumps[channel, :k] = sign * found.jumps[:, jump]
                self.thresholds[channel] = -sign * found.thresholds[jump]
        layers = distil(coordinates, found, HIDDEN)
        for number, (weight, bias) in enumerate(layers):
            into = getattr(self, f"weight{number}")
            into[: len(weight), : weight.shape[1]] = weight
            getattr(self, f"bias{number}")[: len(bias)] = bias

    def forward(self, flat: torch.Tensor) -> torch.Tensor:
        """Return ``[n, channel]`` for patterns ``[n, pixel]``; negative where there is nothing."""
        z = F.linear(flat, self.coordinates)
        linear = F.linear(z, self.jumps, self.thresholds)
        for number in range(2):
            z = F.gelu(
                F.linear(z, getattr(self, f"weight{number}"), getattr(self, f"bias{number}"))
            )
        return linear + F.linear(z, self.weight2, self.bias2)
