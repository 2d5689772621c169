"""Labels that a user made are kept on disk while they are made, and come back with their scan.

One file per scan, named after ``Scan.signature``, in the user's data folder: the labels layers of
the scan except predictions, which a machine can make again.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ferro4d.io import LabelResult
from napari_ferro4d.scan import Scan

from ._classes import classes_of, colours_of
from ._layers import LayerData, Origin, label_layer, layer_info
from ._settings import atomic_write

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels

__all__ = ["autosave_file", "restore", "save", "user_labels"]


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


def autosave_file(signature: str) -> Path:
    """Return the file that keeps the labels of the scan with this signature."""
    from platformdirs import user_data_dir

    folder = Path(user_data_dir("napari-ferro4d", appauthor=False)) / "autosave"
    return folder / f"{signature}.npz"


def user_labels(viewer: ViewerModel, scan: Scan) -> list[Labels]:
    """Return the labels layers that a user made for `scan`, by our notes or else by their shape."""
    from napari.layers import Labels

    found = []
    for layer in viewer.layers:
        if not isinstance(layer, Labels) or tuple(layer.data.shape) != scan.scan_shape:
            continue
        info = layer_info(layer)
        if info.get("signature", scan.signature) == scan.signature and (
            info.get("name") != "prediction"
        ):
            found.append(layer)
    return found


def save(scan: Scan, layers: Sequence[Labels]) -> None:
    """Write the labels layers of a scan, or remove the file when there is nothing to keep."""
    file = autosave_file(scan.signature)
    kept = [layer for layer in layers if np.any(layer.data)]
    if not kept:
        file.unlink(missing_ok=True)
        return
    notes = []
    for layer in kept:
        numbers = sorted({*classes_of(layer), *(int(n) for n in np.unique(layer.data))})
        notes.append(
            {
                "name": layer_info(layer).get("name", layer.name),
                "classes": classes_of(layer),
                "colours": colours_of(layer.colormap, numbers),
                "layer": layer.name,
            }
        )
    buffer = io.BytesIO()
    arrays = {f"labels_{i}": np.asarray(layer.data) for i, layer in enumerate(kept)}
    np.savez_compressed(buffer, notes=np.array(json.dumps(notes)), **arrays)
    atomic_write(file, buffer.getvalue())


def restore(scan: Scan) -> Restored | None:
    """Return the labels layers kept for `scan`; None if there are none or they cannot be read."""
    file = autosave_file(scan.signature)
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as stored:
            notes: list[dict[str, Any]] = json.loads(str(stored["notes"]))
            arrays = [stored[f"labels_{i}"] for i in range(len(notes))]
        written = file.stat().st_mtime
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    layers = [
        _layer(scan, note, data)
        for note, data in zip(notes, arrays, strict=True)
        if data.shape == scan.scan_shape
    ]
    return Restored(layers, written) if layers else None


def _layer(scan: Scan, note: dict[str, Any], data: np.ndarray) -> LayerData:
    result = LabelResult(
        note["name"],
        data,
        scan.scan_step,
        {int(n): str(name) for n, name in note["classes"].items()},
        {int(n): tuple(colour) for n, colour in note["colours"].items()},
    )
    visible = note["name"] != "corrections"
    return label_layer(Origin.of(scan), result, name=note["layer"], visible=visible)
