"""The beta-VAE that the paper compares its autoencoder with, around any autoencoder.

References
----------
Ludacka et al., npj Comput. Mater. 10, 106 (2024), doi:10.1038/s41524-024-01265-y, Supplementary
Fig. 1; ``Variational_Encoder`` and ``VariationalAutoencoder`` in its code (PyPI ``m3_learning``).
Higgins et al., beta-VAE, ICLR 2017.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from .base import Autoencoder


class VariationalAutoencoder(Autoencoder):
    """An autoencoder whose embedding is a normal distribution in each channel.

    Behind the encoder, its ReLU included, two linear layers give the mean and the logarithm of the
    variance. Training decodes a sample; everything else uses the mean, which may be negative.

    The reference starts the two layers at random. Here `start` lets the means be what the encoder
    says, so that training begins with the autoencoder that is wrapped.

    Parameters
    ----------
    base : Autoencoder
        What to wrap.
    embedding : int
        Its channels.
    """

    def __init__(self, base: Autoencoder, embedding: int) -> None:
        super().__init__()
        self.base = base
        self.mean = nn.Linear(embedding, embedding)
        self.log_variance = nn.Linear(embedding, embedding)

    @torch.no_grad()
    def start(self, patterns: torch.Tensor, places: Sequence[npt.NDArray[np.int64]] = ()) -> None:
        """Start what is wrapped, and the distributions narrow and about what it says."""
        self.base.start(patterns, places)
        self.scale.copy_(self.base.scale)
        nn.init.eye_(self.mean.weight)
        nn.init.zeros_(self.mean.bias)
        nn.init.zeros_(self.log_variance.weight)
        nn.init.constant_(self.log_variance.bias, -4.0)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean ``[n, channel]`` of the embedding of inputs ``[n, 1, size, size]``."""
        mean: torch.Tensor = self.mean(self.base.encode(x))
        return mean

    def frozen_encode(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return `encode` for weights as they are, prepared for many patterns."""
        encode = self.base.frozen_encode()
        return lambda x: self.mean(encode(x))

    def decode(self, embedding: torch.Tensor) -> torch.Tensor:
        """Return the reconstruction ``[n, 1, size, size]`` of embeddings ``[n, channel]``."""
        return self.base.decode(embedding)

    def noise(self, count: int) -> torch.Tensor:
        """Return standard normal numbers ``[count, channel]`` from torch's generator."""
        # Drawn on the CPU: the same for the same seed on every device.
        return torch.randn(count, self.mean.out_features).to(self.mean.weight)

    def latent(
        self, x: torch.Tensor, noise: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a sample of the embedding, while training, or else its mean; and the KL term."""
        hidden = self.base.encode(x)
        mean, log_variance = precise(self.mean(hidden)), precise(self.log_variance(hidden))
        kl = kullback_leibler(mean, log_variance)
        if not self.training:
            return mean, kl
        if noise is None:
            noise = self.noise(len(x))
        return mean + torch.exp(0.5 * log_variance) * noise, kl


def kullback_leibler(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Return the divergence of normal distributions ``[n, channel]`` from the standard one.

    Averaged over patterns and channels, as in the paper's code; the sum over channels that the
    beta-VAE is usually given with is larger by their number.
    """
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).mean()


def precise(values: torch.Tensor) -> torch.Tensor:
    """Return values in at least float32: sums over a batch need more than half precision."""
    return values if values.dtype == torch.float64 else values.float()
