"""The course of a training, live: losses, what they are made of, and the channels that emerge."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_ferro4d.learn import TrainingState
from napari_ferro4d.viewer.widgets import Curve, CurveRows, LossPlot, hint

from .thumbnails import Thumbnails

__all__ = ["Course"]

_TERMS = {
    "reconstruction": "#3d9ad6",
    "activity": "#e08a1e",
    "similarity": "#2ca981",
    "divergence": "#e0603c",
    "kl": "#b66fc0",
}
"""The parts of the loss, in the order of the objective."""

_GREY = "#8d96a0"


class Course(QWidget):
    """Shows each `TrainingState` that a training reports."""

    def __init__(self) -> None:
        super().__init__()
        self.losses = LossPlot()
        self.rows = CurveRows()
        self._says = hint("Channels that show most structure:")
        self.thumbnails = Thumbnails()
        self.thumbnails.setToolTip(
            "The maps as they are now, on a coarse grid of probe positions; each on its own scale."
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for widget in (self.losses, self.rows, self._says, self.thumbnails):
            column.addWidget(widget)
        self.clear()

    def clear(self) -> None:
        """Forget the training before."""
        self._maps = None
        self.losses.show_losses(())
        self.rows.show_curves(())
        self.thumbnails.show_maps(None)
        self._says.hide()
        self.thumbnails.hide()

    def show_state(self, state: TrainingState) -> bool:
        """Show how far a training is; return whether that takes more room than before."""
        before = self.thumbnails.isHidden(), len(self.rows.curves)
        self.losses.show_losses(state.losses)
        self.rows.show_curves(_curves(state))
        maps = state.thumbnails
        if maps is not None and not np.array_equal(maps, self._maps, equal_nan=True):
            self._maps = maps
            self.thumbnails.show_maps(maps)
            self._says.show()
            self.thumbnails.show()
        return before != (self.thumbnails.isHidden(), len(self.rows.curves))


def _curves(state: TrainingState) -> list[Curve]:
    """Return what changes with the epochs, without terms that the objective does not use."""
    curves = [
        Curve(name.upper() if name == "kl" else name, tuple(state.terms[name]), colour)
        for name, colour in _TERMS.items()
        if _used(state.terms.get(name, ()))
    ]
    more: dict[str, Sequence[float]] = {
        "learning rate": state.learning_rates,
        "active channels": state.active,
    }
    return curves + [
        Curve(name, tuple(values), _GREY) for name, values in more.items() if _used(values)
    ]


def _used(values: Sequence[float]) -> bool:
    return any(value != 0 for value in values)
