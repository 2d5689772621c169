"""Training schedules: phases of epochs, each with its learning rate and loss weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

__all__ = ["PRESETS", "Phase", "learning_rate", "phase_at", "resize", "total_epochs"]


@dataclass(frozen=True)
class Phase:
    """Some epochs with the same loss weights.

    Parameters
    ----------
    epochs : int
        Length.
    learning_rate : float
        Of Adam; at the beginning of the phase.
    end_learning_rate : float or None
        At the end of the phase, reached along half a cosine; None keeps it constant.
    l1, similarity, divergence : float
        Weights (lambda) of the loss terms in `losses`.
    """

    epochs: int
    learning_rate: float
    end_learning_rate: float | None = None
    l1: float = 0.0
    similarity: float = 0.0
    divergence: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the phase as JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, header: Mapping[str, Any]) -> Phase:
        """Read what `to_json` wrote."""
        return cls(**header)


PRESETS: Mapping[str, tuple[Phase, ...]] = {
    # Ludacka et al. (2024), Methods: dataset DS1, the domains and the wall of Fig. 5a, b.
    "paper": (Phase(epochs=377, learning_rate=3e-5, l1=1e-5),),
    "compact": (
        Phase(epochs=5, learning_rate=1e-3, l1=2e-4),
        Phase(epochs=10, learning_rate=1e-3, end_learning_rate=5e-5, l1=1e-3),
    ),
}
"""The schedule of each preset of the autoencoder."""


def total_epochs(phases: Sequence[Phase]) -> int:
    """Return the length of a schedule.

    Examples
    --------
    >>> total_epochs(PRESETS["paper"])
    377
    """
    return sum(phase.epochs for phase in phases)


def resize(phases: Sequence[Phase], epochs: int) -> tuple[Phase, ...]:
    """Return the schedule stretched or shortened to `epochs`, every phase in proportion.

    Phases that would have no epoch left are dropped.

    Examples
    --------
    >>> [phase.epochs for phase in resize([Phase(20, 1e-3), Phase(10, 1e-4)], 15)]
    [10, 5]
    """
    total, past, begin = total_epochs(phases), 0, 0
    resized = []
    for phase in phases:
        past += phase.epochs
        end = round(past * epochs / total)
        if end > begin:
            resized.append(replace(phase, epochs=end - begin))
        begin = end
    return tuple(resized)


def phase_at(phases: Sequence[Phase], epoch: int) -> tuple[Phase, int]:
    """Return the phase that epoch number `epoch` (from 0) is in, and its number within it.

    Examples
    --------
    >>> phase_at([Phase(2, 1e-3), Phase(3, 1e-4)], 3)[1]
    1
    """
    for phase in phases:
        if epoch < phase.epochs:
            return phase, epoch
        epoch -= phase.epochs
    raise IndexError("the schedule is over")


def learning_rate(phase: Phase, progress: float) -> float:
    """Return the learning rate when `progress` (0 to 1) of a phase is over.

    Examples
    --------
    >>> learning_rate(Phase(10, 1e-3, end_learning_rate=0.0), 0.5)
    0.0005
    """
    end = phase.learning_rate if phase.end_learning_rate is None else phase.end_learning_rate
    share = (1 + math.cos(math.pi * progress)) / 2
    return end + (phase.learning_rate - end) * share
