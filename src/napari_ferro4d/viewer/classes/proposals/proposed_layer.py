"""The layer of proposed labels, and what becomes of them: taken to the user's labels, or discarded.

What is shown follows from what is proposed, what is labelled, and what was taken and discarded so
far. So undo and redo of the user's labels bring proposals back, and hide them, by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ferro4d.embedding import taken
from napari_ferro4d.results import LabelResult
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import (
    PROPOSED,
    Origin,
    classes_of,
    colours_of,
    find_layer,
    insert_layer,
    label_layer,
    remove_layers,
    set_class_style,
)

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels

_OPACITY = 0.4


@dataclass(frozen=True, eq=False)
class _Taken:
    """Where proposals were taken, and the positions that became labels there, bool ``[y, x]``."""

    area: np.ndarray
    labelled: np.ndarray


class Proposed:
    """The proposals for the labels of one scan.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where they are shown.
    scan : Scan
        The scan.
    labels : napari.layers.Labels
        The user's labels, which only `take` changes.
    """

    def __init__(self, viewer: ViewerModel, scan: Scan, labels: Labels) -> None:
        self._viewer, self.scan, self.labels = viewer, scan, labels
        self._proposed = np.zeros(scan.scan_shape, np.uint8)
        self._discarded = np.zeros(scan.scan_shape, np.uint16)
        self._taken: list[_Taken] = []

    @property
    def layer(self) -> Labels | None:
        """The layer, if there is one."""
        return find_layer(self._viewer, self.scan.signature, PROPOSED)

    @property
    def shown(self) -> np.ndarray:
        """What is proposed and neither labelled, taken nor discarded, integer ``[y, x]``."""
        known = np.asarray(self.labels.data)
        hidden = (known > 0) | (self._discarded == self._proposed)
        for one in self._taken:
            if (known[one.labelled] > 0).any():
                hidden |= one.area
        return np.where(hidden, np.zeros_like(self._proposed), self._proposed)

    @property
    def any_discarded(self) -> bool:
        """Whether something was discarded."""
        return bool(self._discarded.any())

    def propose(self, proposals: np.ndarray) -> None:
        """Propose something else, ``[y, x]``; what was taken and discarded stays so."""
        self._proposed = proposals.copy()
        if self.scan.missing is not None:
            self._proposed[self.scan.missing] = 0
        if self.layer is not None or self._proposed.any():
            self.refresh(add=True)

    def refresh(self, add: bool = False) -> None:
        """Show what is proposed now, on a layer that is there unless one is to be added."""
        data, layer = self.shown, self.layer
        if layer is not None and (layer.data.shape, layer.data.dtype) != (data.shape, data.dtype):
            remove_layers(self._viewer, [layer])
            layer, add = None, True
        if layer is not None:
            if not np.array_equal(layer.data, data):
                np.copyto(layer.data, data)
                layer.refresh(extent=False)
        elif add:
            self._add(data)

    def restyle(self) -> None:
        """Take the names and colours of the classes from the labels again."""
        layer, style = self.layer, self._style()
        if layer is not None and (classes_of(layer), colours_of(layer.colormap, style[1])) != style:
            set_class_style(layer, *style)

    def take(self, area: np.ndarray, most: int | None = None) -> int:
        """Make proposals in an area labels, where there are none; return how many.

        One step of the undo history of the labels, which brings the proposals back, too.

        Parameters
        ----------
        area : ndarray
            Bool ``[y, x]``.
        most : int, optional
            Positions of each class, spread out; by default all. The other proposals in the area
            are settled with them.
        """
        shown = self.shown
        picked = taken(shown, self.labels.data, area, most)
        if picked.any():
            self._taken.append(_Taken(area & (shown > 0), picked))
            with self.labels.block_history():
                self.labels.data_setitem(np.nonzero(picked), shown[picked])
            self.refresh()
        return int(np.count_nonzero(picked))

    def discard(self, area: np.ndarray) -> int:
        """Propose these classes no longer in an area, bool ``[y, x]``; return for how many."""
        shown = self.shown
        gone = area & (shown > 0)
        self._discarded[gone] = shown[gone]
        self.refresh()
        return int(np.count_nonzero(gone))

    def bring_back(self) -> None:
        """Propose again what was discarded."""
        self._discarded[:] = 0
        self.refresh()

    def forget(self) -> None:
        """Begin again: nothing is proposed, taken or discarded, and nothing shown."""
        self._proposed = np.zeros_like(self._proposed)
        self._discarded[:] = 0
        self._taken.clear()
        if self.layer is not None:
            remove_layers(self._viewer, [self.layer])

    def _style(self) -> tuple[dict[int, str], dict[int, Any]]:
        names = classes_of(self.labels)
        numbers = {*names, *(int(n) for n in np.unique(self._proposed) if n)}
        return names, colours_of(self.labels.colormap, sorted(numbers))

    def _add(self, data: np.ndarray) -> None:
        result = LabelResult(PROPOSED, data, self.scan.scan_step, *self._style())
        made = label_layer(Origin.of(self.scan), result, opacity=_OPACITY)
        layers = self._viewer.layers
        active = layers.selection.active
        layer = insert_layer(self._viewer, *made)
        # Below the labels, and out of the way of who paints on them.
        if self.labels in layers:
            layers.move(layers.index(layer), layers.index(self.labels))
        layers.selection.active = active
