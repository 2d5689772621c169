"""What a training shows while it runs."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TrainingState"]


@dataclass(frozen=True)
class TrainingState:
    """The `partial` of every `Progress` that a training reports.

    Parameters
    ----------
    epoch : int
        Epochs finished.
    epochs : int
        Epochs in all.
    losses : tuple of float
        Mean training loss of each epoch finished.
    validation : tuple of float
        Loss on held-out positions after each epoch; empty where none are held out.
    """

    epoch: int
    epochs: int
    losses: tuple[float, ...] = ()
    validation: tuple[float, ...] = ()
