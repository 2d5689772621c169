"""The linear baselines as networks, of the arrays that `training.linear_fit` makes.

A channel is the length of its component's share of the pattern, in log(1 + counts): components
have unit norm.
"""

from __future__ import annotations

import torch

from .base import Autoencoder

SWEEPS = 200
"""Steps of the projected gradient: for 32 components of a scan, exact to single precision."""


class LinearAutoencoder(Autoencoder):
    """Principal or independent components: the mean pattern and what is added to it.

    Channels are scores about the mean pattern, and signed.

    Parameters
    ----------
    embedding : int
        Components.
    size : int
        Side of the input.
    """

    mean: torch.Tensor
    components: torch.Tensor
    unmixing: torch.Tensor

    def __init__(self, embedding: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("mean", torch.zeros(size * size))
        self.register_buffer("components", torch.zeros(embedding, size * size))
        self.register_buffer("unmixing", torch.zeros(embedding, size * size))

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Return the embedding ``[n, channel]`` of inputs ``[n, 1, size, size]``."""
        return (x.flatten(1) - self.mean) @ self.unmixing.T

    def decode(self, embedding: torch.Tensor) -> torch.Tensor:
        """Return the reconstruction ``[n, 1, size, size]`` of embeddings ``[n, channel]``."""
        flat = torch.addmm(self.mean, embedding, self.components)
        return flat.reshape(-1, 1, self.size, self.size)


class NonNegativeAutoencoder(Autoencoder):
    """Non-negative factors: a pattern is a sum of components, none of which is taken away.

    The channels are the least-squares solution of that, with none below 0.

    Parameters
    ----------
    embedding : int
        Components.
    size : int
        Side of the input.
    """

    components: torch.Tensor

    def __init__(self, embedding: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("components", torch.zeros(embedding, size * size))

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Return the embedding ``[n, channel]`` of inputs ``[n, 1, size, size]``."""
        return non_negative(x.flatten(1), self.components)

    def decode(self, embedding: torch.Tensor) -> torch.Tensor:
        """Return the reconstruction ``[n, 1, size, size]`` of embeddings ``[n, channel]``."""
        return (embedding @ self.components).reshape(-1, 1, self.size, self.size)


def non_negative(flat: torch.Tensor, components: torch.Tensor) -> torch.Tensor:
    """Return the shares ``[n, channel]``, none below 0, whose sum is most like patterns.

    Parameters
    ----------
    flat : Tensor
        Patterns ``[n, pixel]``.
    components : Tensor
        ``[channel, pixel]``.

    References
    ----------
    Beck and Teboulle, SIAM J. Imaging Sci. 2, 183 (2009), with the projection onto what is not
    negative, and the momentum begun anew, for each pattern, where it points uphill (O'Donoghue and
    Candes, Found. Comput. Math. 15, 715 (2015)).
    """
    # As double: components of patterns are much alike.
    gram = (components @ components.T).double()
    wanted = (flat @ components.T).double()
    step = 1.0 / torch.linalg.eigvalsh(gram)[-1].clamp_min(1e-30)
    now = torch.zeros_like(wanted)
    ahead, momentum = now, torch.ones_like(wanted[:, :1])
    for _ in range(SWEEPS):
        gradient = ahead @ gram - wanted
        after = (ahead - step * gradient).clamp_min(0.0)
        move = after - now
        uphill = (gradient * move).sum(dim=1, keepdim=True) > 0
        momentum = torch.where(uphill, 1.0, momentum)
        larger = (1 + (1 + 4 * momentum.square()).sqrt()) / 2
        ahead = after + (momentum - 1) / larger * move
        now, momentum = after, larger
    return now.float()
