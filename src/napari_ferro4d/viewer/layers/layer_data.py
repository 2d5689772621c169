"""What layers are made of: data, names, scale, units and notes, before they are in a viewer.

Real space is nm and comes last in every layer, because napari aligns layers on their last axes.
Units are given to every layer, since one layer without them makes scale bars vanish; where a file
does not say how far apart its probe positions are, all its layers are plain pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ferro4d.results import LabelResult, MapResult
from napari_ferro4d.scan import Scan

from .class_colours import class_style
from .layer_notes import KEY, scans_in
from .scan_names import shown_name

if TYPE_CHECKING:
    from napari.components import ViewerModel

LayerData = tuple[Any, dict[str, Any], str]
"""Data, keywords and kind of a layer, as napari's readers and writers exchange them."""


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
    whole, result = result, _active_only(result)
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


def _active_only(result: MapResult) -> MapResult:
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
    info: dict[str, Any] = {
        "name": result.name,
        "scan": origin.name,
        "signature": origin.signature,
    }
    if result.directions:
        info["directions"] = dict(result.directions)
    made = {
        "name": f"{origin.name} {result.name}".strip(),
        "metadata": {KEY: info},
        **real_space(origin.scan_step),
        **class_style(result.classes, result.colours),
    }
    return result.data, {**made, **keywords}, "labels"


def with_steps_of_scans(viewer: ViewerModel | None, layers: list[LayerData]) -> list[LayerData]:
    """Return layers with the steps that the scans in the viewer have, if they are of these."""
    steps = {scan.signature: scan.scan_step for _, scan in scans_in(viewer)} if viewer else {}
    for _, keywords, _ in layers:
        info = keywords["metadata"][KEY]
        if info["signature"] in steps:
            keywords.update(real_space(steps[info["signature"]]))
    return layers


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
