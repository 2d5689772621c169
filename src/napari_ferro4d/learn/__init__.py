"""Learning on scans: the autoencoder's embedding and the few-label classifier (needs torch).

Importing this package imports no torch; the first call of a function does.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = [
    "LINEAR",
    "PRESETS",
    "SCHEDULES",
    "Classification",
    "Embedding",
    "Phase",
    "Trainer",
    "TrainingState",
    "classify",
    "convert",
    "devices",
    "embed",
    "embed_in_process",
    "finished",
    "read_schedule",
    "train",
    "train_in_process",
    "traverse",
    "traverse_in_process",
]

_HOME = {
    "LINEAR": ".linear",
    "PRESETS": ".schedule",
    "SCHEDULES": ".schedule",
    "Classification": ".classifier",
    "Embedding": ".autoencoder",
    "Phase": ".schedule",
    "Trainer": ".process",
    "TrainingState": ".progress",
    "classify": ".classifier",
    "convert": ".reference_checkpoint",
    "devices": ".device",
    "embed": ".autoencoder",
    "embed_in_process": ".process",
    "finished": ".checkpoint",
    "read_schedule": ".schedule",
    "train": ".autoencoder",
    "train_in_process": ".process",
    "traverse": ".traversal",
    "traverse_in_process": ".process",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name], __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
