"""What makes a checkpoint more than a model: the optimiser's arrays. Knows no torch."""

from __future__ import annotations

from dataclasses import replace

from napari_ferro4d.io import Model

__all__ = ["OPTIMIZER", "finished"]

OPTIMIZER = "optimizer."
"""Prefix of the optimiser's arrays in a checkpoint; a finished model has none."""


def finished(model: Model) -> Model:
    """Return the model of a checkpoint, without what only a resumed training needs."""
    weights = {k: v for k, v in model.weights.items() if not k.startswith(OPTIMIZER)}
    return replace(model, weights=weights)
