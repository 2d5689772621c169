"""The one npe2 reader: 4D-STEM scans, results folders, labels that autosave set aside.

It matches cheaply, and declines what is neither so that other readers get it. A scan or a results
folder that turns out to be broken gives one notification and no layer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from napari_ferro4d.errors import LabelsError, ScanError
from napari_ferro4d.io import is_results
from napari_ferro4d.open import is_scan, open_scan
from napari_ferro4d.results import LabelResult, MapResult, Results, read_results
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import (
    KEY,
    TRUTH,
    LayerData,
    Origin,
    find_layer,
    insert_layer,
    label_layer,
    make_room,
    map_layers,
    scan_layers,
    truth_layers,
    with_steps_of_scans,
)
from napari_ferro4d.viewer.session import is_kept, read_kept

_AT_ONCE = 3
"""Channels of a stack of maps that are added at once: napari takes some 60 ms for a layer."""

_NOTHING: list[tuple[None]] = [(None,)]
"""What a napari reader returns for a file that it took on and that gave no layer."""


def get_reader(
    path: str | Sequence[str],
) -> Callable[[str | Sequence[str]], list[LayerData] | list[tuple[None]]] | None:
    """Return a function that reads `path`, or None if it is no scan and no results folder."""
    one = _single(path)
    if one is None:
        return None
    if is_results(one):
        return _read_results
    if is_kept(one):
        return _read_kept
    return _read_scan if is_scan(one) else None


def layers_of(scan: Scan) -> list[LayerData]:
    """Return the layers of a scan: itself, a preview, and the truth where it is simulated.

    Raises
    ------
    ScanError
        If patterns cannot be read.
    """
    return [*scan_layers(scan), *truth_layers(scan)]


def opened_layers(scan: Scan) -> list[LayerData]:
    """Return the layers of a scan, with the labels that were autosaved for it.

    Where the viewer shows the scan already they take the place of the layers that it has.

    Raises
    ------
    ScanError
        If patterns cannot be read.
    """
    import napari

    layers = layers_of(scan)
    viewer = napari.current_viewer()
    if viewer is not None:
        make_room(viewer, scan)
    return [*layers, *kept_labels(scan)]


def kept_labels(scan: Scan) -> list[LayerData]:
    """Return the labels layers autosaved for `scan`, unless the viewer shows them already.

    A notice tells the user what came back. Without a viewer there is nothing to come back to.
    """
    import napari
    from napari.utils.notifications import show_info

    viewer = napari.current_viewer()
    if viewer is None:
        return []
    from napari_ferro4d.viewer.session import session

    watching = session(viewer)
    watching.save_edits()
    kept = watching.kept.restore(scan)
    new = kept.missing_in(viewer) if kept is not None else None
    if new is None or not new.layers:
        return []
    show_info(new.notice())
    return new.layers


def kept_aside_layers(path: str | os.PathLike[str]) -> list[LayerData]:
    """Return the labels layers in a file that autosave set aside.

    Raises
    ------
    LabelsError
        If the file is damaged.
    """
    kept = read_kept(Path(path))
    if kept is None:
        raise LabelsError(f"{path}: holds no labels that can be read; it is damaged.")
    return kept.layers


def results_layers(path: str | os.PathLike[str]) -> list[LayerData]:
    """Return the layers of a results folder: maps, then labels on top.

    Raises
    ------
    ResultsError
        If it is not a results folder or is damaged.
    """
    results = read_results(path)
    origin = _origin(results, Path(path))
    saved = _saved_names(results)
    layers: list[LayerData] = []
    for image in results.maps:
        # Opaque maps hide one another: the first is shown, the others wait in the layer list.
        made = map_layers(_of(image, origin), image, visible=not layers)
        layers += _noted(made, results, f"maps/{image.name}")
    for label in results.labels:
        visible = label.name not in ("corrections", TRUTH)
        made = [label_layer(_of(label, origin), label, visible=visible)]
        layers += _noted(made, results, f"labels/{label.name}")
    for _, keywords, _ in layers:
        info = keywords["metadata"][KEY]
        key = (info["name"], info.get("channel"))
        keywords["name"] = saved.get(key, keywords["name"])
    return layers


def _of(result: MapResult | LabelResult, origin: Origin) -> Origin:
    """Return the scan that a result says it is of, else that of the folder."""
    name, signature = result.scan if any(result.scan) else (origin.name, origin.signature)
    return Origin(name, signature, result.scan_step)


def _noted(made: list[LayerData], results: Results, name: str) -> list[LayerData]:
    """Put how a result was made into the notes of its layers."""
    entries = [entry for entry in results.provenance if name in entry.get("made", [name])]
    for _, keywords, _ in made:
        keywords["metadata"][KEY]["provenance"] = entries
    return made


def _read_scan(path: str | Sequence[str]) -> list[LayerData] | list[tuple[None]]:
    return _told(lambda: opened_layers(open_scan(_single(path) or "")))


def _read_results(path: str | Sequence[str]) -> list[LayerData] | list[tuple[None]]:
    import napari

    viewer = napari.current_viewer()
    if viewer is not None:
        from napari_ferro4d.viewer.session import session

        # What is painted on a prediction counts from its first stroke on.
        session(viewer)

    def read() -> list[LayerData]:
        layers = with_steps_of_scans(viewer, results_layers(_single(path) or ""))
        return layers if viewer is None else now_and_later(viewer, layers)

    return _told(read)


def now_and_later(viewer: Any, layers: list[LayerData]) -> list[LayerData]:
    """Return the layers to add now; many channels of a stack follow while the window answers."""
    from napari_ferro4d.viewer.session import session

    now: list[LayerData] = []
    for layer in layers:
        info = layer[1]["metadata"][KEY]
        if "channel" not in info or sum(_whole(one) == _whole(layer) for one in now) < _AT_ONCE:
            now.append(layer)
        else:
            session(viewer).later(partial(_add_channel, viewer, layer))
    return now


def _whole(layer: LayerData) -> tuple[str, str]:
    info = layer[1]["metadata"][KEY]
    return info["name"], info["signature"]


def _add_channel(viewer: Any, layer: LayerData) -> None:
    info = layer[1]["metadata"][KEY]
    if find_layer(viewer, info["signature"], info["name"], info["channel"]) is None:
        active = viewer.layers.selection.active
        insert_layer(viewer, *layer)
        viewer.layers.selection.active = active  # the user may be at work on something else


def _read_kept(path: str | Sequence[str]) -> list[LayerData] | list[tuple[None]]:
    import napari

    viewer = napari.current_viewer()
    return _told(lambda: with_steps_of_scans(viewer, kept_aside_layers(_single(path) or "")))


def _told(read: Callable[[], list[LayerData]]) -> list[LayerData] | list[tuple[None]]:
    from napari.utils.notifications import show_error

    try:
        return read() or list(_NOTHING)
    except ScanError as error:
        show_error(str(error))
        return list(_NOTHING)


def _single(path: str | Sequence[str]) -> str | None:
    if isinstance(path, str | os.PathLike):
        return os.fspath(path)
    # Several files dropped as a stack are not one scan.
    return os.fspath(path[0]) if len(path) == 1 else None


def _origin(results: Results, folder: Path) -> Origin:
    """Return the scan that the results say they are of; the folder's name if they do not say."""
    for entry in reversed(results.provenance):
        name = entry.get("parameters", {}).get("scan_name")
        path = entry.get("scan", {}).get("path")
        if name or path:
            return Origin(name or Path(path).stem, entry.get("scan_signature") or "")
    return Origin(folder.name.split(".")[0])


def _saved_names(results: Results) -> dict[tuple[str, str | None], str]:
    """Return the layer names that results saved from a viewer had there."""
    names: dict[tuple[str, str | None], str] = {}
    for entry in results.provenance:
        for saved in entry.get("parameters", {}).get("layers", ()):
            names[saved["result"], saved.get("channel")] = saved["layer"]
    return names
