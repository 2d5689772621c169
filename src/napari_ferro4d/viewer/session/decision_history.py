"""What was decided at every step of the undo history of a prediction layer.

napari keeps, of every stroke, the pixels that were there before. Those of a machine are old as soon
as there is a newer prediction, and undo would put them back as if the user had painted them. So
of an undo only the step is taken from napari: what was decided at that step is known here, and the
rest is the machine's of today.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .label_merging import decisions, shown

if TYPE_CHECKING:
    from napari.layers import Labels


class DecisionHistory:
    """Follows the strokes, undos and redos on one prediction layer.

    Parameters
    ----------
    layer : napari.layers.Labels
        Shows what `machine` predicted, with `decided` on top.
    machine, decided : ndarray
        Integer ``[y, x]``, 0 = none.
    """

    def __init__(self, layer: Labels, machine: np.ndarray, decided: np.ndarray) -> None:
        self._layer = layer
        self.machine = machine
        self._steps = [decided]
        self._now = 0
        self._start()
        layer.events.editable.connect(self._on_editable)

    @property
    def decided(self) -> np.ndarray:
        """What is decided now ``[y, x]``."""
        return self._steps[self._now]

    @property
    def in_stroke(self) -> bool:
        """Whether the user holds the mouse button down, half-way through a stroke."""
        return bool(self._layer._block_history)

    def follow(self, item: Any = None) -> None:
        """Take up what happened to the layer.

        Parameters
        ----------
        item : list, optional
            The step that a stroke added to napari's history, as its event `paint` says. That event
            comes before the stroke is in the data, or after; what it painted is in the step.
        """
        if self._layer.data.shape != self.machine.shape:  # somebody exchanged the data
            return
        undo, redo = len(self._layer._undo_history), len(self._layer._redo_history)
        if item is not None:
            self._add(_painted(np.array(self._layer.data), item), undo)
        elif self.in_stroke:
            return
        elif undo + redo + 1 > len(self._steps):
            self._start()
        elif undo != self._now:
            self._now = undo
            self.write()
        else:  # the end of a stroke that was given up, or somebody wrote past the history
            del self._steps[undo + redo + 1 :]
            self._steps[self._now] = self._decisions(self._layer.data)

    def predict(self, machine: np.ndarray) -> None:
        """Show another prediction under what is decided."""
        self.follow()
        self.machine = machine
        self.write()

    def merge(self, decided: np.ndarray) -> None:
        """Take over what was decided elsewhere, but not here; it outlasts every undo."""
        self.follow()
        if decided.shape == self.machine.shape:
            news = np.where(self.decided > 0, 0, decided).astype(decided.dtype)
            self._steps = [shown(step, news) for step in self._steps]
            self.write()

    def write(self) -> None:
        """Show the prediction and what is decided, past napari's history."""
        wanted = shown(self.machine, self.decided)
        if wanted.dtype.itemsize > self._layer.data.dtype.itemsize:  # for more than 255 classes
            self._layer.data = wanted
        elif not np.array_equal(self._layer.data, wanted):
            self._layer.data[...] = wanted
            self._layer.refresh()

    def _add(self, now: np.ndarray, undo: int) -> None:
        full = undo == self._layer._undo_history.maxlen and self._now == undo
        if full:  # the oldest step fell out of napari's history
            del self._steps[0]
        # While the layer is hidden an undo says nothing: the step before is the one below.
        self._now = min(undo, len(self._steps)) - 1
        decided = self._decisions(now)
        self._steps = [*self._steps[: self._now + 1], decided]
        self._now += 1

    def _decisions(self, now: np.ndarray) -> np.ndarray:
        return decisions(np.asarray(now), self.machine, self.decided)

    def _start(self) -> None:
        """Begin anew, with as many steps as napari has."""
        undo, redo = len(self._layer._undo_history), len(self._layer._redo_history)
        self._steps = [self._decisions(self._layer.data)] * (undo + redo + 1)
        self._now = undo

    def _on_editable(self, event: Any = None) -> None:
        # napari forgets its history when a layer is locked.
        if not self._layer._undo_history and not self._layer._redo_history:
            self._start()


def _painted(data: np.ndarray, item: Any) -> np.ndarray:
    """Return `data` with a step of napari's history in it."""
    for change in item:
        if hasattr(change, "slice_key"):
            region = data[change.slice_key]
            region[... if change.mask is None else change.mask] = change.new_value
        else:
            where, _, value = change
            data[where] = value
    return data
