"""What training an autoencoder minimises, and its terms.

``total = MSE + l1 * activity + similarity_weight * similarity - divergence_weight * divergence
+ beta * KL``

The terms are those of the code of the paper (PyPI ``m3_learning``), without its loops in Python.
Where code and text of the paper differ, in the divergence, both readings are here. The code also
adds the constant 0.5 to the loss of a batch whose activity is zero; a constant has no gradient and
changes no training, so it is left out.

References
----------
Ludacka et al., npj Comput. Mater. 10, 106 (2024), doi:10.1038/s41524-024-01265-y, Methods.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from napari_ferro4d.learn.networks import Autoencoder, precise

from .schedule import Phase

Reading = Literal["code", "text"]
"""How to read the divergence term: as the paper's code has it, or as its text."""

_EPSILON = 1e-8
"""Smallest norm that a cosine divides by, as in ``torch.nn.functional.cosine_similarity``."""


@dataclass(frozen=True, eq=False)
class Terms:
    """The loss of a batch, or the share of a part of it, and what it is made of.

    Parameters
    ----------
    total : Tensor
        The weighted sum, which training minimises.
    reconstruction : Tensor
        Mean squared error, in the network's unit `Autoencoder.scale`.
    activity, similarity, divergence, kl : Tensor
        The penalties, each without its weight and before its sign.
    """

    total: torch.Tensor
    reconstruction: torch.Tensor
    activity: torch.Tensor
    similarity: torch.Tensor
    divergence: torch.Tensor
    kl: torch.Tensor


@dataclass(frozen=True, eq=False)
class Whole:
    """What a part of a batch has to know of the whole batch; see `survey`.

    Parameters
    ----------
    patterns : int
        How many patterns the whole batch has.
    direction : Tensor or None
        The sum ``[channel]`` of the unit vectors of all embeddings in the batch. None where the
        similarity has no weight: a part then counts the pairs within itself alone.
    """

    patterns: int
    direction: torch.Tensor | None = None


def objective(
    network: Autoencoder,
    batch: torch.Tensor,
    phase: Phase,
    reading: Reading = "code",
    *,
    noise: torch.Tensor | None = None,
    whole: Whole | None = None,
) -> Terms:
    """Return the loss of a batch of patterns.

    Parameters
    ----------
    network : Autoencoder
        Whose `latent` and `decode` are asked.
    batch : Tensor
        Preprocessed patterns ``[n, 1, size, size]``.
    phase : Phase
        The weights.
    reading : {"code", "text"}
        The divergence over non-zero activations, subtracted (the paper's code), or over all
        components, added (its text).
    noise : Tensor, optional
        What a variational network is to sample with, from `Autoencoder.noise`; None draws it.
    whole : Whole, optional
        Where `batch` is a part of a larger batch, what is to be known of that one. The terms of all
        parts then add up to those of the whole batch, and so do their gradients.

    Returns
    -------
    Terms
        Scalars, of which ``total`` is to be differentiated.
    """
    embedding, kl = network.latent(batch, noise)
    image = network.decode(embedding)
    embedding, image = precise(embedding), precise(image)
    share = 1.0 if whole is None else len(batch) / whole.patterns
    # In the network's unit, so that the weights mean the same on every scan.
    reconstruction = share * (image - batch).square().mean() / network.scale.squeeze() ** 2
    active = share * activity(embedding)
    apart = share * divergence(embedding, reading)
    alike = similarity(embedding, whole)
    kl = share * kl
    sign = -1.0 if reading == "code" else 1.0
    total = (
        reconstruction
        + phase.l1 * active
        + phase.similarity * alike
        + sign * phase.divergence * apart
        + phase.beta * kl
    )
    return Terms(total, reconstruction, active, alike, apart, kl)


@torch.no_grad()
def survey(
    network: Autoencoder,
    batch: torch.Tensor,
    phase: Phase,
    part: int,
    noise: torch.Tensor | None = None,
) -> Whole:
    """Return what the parts of a batch have to know of it, for `objective`.

    All terms but one are means over the patterns, so that parts add up. The similarity couples all
    patterns, yet through one vector alone, the sum of their directions: where it has a weight, it
    takes one pass of the encoder, `part` patterns at a time, that keeps nothing for a gradient.
    Over several processes, sizes and directions add up.

    Parameters
    ----------
    network, batch, phase, noise
        As for `objective`, of the whole batch.
    part : int
        Patterns at a time.
    """
    if not phase.similarity:
        return Whole(len(batch))
    direction: torch.Tensor | float = 0.0
    for begin in range(0, len(batch), part):
        here = slice(begin, begin + part)
        drawn = None if noise is None else noise[here]
        unit, _ = _unit(precise(network.latent(batch[here], drawn)[0]))
        direction = direction + unit.sum(dim=0)
    assert isinstance(direction, torch.Tensor)
    return Whole(len(batch), direction)


def activity(embedding: torch.Tensor) -> torch.Tensor:
    """Return the sum of absolute activations of a batch ``[n, channel]``, divided by n."""
    return embedding.abs().sum() / len(embedding)


def similarity(embedding: torch.Tensor, whole: Whole | None = None) -> torch.Tensor:
    """Return how parallel the embedding vectors of a batch ``[n, channel]`` are.

    The sum of the cosines between all ordered pairs of different non-zero vectors, divided by
    twice the whole batch (the zero vectors counted). With unit vectors ``u`` that double sum is
    ``|sum u|^2 - count``, one pass instead of n^2 cosines.

    With `whole`, the share of this part of a larger batch.
    """
    unit, count = _unit(embedding)
    own = unit.sum(dim=0)
    pairs = own.square().sum() - count
    if whole is None:
        return pairs / (2 * len(embedding))
    if whole.direction is not None:
        # Half of the pairs with a vector elsewhere count here, the other half there. To the
        # gradient each contributes in full, as what is elsewhere is a constant here: the second
        # line is zero but for its gradient.
        elsewhere = whole.direction - own.detach()
        # No products of matrices, which are in half precision where that is used.
        pairs = pairs + (own * elsewhere).sum()
        pairs = pairs + ((own - own.detach()) * elsewhere).sum()
    return pairs / (2 * whole.patterns)


def divergence(embedding: torch.Tensor, reading: Reading = "code") -> torch.Tensor:
    """Return how far apart the activations of each vector of a batch ``[n, channel]`` are.

    Half the sum of absolute differences over all ordered pairs of activations of a vector, of the
    non-zero ones alone (``"code"``) or of all (``"text"``), averaged over the batch.

    In that double sum each activation stands as often with a plus as there are smaller ones and
    with a minus as there are larger ones: sorting counts them, where the definition takes d^2
    differences. Equal activations have no gradient towards each other, as in the definition.
    """
    values = embedding.detach()
    ordered = values.sort(dim=1).values
    smaller = torch.searchsorted(ordered, values)
    larger = values.shape[1] - torch.searchsorted(ordered, values, right=True)
    surplus = (smaller - larger).to(embedding.dtype)
    if reading == "code":
        zeros = (values == 0).sum(dim=1, keepdim=True)
        surplus = torch.where(values == 0, 0.0, surplus - zeros * values.sign())
    elif reading != "text":
        raise ValueError(f"the divergence has the readings 'code' and 'text', not {reading!r}")
    return (surplus * embedding).sum() / len(embedding)


def _unit(embedding: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the vectors of a batch at length 1, zero vectors at 0, and how many are not zero."""
    nonzero = embedding.sum(dim=1) != 0
    norm = torch.linalg.vector_norm(embedding, dim=1, keepdim=True).clamp_min(_EPSILON)
    return torch.where(nonzero[:, None], embedding / norm, 0.0), nonzero.sum()
