"""The classifiers themselves: one convex one for each scaling of the features, and their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

PENALTY = 20.0
"""Of the squared coefficients, against the mean log-likelihood of a label; at most `MOST_PENALTY`
against that of one label."""

MOST_PENALTY = 1.0


@dataclass(frozen=True, eq=False)
class Head:
    """Multinomial logistic regression on one scaling.

    Parameters
    ----------
    coefficients : ndarray
        ``[feature, class]``, centred over the classes.
    intercept : ndarray
        ``[class]``.
    """

    coefficients: Array
    intercept: Array

    def logits(self, features: Array) -> Array:
        """Return ``[..., class]``."""
        return np.asarray(features @ self.coefficients + self.intercept)


def fit_head(
    features: Array,
    targets: npt.NDArray[np.int64],
    weights: Array,
    evidence: float,
    classes: int,
) -> Head:
    """Fit one classifier to features ``[n, feature]`` of classes 0 to `classes` - 1, all present.

    `weights` are those of the patterns, `evidence` is how many independent labels there are: the
    more there are, the less is left to the penalty.
    """
    from sklearn.linear_model import LogisticRegression

    penalty = min(MOST_PENALTY, PENALTY / max(evidence, 1.0))
    fitted = LogisticRegression(C=1 / penalty, max_iter=500, tol=1e-4)
    # Products of a few thousand numbers: more threads would mostly wait for each other, on a busy
    # machine ten times as long.
    with _threads().limit(limits=1, user_api="blas"):
        fitted.fit(features, targets, sample_weight=weights)
    coefficients, intercept = fitted.coef_.T, fitted.intercept_
    if classes == 2:
        coefficients = np.concatenate([-coefficients, coefficients], axis=1) / 2
        intercept = np.array([-intercept[0], intercept[0]]) / 2
    return Head(coefficients - coefficients.mean(axis=1, keepdims=True), intercept)


@cache
def _threads() -> Any:
    """Return what limits threads, once the libraries that have some are loaded."""
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()


def mean_log_probability(logits: Sequence[Array]) -> Array:
    """Return the mean of the log-probabilities ``[..., class]`` of several classifiers."""
    return log_softmax(np.mean([log_softmax(one) for one in logits], axis=0))


def log_softmax(logits: Array) -> Array:
    """Return log-probabilities of logits ``[..., class]``."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))
