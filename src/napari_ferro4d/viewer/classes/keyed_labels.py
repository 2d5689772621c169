"""Labels given to one position at a time, and taken back.

They are written through the labels layer's own history, so that napari's undo takes them back like
a stroke of the brush. A decision that was painted on the prediction at the same position is
replaced with it: what the user said last counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import find_layer

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels

Position = tuple[int, int]


@dataclass(frozen=True)
class _Change:
    """One position of one layer: what it showed, and what it shows since."""

    layer: Labels
    position: Position
    before: int
    after: int

    @property
    def stands(self) -> bool:
        return int(self.layer.data[self.position]) == self.after

    def take_back(self) -> None:
        """Undo it as napari would, if it is the last thing that happened to the layer."""
        layer = self.layer
        now = np.array(layer.data)
        wanted = now.copy()
        wanted[self.position] = self.before
        layer.undo()
        if np.array_equal(layer.data, wanted):
            return
        # Something was painted since, or the history does not go back so far.
        if not np.array_equal(layer.data, now):
            layer.redo()
        write(layer, self.position, self.before)


class KeyedLabels:
    """Labels single positions, and remembers in which order.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        The viewer with the labels layers.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._done: list[tuple[_Change, ...]] = []

    def put(self, layer: Labels, scan: Scan, position: Position, number: int) -> None:
        """Label a position of `scan` with class `number`, 0 for none."""
        changes = [
            _Change(one, position, before, number)
            for one in (layer, *self._corrected(scan, position))
            if (before := int(one.data[position])) != number
        ]
        layer.visible = True  # to see what is labelled
        for change in changes:
            write(change.layer, position, number)
        if changes:
            self._done.append(tuple(changes))

    def take_back(self) -> Position | None:
        """Undo the last label that still stands; return its position, or None if none does."""
        while self._done:
            changes = [
                one for one in self._done.pop() if one.layer in self._viewer.layers and one.stands
            ]
            for change in changes:
                change.take_back()
            if changes:
                return changes[0].position
        return None

    def _corrected(self, scan: Scan, position: Position) -> list[Labels]:
        """Return the prediction of the scan, where the user corrected it at this position."""
        kept = find_layer(self._viewer, scan.signature, "corrections")
        prediction = find_layer(self._viewer, scan.signature, "prediction")
        if kept is None or prediction is None or not kept.data[position]:
            return []
        return [prediction]


def write(layer: Labels, position: Position, number: int) -> None:
    """Write one position of a labels layer, in a way that napari's undo takes back."""
    y, x = position
    visible = layer.visible
    layer.visible = True  # napari fails to write to a layer that it never showed
    with layer.block_history():
        layer.data_setitem((np.array([y]), np.array([x])), number)
    layer.visible = visible
