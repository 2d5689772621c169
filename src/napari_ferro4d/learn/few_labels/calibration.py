"""How sure is sure: a temperature for the probabilities, and a strength for the spatial model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .head import log_softmax

Array = npt.NDArray[np.float64]

TEMPERATURES = np.geomspace(0.3, 3.0, 47)

SHARPER = 0.75
"""Temperature of the map in units of that of the labels held out: of the models that judge these,
each has seen fewer labels than the one of the map, and is right less often. Chosen on scans with
known truth (see the docs on benchmarks)."""

PRIOR = 5.0
"""Labels' worth of belief that the probabilities are right as they are: temperature 1."""


def likelihood(log_probability: Array, targets: npt.NDArray[np.int64], weights: Array) -> float:
    """Return the log-likelihood of `targets` ``[n]``, by evidence."""
    each = log_probability[np.arange(len(targets)), targets]
    return float((weights * each).sum())


def temperature(log_probability: Array, targets: npt.NDArray[np.int64], weights: Array) -> float:
    """Return the temperature at which held-out labels are most likely.

    A few labels cannot tell much of it: `PRIOR` labels say that it is 1, on a logarithmic scale.

    References
    ----------
    Guo et al., "On calibration of modern neural networks", ICML 2017.
    """
    worth = [
        likelihood(log_softmax(log_probability / t), targets, weights) - PRIOR * np.log(t) ** 2
        for t in TEMPERATURES
    ]
    return float(TEMPERATURES[int(np.argmax(worth))])


def best_strength(
    candidates: Sequence[Array], targets: npt.NDArray[np.int64], weights: Array
) -> int:
    """Return which of several log-probabilities ``[n, class]`` makes the labels most likely."""
    worth = [
        likelihood(log_softmax(one / temperature(one, targets, weights)), targets, weights)
        for one in candidates
    ]
    return int(np.argmax(worth))
