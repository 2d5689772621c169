"""The one place where layers are made: their names, scale, units, metadata and order.

Real space is nm and comes last in every layer, because napari aligns layers on their last axes.
Units are given to every layer, since one layer without them makes scale bars vanish; where a file
does not say how far apart its probe positions are, all its layers are plain pixels.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ferro4d.results import LabelResult, MapResult
from napari_ferro4d.scan import Scan

from .class_colours import class_style
from .scan_names import shown_name

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

__all__ = [
    "EARLIER_PREDICTION",
    "KEY",
    "LOCKED",
    "TRUTH",
    "LayerData",
    "Origin",
    "active_only",
    "add_layers",
    "find_layer",
    "insert_layer",
    "is_ours",
    "label_layer",
    "layer_info",
    "made",
    "make_room",
    "map_layers",
    "real_space",
    "remove_layers",
    "renote",
    "scan_layers",
    "scan_of",
    "scans_in",
    "update_layer",
    "with_steps_of_scans",
]

KEY = "ferro4d"
"""Where our notes are in a layer's metadata: the `Scan`, or a mapping that says what it shows."""

EARLIER_PREDICTION = "earlier prediction"
"""What a prediction is called in our notes once a newer one of the same scan takes corrections."""

TRUTH = "truth"
"""What the labels of a simulated scan are called in our notes."""

LOCKED = ("corrections", EARLIER_PREDICTION, TRUTH)
"""Labels layers that are not painted on: derived, out of use, or known."""

LayerData = tuple[Any, dict[str, Any], str]


@dataclass(frozen=True)
class Origin:
    """The scan that a map or label image belongs to.

    Parameters
    ----------
    name : str
        The first word of its layers' names.
    signature : str
        ``Scan.signature``, to recognise the scan whatever its layers are called.
    scan_step : tuple of float, optional
        Distance between probe positions ``(y, x)`` in nm; None for plain pixels.
    """

    name: str
    signature: str = ""
    scan_step: tuple[float, float] | None = None

    @classmethod
    def of(cls, scan: Scan) -> Origin:
        """Return the origin of everything computed from `scan`."""
        return cls(shown_name(scan), scan.signature, scan.scan_step)


def real_space(scan_step: tuple[float, float] | None) -> dict[str, Any]:
    """Return scale, units and axis labels of a layer ``(y, x)``."""
    unit = "pixel" if scan_step is None else "nm"
    return {
        "scale": scan_step or (1.0, 1.0),
        "units": (unit, unit),
        "axis_labels": ("y", "x"),
    }


def scan_layers(scan: Scan) -> list[LayerData]:
    """Return the layers that show a scan: itself, lazy and hidden, and a visible preview.

    Raises
    ------
    ScanError
        If patterns cannot be read.
    """
    from napari_ferro4d.reduce import preview

    k_unit = "pixel" if scan.k_step is None else "1/angstrom"
    space = real_space(scan.scan_step)
    itself = {
        "name": shown_name(scan),
        "visible": False,
        "scale": (*(scan.k_step or (1.0, 1.0)), *space["scale"]),
        "units": (k_unit, k_unit, *space["units"]),
        "axis_labels": ("ky", "kx", "y", "x"),
        # Explicit, because napari would otherwise reduce the array to find them.
        "contrast_limits": _counts_range(scan),
        "metadata": {KEY: scan},
    }
    image = MapResult("preview", preview(scan), scan.scan_step, colormap="gray")
    return [
        (scan.data.transpose(2, 3, 0, 1), itself, "image"),
        *map_layers(Origin.of(scan), image),
    ]


def map_layers(origin: Origin, result: MapResult, visible: bool = True) -> list[LayerData]:
    """Return one image layer ``(y, x)`` per map, or per channel of a stack worth showing.

    Channels are layers of their own because a stack ``(channel, y, x)`` would share the axis of
    the scan layer's ``kx``. Their notes hold the whole stack, so that the others can be shown too.
    """
    space = real_space(origin.scan_step)
    whole, result = result, active_only(result)
    if result.rgb or result.data.ndim == 2:
        planes: list[tuple[str | None, np.ndarray]] = [(None, result.data)]
    else:
        names = result.channels or tuple(str(i) for i in range(len(result.data)))
        planes = list(zip(names, result.data, strict=True))
    layers: list[LayerData] = []
    for channel, data in planes:
        info: dict[str, Any] = {
            "name": result.name,
            "scan": origin.name,
            "signature": origin.signature,
            "unit": result.unit,
            "array": data,
        }
        if channel is not None:
            info.update(channel=channel, whole=whole)
        keywords: dict[str, Any] = {
            "name": " ".join(filter(None, (origin.name, result.name, channel))),
            "metadata": {KEY: info},
            "visible": visible and channel in (None, planes[0][0]),
            **space,
        }
        if result.rgb:
            keywords["rgb"] = True
        else:
            limits = result.contrast_limits or _value_range(data)
            keywords["contrast_limits"] = info["limits"] = limits
            keywords["colormap"] = result.colormap or "gray"
        layers.append((data, keywords, "image"))
    return layers


def active_only(result: MapResult) -> MapResult:
    """Return a stack of maps with the channels worth showing, the most telling first."""
    active = result.active
    if result.name == "embedding" and result.data.ndim == 3 and not active:
        from napari_ferro4d.learn import active_channels

        active = active_channels(result.data)
    if not active:
        return result
    names = result.channels or tuple(str(i) for i in range(len(result.data)))
    channels = tuple(names[i] for i in active)
    return replace(result, data=result.data[list(active)], channels=channels, active=())


def label_layer(origin: Origin, result: LabelResult, **keywords: Any) -> LayerData:
    """Return a labels layer ``(y, x)`` with its class names and colours."""
    info = {"name": result.name, "scan": origin.name, "signature": origin.signature}
    made = {
        "name": f"{origin.name} {result.name}".strip(),
        "metadata": {KEY: info},
        **real_space(origin.scan_step),
        **class_style(result.classes, result.colours),
    }
    return result.data, {**made, **keywords}, "labels"


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
                _place_in(layer, real_space(scan.scan_step))


def with_steps_of_scans(viewer: ViewerModel | None, layers: list[LayerData]) -> list[LayerData]:
    """Return layers with the steps that the scans in the viewer have, if they are of these."""
    steps = {scan.signature: scan.scan_step for _, scan in scans_in(viewer)} if viewer else {}
    for _, keywords, _ in layers:
        info = keywords["metadata"][KEY]
        if info["signature"] in steps:
            keywords.update(real_space(steps[info["signature"]]))
    return layers


def scan_of(layer: Layer) -> Scan | None:
    """Return the scan that `layer` shows, or None if it shows something else."""
    scan = layer.metadata.get(KEY)
    return scan if isinstance(scan, Scan) else None


def scans_in(viewer: ViewerModel) -> list[tuple[Layer, Scan]]:
    """Return the scans in a viewer with their layers, newest last."""
    return [(layer, scan) for layer in viewer.layers if (scan := scan_of(layer)) is not None]


def layer_info(layer: Layer) -> Mapping[str, Any]:
    """Return our notes on a map or labels layer; empty for layers that others made."""
    info = layer.metadata.get(KEY)
    return info if isinstance(info, Mapping) else {}


def is_ours(layer: Layer) -> bool:
    """Return whether a map layer still shows what we put there."""
    return layer.data is layer_info(layer).get("array")


def renote(layer: Layer, **changes: Any) -> None:
    """Change our notes on a layer."""
    layer.metadata = {**layer.metadata, KEY: {**layer_info(layer), **changes}}


def find_layer(
    viewer: ViewerModel, signature: str, name: str, channel: str | None = None
) -> Layer | None:
    """Return the layer that shows result `name` of the scan with this signature, if there is one.

    Goes by our notes, not by the layer's name, so that a user may rename layers.
    """
    for layer in viewer.layers:
        info = layer_info(layer)
        if (info.get("name"), info.get("signature")) == (name, signature) and info.get(
            "channel"
        ) == channel:
            return layer
    return None


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


def made(
    entry: Mapping[str, Any],
    maps: Iterable[MapResult] = (),
    labels: Iterable[LabelResult] = (),
) -> dict[str, Any]:
    """Return a provenance entry that names the results made, as it is when read from a file."""
    names = [f"maps/{one.name}" for one in maps] + [f"labels/{one.name}" for one in labels]
    as_read: dict[str, Any] = json.loads(json.dumps({"made": names, **entry}))
    return as_read


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
        viewer.layers.insert(_place(viewer, kind), layer)
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
    _place_in(layer, keywords)
    if limits is not None and before in (None, tuple(layer.contrast_limits)):
        layer.contrast_limits_range = limits
        layer.contrast_limits = limits


def _place_in(layer: Layer, space: Mapping[str, Any]) -> None:
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


def _place(viewer: ViewerModel, kind: str) -> int:
    above = {"image": ("labels", "points"), "labels": ("points",)}.get(kind, ())
    types = [type(layer).__name__.lower() for layer in viewer.layers]
    return next((i for i, name in enumerate(types) if name in above), len(types))


def _counts_range(scan: Scan) -> tuple[float, float]:
    ny, nx = scan.scan_shape
    pattern = np.asarray(scan.data[ny // 2, nx // 2])
    return 0.0, max(1.0, float(np.percentile(pattern, 99.9)))


def _value_range(data: np.ndarray) -> tuple[float, float]:
    finite = data[np.isfinite(data)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(finite, (0.5, 99.5)))
    return (low, high) if high > low else (low, low + 1.0)
