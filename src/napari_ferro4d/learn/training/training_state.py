"""What a training shows while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class TrainingState:
    """The `partial` of every `Progress` that a training reports.

    Parameters
    ----------
    epoch : int
        Epochs finished.
    epochs : int
        Epochs in all; for the schedule ``"auto"``, which ends when maps no longer change, the most
        that are still possible.
    losses : tuple of float
        Mean training loss of each epoch finished.
    validation : tuple of float
        Loss on held-out positions after each epoch; empty where none are held out.
    terms : mapping of str to tuple of float
        What the loss was made of in each epoch: ``reconstruction``, ``activity``, ``similarity``,
        ``divergence`` and ``kl``, each without its weight; the similarity, which couples all
        patterns of a batch, is 0 while it has no weight. Empty for a classifier.
    learning_rates : tuple of float
        At the end of each epoch.
    active : tuple of int
        Number of active channels after each epoch, counted on a grid of probe positions.
    thumbnails : ndarray or None
        float32 ``[k, y, x]``: up to six channels, the most structured first, on a thinned grid of
        at most 32 x 32 probe positions of the first scan; NaN where the file lacks a pattern. A new
        array whenever it is refreshed, every few seconds at most.
    """

    epoch: int
    epochs: int
    losses: tuple[float, ...] = ()
    validation: tuple[float, ...] = ()
    terms: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    learning_rates: tuple[float, ...] = ()
    active: tuple[int, ...] = ()
    thumbnails: npt.NDArray[np.float32] | None = None
