"""The loss terms of the autoencoder, as the reference implementation evaluates them.

``loss = MSE + l1 * activity + similarity_weight * similarity - divergence_weight * divergence``

The paper's text adds the divergence term; its code subtracts it, which is what we do. Each term
here is without its weight, and is vectorised: the reference loops over the batch in Python.

References
----------
Ludacka et al., npj Comput. Mater. 10, 106 (2024), doi:10.1038/s41524-024-01265-y, Methods.
"""

from __future__ import annotations

import torch

__all__ = ["activity", "divergence", "similarity"]

_EPSILON = 1e-8
"""Smallest norm that a cosine divides by, as in ``torch.nn.functional.cosine_similarity``."""


def activity(embedding: torch.Tensor) -> torch.Tensor:
    """Return the sum of absolute activations of a batch ``[n, channel]``, divided by n."""
    return embedding.abs().sum() / len(embedding)


def similarity(embedding: torch.Tensor) -> torch.Tensor:
    """Return how parallel the embedding vectors of a batch ``[n, channel]`` are.

    The sum of the cosines between all ordered pairs of different non-zero vectors, divided by
    twice the whole batch (the zero vectors counted). With unit vectors ``u`` that double sum is
    ``|sum u|^2 - count``, one pass instead of n^2 cosines.
    """
    nonzero = embedding.sum(dim=1) != 0
    norm = torch.linalg.vector_norm(embedding, dim=1, keepdim=True).clamp_min(_EPSILON)
    unit = torch.where(nonzero[:, None], embedding / norm, 0.0)
    pairs = unit.sum(dim=0).square().sum() - nonzero.sum()
    return pairs / (2 * len(embedding))


def divergence(embedding: torch.Tensor) -> torch.Tensor:
    """Return how far apart the non-zero activations of each vector of ``[n, channel]`` are.

    Half the sum of absolute differences over all ordered pairs of non-zero activations of a
    vector, averaged over the batch.
    """
    nonzero = embedding != 0
    apart = (embedding[:, :, None] - embedding[:, None, :]).abs()
    both = nonzero[:, :, None] & nonzero[:, None, :]
    return torch.where(both, apart, 0.0).sum() / (2 * len(embedding))
