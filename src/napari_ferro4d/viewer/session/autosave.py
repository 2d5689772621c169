"""Labels that a user made are kept on disk while they are made, and come back with their scan.

One file per scan, named after ``Scan.signature``, in the user's data folder: the labels layers of
the scan except predictions and proposals, which a machine can make again. A file that this session
neither read nor wrote is moved aside before another is written, and a layer that is removed goes to
a file of its own: both open in napari like any other file.
"""

from __future__ import annotations

import io
import json
import os
import time
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ferro4d.io import atomic_file
from napari_ferro4d.results import LabelResult
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import (
    EARLIER_PREDICTION,
    KEY,
    PROPOSED,
    TRUTH,
    LayerData,
    Origin,
    classes_of,
    colours_of,
    directions_of,
    label_layer,
    layer_info,
)

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels, Layer

REMOVED, BACKUP = ".removed.npz", ".bak.npz"
"""Endings of files kept aside: a layer that was removed, a file that nobody had opened."""


@dataclass(frozen=True)
class Restored:
    """Labels layers found on disk, and the time they were written (seconds since 1970)."""

    layers: list[LayerData]
    written: float

    def notice(self, now: float | None = None) -> str:
        """Return one line that tells the user what came back."""
        names = ", ".join(repr(keywords["name"]) for _, keywords, _ in self.layers)
        minutes = int(((now or time.time()) - self.written) // 60)
        ago = f"{minutes} min ago" if minutes < 120 else f"{minutes // 60} h ago"
        labelled = sum(int(np.count_nonzero(data)) for data, _, _ in self.layers)
        return f"Restored {names}: {labelled} labelled positions, autosaved {ago}."

    def missing_in(self, viewer: ViewerModel) -> Restored:
        """Return what `viewer` does not show yet, as "(restored)" where it differs from that."""
        layers = []
        for data, keywords, kind in self.layers:
            there = list(_same(viewer, keywords))
            if not any(np.array_equal(layer.data, data) for layer in there):
                layers.append(_renamed(data, keywords, kind) if there else (data, keywords, kind))
        return Restored(layers, self.written)


def autosave_file(signature: str) -> Path:
    """Return the file that keeps the labels of the scan with this signature."""
    from platformdirs import user_data_dir

    folder = Path(user_data_dir("napari-ferro4d", appauthor=False)) / "autosave"
    return folder / f"{signature}.npz"


def user_labels(layers: Iterable[Layer], scan: Scan) -> list[Labels]:
    """Return the labels layers that a user made for `scan`, by our notes or else by their shape."""
    from napari.layers import Labels

    found = []
    for layer in layers:
        if not isinstance(layer, Labels) or tuple(layer.data.shape) != scan.scan_shape:
            continue
        info = layer_info(layer)
        if info.get("signature", scan.signature) in ("", scan.signature) and (
            info.get("name") not in ("prediction", EARLIER_PREDICTION, TRUTH, PROPOSED)
        ):
            found.append(layer)
    return found


class Autosave:
    """Keeps the labels of the scans in one viewer, and knows which files it may write over."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[int, ...]] = {}

    def save(self, scan: Scan, layers: Sequence[Labels]) -> None:
        """Write the labels layers of a scan, or remove the file when there is nothing to keep.

        Raises
        ------
        ScanError
            If the disk refuses.
        """
        file = autosave_file(scan.signature)
        kept = [layer for layer in layers if np.any(layer.data)]
        known = file.exists() and self._known.get(file) == _version(file)
        if kept and file.exists() and not known:
            # What is in it may be hours of somebody's work that never came into this viewer.
            os.replace(file, _aside(file, BACKUP, file.stat().st_mtime))
        if kept:
            _write(file, scan, kept)
            self._known[file] = _version(file)
        elif known:
            file.unlink(missing_ok=True)

    def restore(self, scan: Scan) -> Restored | None:
        """Return the labels kept for `scan`; None if there are none or they cannot be read."""
        file = autosave_file(scan.signature)
        version = _version(file)
        kept = read_kept(file, scan)
        if kept is not None:
            self._known[file] = version
        return kept

    def set_aside(self, scan: Scan, layer: Labels) -> Path:
        """Write a layer that was removed to a file of its own; return the file.

        Raises
        ------
        ScanError
            If the disk refuses.
        """
        file = _aside(autosave_file(scan.signature), REMOVED, time.time())
        _write(file, scan, [layer])
        return file


def is_kept(path: str | os.PathLike[str]) -> bool:
    """Return whether `path` is a file with labels that were kept aside."""
    return os.fspath(path).endswith((REMOVED, BACKUP)) and os.path.isfile(path)


def read_kept(file: Path, scan: Scan | None = None) -> Restored | None:
    """Return the labels layers in a file; None if it cannot be read.

    `scan` is the scan they are for; by default the file says what they were made on.
    """
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as stored:
            notes: list[dict[str, Any]] = json.loads(str(stored["notes"]))
            arrays = [stored[f"labels_{i}"] for i in range(len(notes))]
        written = file.stat().st_mtime
        layers = [_layer(scan, note, data) for note, data in zip(notes, arrays, strict=True)]
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    if scan is not None:
        layers = [layer for layer in layers if layer[0].shape == scan.scan_shape]
    else:
        layers = [_renamed(*layer) for layer in layers]
    return Restored(layers, written) if layers else None


def _write(file: Path, scan: Scan, layers: Sequence[Labels]) -> None:
    notes = []
    for layer in layers:
        numbers = sorted({*classes_of(layer), *(int(n) for n in np.unique(layer.data))})
        notes.append(
            {
                "name": layer_info(layer).get("name", layer.name),
                "classes": classes_of(layer),
                "colours": colours_of(layer.colormap, numbers),
                "directions": directions_of(layer),
                "layer": layer.name,
                "scan": scan.name,
                "signature": scan.signature,
                "scan_step": scan.scan_step,
            }
        )
    arrays: dict[str, Any] = {"notes": np.array(json.dumps(notes))}
    arrays |= {f"labels_{i}": np.asarray(layer.data) for i, layer in enumerate(layers)}
    with atomic_file(file) as temporary:
        np.savez_compressed(temporary, **arrays)


def _layer(scan: Scan | None, note: dict[str, Any], data: np.ndarray) -> LayerData:
    if scan is not None:
        origin = Origin.of(scan)
    else:
        step = note["scan_step"]
        origin = Origin(note["scan"], note["signature"], tuple(step) if step else None)
    result = LabelResult(
        note["name"],
        data,
        origin.scan_step,
        {int(n): str(name) for n, name in note["classes"].items()},
        {int(n): tuple(colour) for n, colour in note["colours"].items()},
        # Files of an earlier version have none.
        directions={int(n): float(v) for n, v in note.get("directions", {}).items()},
    )
    visible = note["name"] != "corrections"
    return label_layer(origin, result, name=note["layer"], visible=visible)


def _same(viewer: ViewerModel, keywords: dict[str, Any]) -> Iterable[Labels]:
    """Return the layers of a viewer that hold the labels that these are an earlier state of."""
    wanted = keywords["metadata"][KEY]
    for layer in viewer.layers:
        info = layer_info(layer)
        name = info.get("name", layer.name)
        if (
            hasattr(layer, "brush_size")
            and name == wanted["name"]
            and info.get("signature", "") in ("", wanted["signature"])
        ):
            yield layer


def _renamed(data: Any, keywords: dict[str, Any], kind: str) -> LayerData:
    # Under a name of their own in the notes, too: restored decisions are labels to look at.
    info = keywords["metadata"][KEY]
    notes = {**info, "name": f"{info['name']} (restored)"}
    name = f"{keywords['name']} (restored)"
    metadata = {**keywords["metadata"], KEY: notes}
    return data, {**keywords, "name": name, "metadata": metadata, "visible": True}, kind


def _version(file: Path) -> tuple[int, ...]:
    try:
        state = file.stat()
    except OSError:
        return ()
    return state.st_ino, state.st_mtime_ns, state.st_size


def _aside(file: Path, ending: str, seconds: float) -> Path:
    """Return a free name beside `file` that says when."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(seconds))
    names = (f"{file.stem}.{stamp}{more}{ending}" for more in ("", *(f"-{n}" for n in range(999))))
    return next(file.with_name(name) for name in names if not file.with_name(name).exists())
