"""The course of a training, live: losses, what they are made of, and the channels that emerge."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_ferro4d.learn import TrainingState
from napari_ferro4d.viewer.widgets import PlotCanvas, hint

from .thumbnails import Thumbnails

_BLUE = "#3d9ad6"
"""Seen as well on napari's dark background as on its light one."""

_TERMS = {
    "reconstruction": _BLUE,
    "activity": "#e08a1e",
    "similarity": "#2ca981",
    "divergence": "#e0603c",
    "kl": "#b66fc0",
}
"""The parts of the loss, in the order of the objective."""

_GREY = "#8d96a0"


class LossPlot(PlotCanvas):
    """Shows a sequence of losses, on a logarithmic scale where they span a decade."""

    def __init__(self) -> None:
        super().__init__(height=(96, 106, 170), margins=(4.5, 1.0, 0.6, 3.2))
        self._losses: tuple[float, ...] = ()
        (self._line,) = self.axes.plot([], [], color=_BLUE, marker="o", ms=4)
        self.axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        self.setToolTip("Loss after each epoch; it should fall and level off.")
        self.show_losses(())

    @property
    def losses(self) -> tuple[float, ...]:
        """The losses shown."""
        return self._losses

    def show_losses(self, losses: Sequence[float]) -> None:
        """Show losses, one per epoch."""
        self._losses = tuple(float(v) for v in losses if math.isfinite(v))
        if self._losses:
            epochs = range(1, len(self._losses) + 1)
            self._line.set(data=(epochs, self._losses), markevery=[-1])
            self.axes.relim()
            self.axes.set_yscale("log" if _spans_a_decade(self._losses) else "linear")
            self.axes.autoscale()
            ends = sorted({min(self._losses), max(self._losses)})
            self.axes.set_yticks(ends, [f"{loss:.3g}" for loss in ends])
            self.axes.minorticks_off()
            self.axes.set_xlabel(f"epoch {len(self._losses)}: loss {self._losses[-1]:.4g}")
        self.show_instead("" if self._losses else "loss per epoch")
        self.draw_idle()


@dataclass(frozen=True)
class Curve:
    """A quantity per epoch, for a row of its own.

    Parameters
    ----------
    name : str
        What it is.
    values : tuple of float
        One per epoch.
    colour : str
        Of the line.
    """

    name: str
    values: tuple[float, ...]
    colour: str = _BLUE


class CurveRows(PlotCanvas):
    """Shows quantities of different units below each other: name, curve on its own scale, value."""

    def __init__(self) -> None:
        super().__init__(height=(0, 0, 0), margins=(9.8, 6.5, 0.2, 0.2))
        self._curves: tuple[Curve, ...] = ()
        self.setToolTip(
            "Each on its own scale, from its lowest value to its highest (logarithmic where they\n"
            "are far apart), and its last value. The parts of the loss are without their weights."
        )

    @property
    def curves(self) -> tuple[Curve, ...]:
        """The curves shown."""
        return self._curves

    def show_curves(self, curves: Sequence[Curve]) -> None:
        """Show curves, the first on top."""
        self._curves = tuple(curves)
        self.axes.clear()
        self.axes.set_axis_off()
        self.axes.set_ylim(max(1, len(curves)), 0)
        for row, curve in enumerate(curves):
            self._draw_row(row, curve)
        self.setFixedHeight(len(curves) * round(1.5 * self.fontMetrics().height()))
        self.draw_idle()

    def _draw_row(self, row: int, curve: Curve) -> None:
        side: dict[str, Any] = {"transform": self.axes.get_yaxis_transform(), "va": "center"}
        self.axes.text(-0.04, row + 0.5, curve.name, ha="right", **side)
        values = np.asarray(curve.values, float)
        (epochs,) = np.nonzero(np.isfinite(values))
        if not epochs.size:
            return
        values = values[epochs]
        self.axes.text(1.04, row + 0.5, f"{values[-1]:.4g}", ha="left", **side)
        if _spans_a_decade(values):
            values = np.log(values)
        share = (values - values.min()) / np.ptp(values) if np.ptp(values) else 0.5 + 0 * values
        # All curves end at the right; one that has a single value is a dot there.
        across = epochs / epochs[-1] if epochs[-1] else [1.0]
        line: dict[str, Any] = {
            "color": curve.colour,
            "lw": 1.6,
            "marker": "o",
            "ms": 5,
            "markevery": [-1],
        }
        self.axes.plot(across, row + 0.8 - 0.6 * share, clip_on=False, **line)


def _spans_a_decade(values: Sequence[float] | np.ndarray) -> bool:
    return min(values) > 0 and max(values) > 10 * min(values)


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
        self._maps: np.ndarray | None = None
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
        before_maps = () if self._maps is None else self._maps
        if maps is not None and not np.array_equal(maps, before_maps, equal_nan=True):
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
