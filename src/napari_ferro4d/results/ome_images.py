"""One map or label image as an OME-Zarr (0.5) group, there and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    import zarr

SHOWN = "ferro4d"
"""Attribute of a map's group: its unit, and how it likes to be shown."""


@dataclass(frozen=True, eq=False)
class MapResult:
    """A real-space map.

    Parameters
    ----------
    name : str
        Name in the results folder, for example ``"com_y"``.
    data : array
        float32 ``[y, x]`` or ``[channel, y, x]``; with `rgb`, uint8 ``[y, x, 3]``.
    scan_step : tuple of float, optional
        Distance between probe positions ``(y, x)`` in nm.
    unit : str
        Unit of the values, for example ``"px"``.
    channels : tuple of str
        Names of the channels.
    colormap : str
        Name of the colour map to show it with; empty for no preference.
    contrast_limits : tuple of float, optional
        Values to show as the darkest and the brightest.
    rgb : bool
        The last axis holds red, green and blue.
    active : tuple of int
        Channels worth showing, the most telling first; empty for all of them.
    scan : tuple of str
        Name and signature of the scan it is of; empty strings if unknown.
    """

    name: str
    data: np.ndarray
    scan_step: tuple[float, float] | None = None
    unit: str = ""
    channels: tuple[str, ...] = ()
    colormap: str = ""
    contrast_limits: tuple[float, float] | None = None
    rgb: bool = False
    active: tuple[int, ...] = ()
    scan: tuple[str, str] = ("", "")


@dataclass(frozen=True, eq=False)
class LabelResult:
    """A label image: one class number per probe position, 0 = unlabelled.

    Parameters
    ----------
    name : str
        Name in the results folder, for example ``"prediction"``.
    data : array
        Integer ``[y, x]``.
    scan_step : tuple of float, optional
        Distance between probe positions ``(y, x)`` in nm.
    classes : mapping of int to str
        Class names by class number.
    colours : mapping of int to tuple
        Red, green, blue and alpha in 0..1 by class number.
    scan : tuple of str
        Name and signature of the scan it is of; empty strings if unknown.
    directions : mapping of int to float
        In-plane direction of the polarization by class number, in degrees from x (right) towards
        y (down); classes without one are not in it.
    """

    name: str
    data: np.ndarray
    scan_step: tuple[float, float] | None = None
    classes: Mapping[int, str] = field(default_factory=dict)
    colours: Mapping[int, tuple[float, float, float, float]] = field(default_factory=dict)
    scan: tuple[str, str] = ("", "")
    directions: Mapping[int, float] = field(default_factory=dict)


def write_map(folder: Path, one: MapResult) -> None:
    """Write a map as a new group."""
    data = np.moveaxis(one.data, -1, 0) if one.rgb else one.data
    if not one.rgb:
        data = data.astype(np.float32, copy=False)
    channels = ("red", "green", "blue") if one.rgb else one.channels
    group = _write_image(folder, one.name, data, one.scan_step)
    group.attrs[SHOWN] = {
        "unit": one.unit,
        "channels": list(channels),
        "colormap": one.colormap,
        "contrast_limits": list(one.contrast_limits) if one.contrast_limits else None,
        "rgb": one.rgb,
        "active": [int(channel) for channel in one.active],
        **_scan_note(one.scan),
    }


def write_label(folder: Path, one: LabelResult) -> None:
    """Write a label image as a new group."""
    group = _write_image(folder, one.name, one.data, one.scan_step)
    numbers = sorted({*one.classes, *one.colours, *one.directions})
    colours = [
        {"label-value": n, "rgba": [round(255 * float(c)) for c in one.colours[n]]}
        for n in numbers
        if n in one.colours
    ]
    known = {"class": one.classes, "direction": one.directions}
    said = {n: {key: of[n] for key, of in known.items() if n in of} for n in numbers}
    properties = [{"label-value": n, **said[n]} for n in numbers if said[n]]
    image_label: dict[str, Any] = {"version": "0.5"}
    if colours:
        image_label["colors"] = colours
    if properties:
        image_label["properties"] = properties
    ome = cast("dict[str, Any]", group.attrs["ome"])
    group.attrs["ome"] = {**ome, "image-label": image_label}
    group.attrs[SHOWN] = _scan_note(one.scan)


def _scan_note(scan: tuple[str, str]) -> dict[str, str]:
    return {"scan_name": scan[0], "scan_signature": scan[1]}


def scan_of(group: zarr.Group) -> tuple[str, str]:
    """Return name and signature of the scan that a map or label image is of."""
    shown = cast("dict[str, Any]", group.attrs.get(SHOWN, {}))
    return str(shown.get("scan_name", "")), str(shown.get("scan_signature", ""))


def _write_image(
    folder: Path, name: str, data: np.ndarray, scan_step: tuple[float, float] | None
) -> zarr.Group:
    import zarr
    from ome_zarr.format import FormatV05
    from ome_zarr.writer import write_multiscales_metadata

    group = zarr.open_group(folder, mode="w", zarr_format=3)
    axes: list[dict[str, str]] = [{"name": n, "type": "space"} for n in "yx"]
    scale = [1.0, 1.0]
    if scan_step is not None:
        axes = [{**axis, "unit": "nanometer"} for axis in axes]
        scale = [float(step) for step in scan_step]
    if data.ndim == 3:
        axes = [{"name": "c", "type": "channel"}, *axes]
        scale = [1.0, *scale]
    group.create_array(
        "0", data=np.ascontiguousarray(data), dimension_names=[a["name"] for a in axes]
    )
    transform = [{"type": "scale", "scale": scale}]
    write_multiscales_metadata(
        group,
        [{"path": "0", "coordinateTransformations": transform}],
        fmt=FormatV05(),
        axes=axes,
        name=name,
    )
    return group


def _read_image(group: zarr.Group) -> tuple[np.ndarray, tuple[float, float] | None]:
    ome = cast("dict[str, Any]", group.attrs["ome"])
    scales = ome["multiscales"][0]
    array = group[scales["datasets"][0]["path"]]
    data = np.asarray(cast("zarr.Array[Any]", array)[...])
    if scales["axes"][-1].get("unit") != "nanometer":
        return data, None
    y, x = scales["datasets"][0]["coordinateTransformations"][0]["scale"][-2:]
    return data, (float(y), float(x))


def read_map(name: str, group: zarr.Group) -> MapResult:
    """Read a map; raises what a damaged group makes zarr or a lookup raise."""
    data, scan_step = _read_image(group)
    shown = cast("dict[str, Any]", group.attrs.get(SHOWN, {}))
    limits, rgb = shown.get("contrast_limits"), bool(shown.get("rgb"))
    return MapResult(
        name=name,
        data=np.moveaxis(data, 0, -1) if rgb else data,
        scan_step=scan_step,
        unit=shown.get("unit", ""),
        channels=() if rgb else tuple(shown.get("channels", ())),
        colormap=shown.get("colormap", ""),
        contrast_limits=(float(limits[0]), float(limits[1])) if limits else None,
        rgb=rgb,
        active=tuple(int(channel) for channel in shown.get("active", ())),
        scan=scan_of(group),
    )


def read_label(name: str, group: zarr.Group) -> LabelResult:
    """Read a label image; raises what a damaged group makes zarr or a lookup raise."""
    data, scan_step = _read_image(group)
    ome = cast("dict[str, Any]", group.attrs["ome"])
    image_label = ome.get("image-label", {})
    return LabelResult(
        name=name,
        data=data,
        scan_step=scan_step,
        classes={
            int(p["label-value"]): str(p["class"])
            for p in image_label.get("properties", ())
            if "class" in p
        },
        colours={
            int(c["label-value"]): tuple(v / 255 for v in c["rgba"])
            for c in image_label.get("colors", ())
        },
        scan=scan_of(group),
        directions={
            int(p["label-value"]): float(p["direction"])
            for p in image_label.get("properties", ())
            if "direction" in p
        },
    )
