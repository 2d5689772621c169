"""Which patterns are unlike all that is labelled."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .fast_model import SURE

Array = npt.NDArray[np.float64]

REFERENCES = 1000
"""Most patterns kept in a model, to tell whether others are like them."""

NEAR_SHARE = 0.9
"""Of the positions of which the model is sure, those nearest to a labelled pattern are known. A
class that nobody has labelled may be called another with confidence; it is farther away."""

USUAL_SHARE = 0.99
"""Of the known patterns: `ROOM` times their distance is what a pattern may be away."""

ROOM = 1.5
"""The tenth of the positions that was not taken for known is mostly of the same kinds."""


def known_patterns(
    features: Array,
    labelled: npt.NDArray[np.bool_],
    probability: Array,
    missing: npt.NDArray[np.bool_] | None,
) -> tuple[Array, float]:
    """Return patterns ``[n, k]`` that are known, and how far others of their kind are from them.

    Parameters
    ----------
    features : ndarray
        ``[y, x, k]`` in the scaling `calm`.
    labelled : ndarray
        bool ``[y, x]``.
    probability : ndarray
        ``[y, x, class]``.
    missing : ndarray, optional
        bool ``[y, x]``: positions without a pattern.
    """
    base = features[labelled]
    sure = (probability.max(axis=-1) > SURE) & ~labelled
    if missing is not None:
        sure &= ~missing
    others = features[sure]
    if len(others) < 2:
        return base, _reach(distances(base, base[::-1]))
    far = distances(others, base)
    known = others[far <= np.quantile(far, NEAR_SHARE)]
    order = np.random.default_rng(0).permutation(len(known))
    half = max(1, min(REFERENCES, len(known) // 2))
    reference = np.concatenate([base, known[order[:half]]])
    rest = known[order[half : 3 * half]]
    return reference, _reach(distances(rest if len(rest) else known, reference))


def distances(features: Array, reference: npt.NDArray[Any]) -> Array:
    """Return the distance of features ``[..., k]`` to the nearest of ``[n, k]``."""
    flat = features.reshape(-1, features.shape[-1])
    known = reference.astype(np.float64)
    squares = (known**2).sum(axis=1)
    found = np.empty(len(flat))
    for start in range(0, len(flat), 4096):
        part = flat[start : start + 4096]
        apart = (part**2).sum(axis=1)[:, None] + squares - 2 * part @ known.T
        found[start : start + 4096] = apart.min(axis=1)
    return np.asarray(np.sqrt(np.maximum(found, 0)).reshape(features.shape[:-1]))


def _reach(far: Array) -> float:
    reach = ROOM * float(np.quantile(far, USUAL_SHARE))
    return reach if reach > 0 else 1.0
