"""Layers into the viewer's list, and out of it: what is updated, what is new, and where it goes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from napari_ferro4d.scan import Scan

from .layer_data import LayerData, real_space
from .layer_notes import KEY, TRUTH, find_layer, is_ours, layer_info, scan_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer


def make_room(viewer: ViewerModel, scan: Scan) -> None:
    """Let go of a scan that is opened again, and fit what was made of it to its steps now."""
    for layer in list(viewer.layers):
        old, info = scan_of(layer), layer_info(layer)
        if old is not None and old.signature == scan.signature:
            viewer.layers.remove(layer)
        elif info.get("signature") == scan.signature:
            if info.get("name") == TRUTH or (info.get("name") == "preview" and is_ours(layer)):
                viewer.layers.remove(layer)
            else:
                _set_space(layer, real_space(scan.scan_step))


def add_layers(
    viewer: ViewerModel, layers: Iterable[LayerData], note: Mapping[str, Any] | None = None
) -> list[Layer]:
    """Add layers, or update those that show the same result of the same scan.

    `note` says how they were made (see `made`) and is saved with them.
    Images go below labels and points, so that painted labels and the probe stay on top. An image
    whose data the user has exchanged is left alone, and so is every labels layer.
    """
    added = []
    for data, keywords, kind in layers:
        info = keywords["metadata"][KEY]
        if note is not None and not isinstance(info, Scan):
            info["provenance"] = [dict(note)]
        added.append(_add_or_update(viewer, data, keywords, kind))
    _drop_old_channels(viewer, added)
    return added


def _add_or_update(viewer: ViewerModel, data: Any, keywords: dict[str, Any], kind: str) -> Layer:
    info = keywords["metadata"][KEY]
    old = None
    if kind == "image" and not isinstance(info, Scan):
        old = find_layer(viewer, info["signature"], info["name"], info.get("channel"))
    if old is not None and is_ours(old) and old.data.shape[:2] == data.shape[:2]:
        update_layer(old, data, keywords)
        return old
    return insert_layer(viewer, data, keywords, kind)


def insert_layer(viewer: ViewerModel, data: Any, keywords: dict[str, Any], kind: str) -> Layer:
    """Add a layer in its place: images below labels, labels below points."""
    from napari.layers import Layer

    layer = Layer.create(data, keywords, kind)
    # napari selects every new layer. Somebody who paints or drags goes on doing so, and nobody
    # begins with one that is hidden.
    at_work = type(viewer.layers.selection.active).__name__ in ("Labels", "Points")
    stays = at_work or not keywords.get("visible", True)
    with _selection_kept(viewer) if stays else contextlib.nullcontext():
        viewer.layers.insert(_index_for(viewer, kind), layer)
    return layer


@contextlib.contextmanager
def _selection_kept(viewer: ViewerModel) -> Iterator[None]:
    """Keep what is selected; to change it and back takes napari half as long as to add a layer."""
    before = set(viewer.layers.selection)
    with viewer.layers.selection.events.blocker_all():
        yield
        viewer.layers.selection = before


def update_layer(layer: Layer, data: Any, keywords: Mapping[str, Any]) -> None:
    """Give a layer that we made another result to show; limits that the user set stay."""
    info, limits = keywords["metadata"][KEY], keywords.get("contrast_limits")
    before = layer_info(layer).get("limits")
    layer.data = data
    layer.metadata = {**layer.metadata, KEY: info}
    _set_space(layer, keywords)
    if limits is not None and before in (None, tuple(layer.contrast_limits)):
        layer.contrast_limits_range = limits
        layer.contrast_limits = limits


def _set_space(layer: Layer, space: Mapping[str, Any]) -> None:
    """Give a layer scale, units and axis labels; one layer that differs hides the scale bar."""
    from pint import Unit

    if layer.ndim != len(space["scale"]):
        return
    wanted = {**space, "units": tuple(Unit(unit) for unit in space["units"])}
    for name in ("scale", "units", "axis_labels"):
        if tuple(getattr(layer, name)) != tuple(wanted[name]):  # setting them redraws everything
            setattr(layer, name, wanted[name])


def _drop_old_channels(viewer: ViewerModel, added: list[Layer]) -> None:
    """Remove channels that an earlier run of the same analysis had and this one has not."""
    notes = [info for layer in added if "channel" in (info := layer_info(layer))]
    wholes = {(info["name"], info["signature"]) for info in notes}
    # Others of the same run may be there already, or be still to come.
    runs = [id(info.get("whole")) for info in notes]
    remove_layers(
        viewer,
        [
            layer
            for layer in viewer.layers
            if layer not in added
            and "channel" in (info := layer_info(layer))
            and (info["name"], info["signature"]) in wholes
            and id(info.get("whole")) not in runs
            and is_ours(layer)
        ],
    )


def remove_layers(viewer: ViewerModel, layers: list[Layer]) -> None:
    """Remove layers together, for napari takes 0.2 s to tidy up after one as after many."""
    with viewer.layers.batched_update() if layers else contextlib.nullcontext():
        for layer in layers:
            viewer.layers.remove(layer)


def _index_for(viewer: ViewerModel, kind: str) -> int:
    above = {"image": ("labels", "points"), "labels": ("points",)}.get(kind, ())
    types = [type(layer).__name__.lower() for layer in viewer.layers]
    return next((i for i, name in enumerate(types) if name in above), len(types))
