"""What training and use need of a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn


def conv(channels_in: int, channels_out: int, stride: int = 1) -> nn.Conv2d:
    """Return a convolution 3 x 3 that keeps the side of its input (divided by `stride`)."""
    return nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1)


class Autoencoder(nn.Module, ABC):
    """What training and embedding need of an autoencoder."""

    scale: torch.Tensor
    """Unit of the input in which the reconstruction error is counted."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(1))

    def start(self, patterns: torch.Tensor, places: Sequence[npt.NDArray[np.int64]] = ()) -> None:
        """Take over what is to be known of patterns before training.

        Parameters
        ----------
        patterns : Tensor
            ``[n, 1, size, size]``.
        places : sequence of ndarray
            Parts of scans, each ``[y, x]``: the number of the pattern among `patterns`, -1 where
            there is none.
        """

    @abstractmethod
    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Return the embedding ``[n, channel]`` of inputs ``[n, 1, size, size]``."""

    def frozen_encode(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return `encode` for weights as they are, prepared for many patterns."""
        return self.encode

    @abstractmethod
    def decode(self, embedding: torch.Tensor) -> torch.Tensor:
        """Return the reconstruction ``[n, 1, size, size]`` of embeddings ``[n, channel]``."""

    def noise(self, count: int) -> torch.Tensor | None:
        """Return the random numbers ``[count, channel]`` that `latent` takes; None if it does not.

        They are drawn from torch's generator, so that its seed decides.
        """
        return None

    def latent(
        self, x: torch.Tensor, noise: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what training decodes.

        Returns
        -------
        embedding : Tensor
            ``[n, channel]``.
        kl : Tensor
            How far its distribution is from the standard normal one, a mean over the patterns;
            zero where it is no distribution.
        """
        return self.encode(x), x.new_zeros(())


def principal_components(centred: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return up to `count` axes ``[pixel, axis]`` of ``[n, pixel]`` and the deviations along them.

    Axes along which nothing varies are left out. Randomised, so seed torch first.
    """
    rank = min(count + 8, *centred.shape)
    axes = torch.svd_lowrank(centred, q=rank, niter=3)[2][:, :count]
    deviations = (centred @ axes).square().mean(dim=0).sqrt()
    varies = deviations > 1e-6 * deviations.max().clamp_min(1e-30)
    return axes[:, varies], deviations[varies]
