"""What makes a checkpoint more than a model. Knows no torch.

A checkpoint holds the network as it was after the last whole epoch, the optimiser's arrays, and the
best network so far. The best is that of the epoch with the lowest mean loss, reconstruction and
penalties together, within the phase that is being trained: another phase weighs the penalties
differently, so that its losses do not compare.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from glob import escape
from pathlib import Path

from napari_ferro4d.errors import ModelError
from napari_ferro4d.io import TEMPORARY

from .model import Model

OPTIMIZER = "optimizer."
"""Prefix of the optimiser's arrays in a checkpoint; a finished model has none."""

BEST = "best."
"""Prefix of the best network's arrays; there are none where the last epoch is the best."""


def finished(model: Model, *, best: bool = False) -> Model:
    """Return the model of a checkpoint, without what only a resumed training needs.

    Parameters
    ----------
    model : Model
        From `load_model`.
    best : bool
        The network of the best epoch of the phase reached instead of that of the last epoch. Which
        epoch that is, and its loss, is in ``header["best"]``.

    Raises
    ------
    ModelError
        If the best is asked for of what is neither checkpoint nor model of `train`.
    """
    weights = {k: v for k, v in model.weights.items() if not k.startswith((OPTIMIZER, BEST))}
    kept = {k.removeprefix(BEST): v for k, v in model.weights.items() if k.startswith(BEST)}
    if best and not kept:
        epochs = len(model.header.get("history", {}).get("losses", ()))
        if model.header.get("best", {}).get("epoch") != epochs:
            raise ModelError(
                "the model holds the network of its last epoch alone, which is not the best; a "
                "checkpoint has both."
            )
    return replace(model, weights=kept if best and kept else weights)


def sweep(checkpoint: Path) -> None:
    """Remove what a process that was killed while it wrote `checkpoint` has left behind."""
    for left in checkpoint.parent.glob(f"{TEMPORARY}*-{escape(checkpoint.name)}"):
        with suppress(OSError):
            left.unlink()
