"""The `fast` model: convex classifiers, what the neighbours say, and the same again with both.

Few labels leave the classifiers unsure of what thickness and tilt do to the patterns; all other
patterns of the scan can tell them. So positions of which classifiers and neighbours are sure are
taken as labels of little weight, every class as often as it covers the scan, and the classifiers
are fitted again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .head import Head, fit_head, mean_log_probability
from .spatial import STRENGTHS, Grid, Strength, edges, spread

Array = npt.NDArray[np.float64]

ROUNDS = 2
"""Times that the classifiers are fitted again with what the map says."""

SURE = 0.9
"""Probability from which a position is taken as a label."""

BORROWED = 1000
"""Most positions taken as labels."""

SHARE = 1.0
"""Their weight together, in units of that of the labels."""

USUAL = STRENGTHS[2]
"""Of the spatial model between rounds, and where too few labels can be held out to choose."""


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted model on its scan.

    Parameters
    ----------
    heads : tuple of Head
        One for each scaling.
    log_probability : ndarray
        ``[y, x, class]`` of the heads alone.
    grid : Grid
        The graph of the scan.
    seeds : ndarray
        ``[y, x, class]``: the evidence of the labels.
    """

    heads: tuple[Head, ...]
    log_probability: Array
    grid: Grid
    seeds: Array

    def spread(self, strength: Strength) -> Array:
        """Return the probabilities with a strength of the spatial model, ``[y, x, class]``."""
        return spread(np.exp(self.log_probability), self.grid, strength, self.seeds)

    @property
    def usual(self) -> Array:
        """The probabilities with the usual strength, ``[y, x, class]``."""
        return self.spread(USUAL)


@dataclass(frozen=True, eq=False)
class Copies:
    """Labelled patterns turned and mirrored, where the user says what becomes of their classes.

    Parameters
    ----------
    inputs : tuple of ndarray
        ``[copy, n, feature]`` in each scaling; labels in scan order.
    targets : ndarray
        ``[copy, n]``: index of the class.
    positions : ndarray
        ``[n, 2]``: of the labels.
    """

    inputs: tuple[Array, ...]
    targets: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]

    def of(self, labelled: npt.NDArray[np.bool_]) -> Copies:
        """Return the copies of those labels that are at the positions ``[y, x]``."""
        kept = labelled[self.positions[:, 0], self.positions[:, 1]]
        inputs = tuple(one[:, kept] for one in self.inputs)
        return Copies(inputs, self.targets[:, kept], self.positions[kept])


def fit(
    inputs: Sequence[Array],
    targets: npt.NDArray[np.int64],
    weights: Array,
    classes: int,
    *,
    missing: npt.NDArray[np.bool_] | None = None,
    copies: Copies | None = None,
    rounds: int = ROUNDS,
    check: Callable[[], None] | None = None,
) -> Fit:
    """Fit the model.

    Parameters
    ----------
    inputs : sequence of ndarray
        ``[y, x, feature]``: the features in each scaling.
    targets : ndarray
        ``[y, x]``: index of the class, -1 where there is no label. Every class occurs.
    weights : ndarray
        ``[y, x]``: evidence of the labels.
    classes : int
        Number of classes.
    missing : ndarray, optional
        bool ``[y, x]``: positions without a pattern.
    copies : Copies, optional
        Turned copies of the labelled patterns; those of other labels are left out.
    rounds : int
        Times that the classifiers are fitted again.
    check : callable, optional
        Called between steps; may raise `Cancelled`.
    """
    labelled = targets >= 0
    turned = None if copies is None else copies.of(labelled)
    seeds = np.zeros((*targets.shape, classes))
    seeds[labelled, targets[labelled]] = weights[labelled]
    chosen, taught, worth = labelled, targets, weights
    evidence = float(weights.sum())
    for number in range(rounds + 1):
        if check is not None:
            check()
        heads = tuple(
            fit_head(*_taught(n, one, chosen, taught, worth, weights, turned), evidence, classes)
            for n, one in enumerate(inputs)
        )
        logits = [head.logits(one) for head, one in zip(heads, inputs, strict=True)]
        log_probability = mean_log_probability(logits)
        fitted = Fit(heads, log_probability, Grid(*edges(log_probability, missing)), seeds)
        if number < rounds:
            probability = fitted.usual
            chosen, taught, worth = _borrow(probability, targets, weights, missing)
    return fitted


def _taught(
    number: int,
    features: Array,
    chosen: npt.NDArray[np.bool_],
    taught: npt.NDArray[np.int64],
    worth: Array,
    weights: Array,
    turned: Copies | None,
) -> tuple[Array, npt.NDArray[np.int64], Array]:
    """Return the features, classes and weights to fit a head to; copies share a label's weight."""
    if turned is None:
        return features[chosen], taught[chosen], worth[chosen]
    each = weights[turned.positions[:, 0], turned.positions[:, 1]]
    inputs, count = turned.inputs[number], len(turned.targets)
    return (
        np.concatenate([features[chosen], inputs.reshape(-1, inputs.shape[-1])]),
        np.concatenate([taught[chosen], turned.targets.ravel()]),
        np.concatenate([worth[chosen], np.tile(each / max(1, count), count)]),
    )


def _borrow(
    probability: Array,
    targets: npt.NDArray[np.int64],
    weights: Array,
    missing: npt.NDArray[np.bool_] | None,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64], Array]:
    """Return labels with positions borrowed from a map: where, of which class, of what weight."""
    labelled = targets >= 0
    sure = (probability.max(axis=-1) > SURE) & ~labelled
    if missing is not None:
        sure &= ~missing
    places = np.flatnonzero(sure)
    # Drawn evenly, and the same each time.
    order = np.random.default_rng(0).permutation(len(places))[:BORROWED]
    borrowed = np.zeros(sure.size, bool)
    borrowed[places[order]] = True
    borrowed = borrowed.reshape(sure.shape)
    taught = np.where(labelled, targets, probability.argmax(axis=-1))
    worth = np.where(labelled, weights, SHARE * weights.sum() / max(1, borrowed.sum()))
    return labelled | borrowed, taught, worth
