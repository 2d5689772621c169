"""The npe2 writers: image and labels layers to a results folder, or one of them to TIFF."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_ferro4d.errors import ResultsError
from napari_ferro4d.io import is_results
from napari_ferro4d.results import (
    LabelResult,
    MapResult,
    provenance,
    read_results,
    write_results,
    write_tiff,
)
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import KEY, SUGGESTED, LayerData, colours_of, names_in


@dataclass(frozen=True)
class _Plane:
    """One layer to write: its pixels and what they are called."""

    data: np.ndarray
    state: Mapping[str, Any]
    kind: str
    info: Mapping[str, Any]
    scan_step: tuple[float, float] | None

    @property
    def layer(self) -> str:
        return str(self.state["name"])

    @property
    def scan(self) -> tuple[str, str]:
        """Name and signature of the scan that it is of."""
        return str(self.info.get("scan", "")), str(self.info.get("signature", ""))

    @property
    def key(self) -> tuple[str, str]:
        """Name of the result and signature of its scan."""
        return str(self.info.get("name", self.layer)), str(self.info.get("signature", ""))

    @property
    def whole(self) -> MapResult | None:
        """The stack that it is a channel of."""
        whole: MapResult | None = self.info.get("whole")
        return None if whole is None or whole.data.shape[1:] != self.data.shape else whole


@dataclass(frozen=True)
class _Result:
    """One map or label image to write: a plane, or a stack of which planes show channels."""

    planes: tuple[_Plane, ...]
    stack: bool

    @property
    def first(self) -> _Plane:
        return self.planes[0]


def write_layers(path: str, layers: Sequence[LayerData]) -> list[str]:
    """Write image and labels layers to an OME-Zarr results folder, adding to it if it exists.

    The scan itself is not copied, nor are points; a notification says so.

    Raises
    ------
    ResultsError
        If a layer is not ``(y, x)`` or ``(channel, y, x)``, if the layers are of two scans, or
        nothing is left to write.
    """
    planes, left_out = _planes(layers)
    if not planes:
        raise ResultsError(f"{path}: there is no map and no labels layer to write.")
    results = _results(planes)
    names = _names(results)
    maps = [_map(one, names) for one in results if one.first.kind == "image"]
    labels = [
        _label(one.first, names[one.first.layer]) for one in results if one.first.kind == "labels"
    ]
    entries = _notes(path, planes, names)
    entries += [
        _entry([plane for plane in planes if plane.key[1] == signature], names, layers)
        for signature in dict.fromkeys(plane.key[1] for plane in planes)
    ]
    written = write_results(path, maps=maps, labels=labels, provenance=entries)
    if left_out:
        from napari.utils.notifications import show_info

        show_info(f"{written.name}: written without {', '.join(left_out)}.")
    return [str(written)]


def write_image(path: str, data: Any, state: Mapping[str, Any]) -> list[str]:
    """Write one image layer to a TIFF file with its pixel size.

    Raises
    ------
    ResultsError
        If the layer is not one image.
    """
    plane = _plane(data, state, "image")
    unit = str(plane.info.get("unit", "")) or None
    return [str(write_tiff(path, plane.data, scan_step=plane.scan_step, unit=unit))]


def write_labels(path: str, data: Any, state: Mapping[str, Any]) -> list[str]:
    """Write one labels layer to a TIFF file with its pixel size; names and colours are not kept.

    Raises
    ------
    ResultsError
        If the layer is not one image.
    """
    plane = _plane(data, state, "labels")
    return [str(write_tiff(path, plane.data, scan_step=plane.scan_step))]


def _planes(layers: Sequence[LayerData]) -> tuple[list[_Plane], list[str]]:
    planes, left_out = [], []
    for data, state, kind in layers:
        if isinstance(state.get("metadata", {}).get(KEY), Scan):
            left_out.append(f"the scan {state['name']!r} (it stays in its own file)")
        elif kind in ("image", "labels"):
            planes.append(_plane(data, state, kind))
        elif state["metadata"].get(KEY, {}).get("name") not in ("probe", SUGGESTED):
            left_out.append(f"the {kind} layer {state['name']!r}")
    return planes, left_out


def _plane(data: Any, state: Mapping[str, Any], kind: str) -> _Plane:
    info = state.get("metadata", {}).get(KEY, {})
    rgb = bool(state.get("rgb", False))
    if state.get("multiscale"):
        data = data[0]
    axes = data.ndim - rgb
    if isinstance(info, Scan) or axes not in ((2,) if rgb or kind == "labels" else (2, 3)):
        raise ResultsError(
            f"layer {state['name']!r} has shape {tuple(data.shape)}; only images and labels "
            "(y, x) can be saved. The scan itself stays in its own file."
        )
    pixels = np.asarray(data)
    if rgb:
        pixels = pixels[..., :3]
        if pixels.dtype.kind == "f":
            pixels = (255 * pixels.clip(0, 1)).round()
        pixels = pixels.astype(np.uint8)
    return _Plane(pixels, state, kind, info, _scan_step(state))


def _scan_step(state: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the pixel size in nm, or None for a layer in pixels."""
    from pint import Unit, get_application_registry

    steps = []
    for size, unit in zip(state["scale"][-2:], state["units"][-2:], strict=True):
        quantity = get_application_registry().Quantity(float(size), Unit(str(unit)))
        if not quantity.check("[length]"):
            return None
        steps.append(float(quantity.to("nm").magnitude))
    return steps[0], steps[1]


def _results(planes: Sequence[_Plane]) -> list[_Result]:
    """Return what to write: each map and label image by itself, the channels of a stack together.

    A channel whose layer was duplicated is in its stack once, and the duplicate by itself.
    """
    stacks: dict[Any, list[_Plane]] = {}
    for index, plane in enumerate(planes):
        stack = (plane.key, id(plane.whole))
        there = [one.info["channel"] for one in stacks.get(stack, ())]
        alone = plane.whole is None or plane.info["channel"] in there
        stacks.setdefault(index if alone else stack, []).append(plane)
    return [_Result(tuple(group), isinstance(key, tuple)) for key, group in stacks.items()]


def _names(results: Sequence[_Result]) -> dict[str, str]:
    """Return the result name per layer name; the layer's own name where two scans share one."""
    signatures: dict[tuple[str, str], set[str]] = {}
    for one in results:
        signatures.setdefault((one.first.kind, one.first.key[0]), set()).add(one.first.key[1])
    repeated = Counter((one.first.kind, one.first.key) for one in results if not one.stack)
    names: dict[str, str] = {}
    taken: set[tuple[str, str]] = set()
    for one in results:
        kind, key = one.first.kind, one.first.key
        # A channel by itself is not what its stack is, nor has it always the same size.
        channel = one.first.info.get("channel") is not None
        alone = not one.stack and (channel or repeated[kind, key] > 1)
        name = one.first.layer if alone or len(signatures[kind, key[0]]) > 1 else key[0]
        name = plain = "".join("_" if c in '/\\:*?"<>|' else c for c in name)
        number = 1
        while (kind, name) in taken:  # by the embedding of another model, perhaps
            number += 1
            name = f"{plain} {number}"
        taken.add((kind, name))
        names.update((plane.layer, name) for plane in one.planes)
    return names


def _label(plane: _Plane, name: str) -> LabelResult:
    if plane.data.dtype.kind == "i" and plane.data.min(initial=0) < 0:
        raise ResultsError(f"layer {plane.layer!r} holds negative labels; classes are 1, 2, ...")
    classes = names_in(plane.state.get("features"))
    numbers = sorted({*classes, *(int(n) for n in np.unique(plane.data))})
    colours = colours_of(plane.state["colormap"], numbers)
    return LabelResult(
        name,
        plane.data,
        plane.scan_step,
        classes,
        colours,
        plane.scan,
        plane.info.get("directions", {}),
    )


def _map(result: _Result, names: Mapping[str, str]) -> MapResult:
    plane, rgb = result.first, bool(result.first.state.get("rgb", False))
    limits = plane.state.get("contrast_limits")
    channels: tuple[str, ...] = ()
    active: tuple[int, ...] = ()
    data = plane.data if rgb else plane.data.astype(np.float32, copy=False)
    if result.stack:
        # With the channels that have no layer: noise to one reader is a signal to another.
        whole = plane.info["whole"]
        active, limits = whole.active, whole.contrast_limits
        data = whole.data.astype(np.float32)
        channels = whole.channels or tuple(str(number) for number in range(len(data)))
        for one in result.planes:
            data[channels.index(one.info["channel"])] = one.data
    return MapResult(
        name=names[plane.layer],
        data=data,
        scan_step=plane.scan_step,
        unit=str(plane.info.get("unit", "")),
        channels=channels,
        colormap="" if rgb else _colormap_name(plane.state.get("colormap")),
        contrast_limits=None if rgb or limits is None else (limits[0], limits[1]),
        active=active,
        rgb=rgb,
        scan=plane.scan,
    )


def _colormap_name(colormap: Any) -> str:
    name = colormap.get("name") if isinstance(colormap, Mapping) else getattr(colormap, "name", "")
    return str(name or "")


def _notes(path: str, planes: Sequence[_Plane], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return how the layers were made, each note once, oldest first.

    Notes that the folder has already are left out.
    """
    kept = read_results(path).provenance if is_results(path) else ()
    known = [_without_made(entry) for entry in kept]
    notes: list[dict[str, Any]] = []
    for plane in planes:
        part = "labels" if plane.kind == "labels" else "maps"
        written = f"{part}/{names[plane.layer]}"
        for note in plane.info.get("provenance", ()):
            said = _without_made(note)
            same = next((one for one in notes if _without_made(one) == said), None)
            if same is None and said not in known:
                same = dict(note)
                notes.append(same)
            if same is not None and written not in same.get("made", [written]):
                # A layer that was duplicated, and is written under a name of its own.
                same["made"] = [*same["made"], written]
    # Times are in seconds, and what was computed within one was saved after that.
    return sorted(notes, key=lambda note: (str(note.get("time")), note.get("command") == "save"))


def _without_made(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "made"}


def _entry(
    planes: Sequence[_Plane], names: Mapping[str, str], layers: Sequence[LayerData]
) -> dict[str, Any]:
    """Return the provenance entry of the layers of one scan."""
    signature = planes[0].key[1]
    scans = [state["metadata"].get(KEY) for _, state, _ in layers]
    scan = next((s for s in scans if isinstance(s, Scan) and s.signature == signature), None)
    saved = [
        {"result": names[p.layer], "channel": p.info.get("channel"), "layer": p.layer}
        for p in planes
    ]
    parameters: dict[str, Any] = {"layers": saved}
    if "scan" in planes[0].info:
        parameters["scan_name"] = planes[0].info["scan"]
    entry = provenance("save", parameters, scan)
    entry["scan_signature"] = signature or None
    if scan is None and planes[0].info.get("provenance"):
        # The scan is not in the viewer; where it came from is known all the same.
        entry |= {k: v for k, v in planes[0].info["provenance"][-1].items() if k == "scan"}
    return entry
