"""Maps that are known in part, shown while the pass over a scan runs.

They are layers of their own, named "... (part)", so that a map from before is not lost when the
pass is cancelled or fails. Positions that were not read yet are NaN, and transparent. When the pass
ends, the same layers become the whole maps; otherwise they stay, under that name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_ferro4d.jobs import Progress, Report
from napari_ferro4d.viewer.layers import (
    KEY,
    LayerData,
    add_layers,
    find_layer,
    is_ours,
    remove_layers,
    renote,
    update_layer,
)
from napari_ferro4d.viewer.session import session

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

PART = " (part)"

_LONG_S = 1.0
"""A pass that ends within this time is not worth showing in part: it would only flicker."""


def reporting_layers(report: Report, layers_of: Callable[[Any], list[LayerData]]) -> Report:
    """Return a report that makes layers of partial results, on the thread of the work.

    Partial results of a pass that is nearly done when the first of them comes are left out, and so
    are those that would take more than a tenth of the time to prepare: the pass waits meanwhile.
    """
    shown, pause_until = False, 0.0

    def with_layers(progress: Progress) -> None:
        nonlocal shown, pause_until
        if progress.partial is not None:
            now, layers = time.monotonic(), None
            shown = shown or (progress.seconds_left or 0.0) > _LONG_S
            if shown and now >= pause_until:
                layers = layers_of(progress.partial)
                pause_until = now + 10 * (time.monotonic() - now)
            progress = replace(progress, partial=layers)
        report(progress)

    return with_layers


class PartLayers:
    """The layers of one pass that show its results so far.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        The viewer to show them in.
    note : mapping
        How they are made; see `add_layers`.
    """

    def __init__(self, viewer: ViewerModel, note: Mapping[str, Any]) -> None:
        self._viewer = viewer
        self._note = {**note, "part": True}
        self._shown: dict[str, Layer | None] = {}
        self._over = False

    def show(self, layers: Iterable[LayerData]) -> None:
        """Show what is known so far; a layer that the user removed does not come back."""
        # What is seen comes first; the others follow when the window has nothing else to do.
        for data, keywords, kind in sorted(layers, key=lambda layer: not layer[1]["visible"]):
            info = keywords["metadata"][KEY]
            info.update(name=info["name"] + PART, provenance=[self._note])
            keywords["name"] += PART
            name, layer = keywords["name"], (data, keywords, kind)
            if name not in self._shown:
                self._shown[name] = None
                if keywords["visible"]:
                    self._add(layer)
                else:
                    session(self._viewer).later(partial(self._add, layer))
            elif self._shown[name] in self._viewer.layers:
                update_layer(self._shown[name], data, keywords)

    def _add(self, layer: LayerData) -> None:
        if not self._over:
            (self._shown[layer[1]["name"]],) = add_layers(self._viewer, [layer])

    def finish(self, layers: Iterable[LayerData], note: Mapping[str, Any]) -> None:
        """Show the whole results, in the same layers or in those of an earlier run."""
        self._over = True
        layers, needless, renamed = list(layers), [], False
        for _, keywords, _ in layers:
            info = keywords["metadata"][KEY]
            part = find_layer(self._viewer, info["signature"], info["name"] + PART)
            if part is None or not is_ours(part):
                continue
            whole = find_layer(self._viewer, info["signature"], info["name"])
            if whole is not None and is_ours(whole):
                needless.append(part)
            else:
                renote(part, name=info["name"])
                part.name = part.name.replace(PART, "")
                renamed = True
        added = add_layers(self._viewer, layers, note)
        if renamed:
            _in_order(self._viewer, added)
        remove_layers(self._viewer, needless)


def _in_order(viewer: ViewerModel, layers: list[Layer]) -> None:
    """Put layers that came into the list as they became known where those of one piece go."""
    places = [viewer.layers.index(layer) for layer in layers]
    if places != sorted(places):
        viewer.layers.move_multiple(places, max(places) + 1)
    seen = [layer for layer in layers if layer.visible]
    if seen and viewer.layers.selection.active in layers:
        viewer.layers.selection.active = seen[-1]
