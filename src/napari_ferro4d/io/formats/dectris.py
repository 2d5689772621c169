"""Dectris detectors (Arina, Eiger, Quadro): `_master.h5`, which links to the files of the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.io.open_options import OpenOptions
from napari_ferro4d.io.stacks import Joined, chunk_metadata
from napari_ferro4d.io.stored import Step, Stored, positive, refuse_absurd_chunks

from .hdf5 import Hdf5Array, attribute, open_hdf5


def dectris_axes(path: Path) -> int:
    """Return 4 if the file links to patterns, even where they are missing."""
    with open_hdf5(path) as file:
        return 4 if _names(file) else 0


def read_dectris(path: Path, hints: OpenOptions) -> Stored:
    """Join the data files that the master file names, without reading them."""
    with open_hdf5(path) as file:
        parts = [_part(path, file, name) for name in _names(file)]
        number = {name: _number(file, name) for name in ("ntrigger", "nimages")}
    if not parts:
        raise ScanError(f"{path}: names no data in entry/data, so is no Dectris master file.")
    if len({(part.shape[1:], part.dtype) for part in parts}) > 1:
        raise ScanError(f"{path}: its data files hold patterns of different shapes or types.")
    rows, columns = number["ntrigger"], number["nimages"]
    return Stored(
        Joined(tuple(parts)),
        scan_step=_scan_step(path),
        # One trigger per row is the only order that the file tells.
        scan_shape=(rows, columns) if rows > 1 and columns > 1 else None,
        metadata={"data_files": len(parts), **chunk_metadata(parts[0].chunks)},
    )


def _names(file: Any) -> list[str]:
    data = file.get("entry/data")
    return sorted(n for n in data if n.startswith("data")) if hasattr(data, "keys") else []


def _part(path: Path, file: Any, name: str) -> Hdf5Array:
    link = file["entry/data"].get(name, getlink=True)
    try:
        dataset = file["entry/data"][name]
    except (KeyError, OSError) as error:
        target = getattr(link, "filename", name)
        raise ScanError(
            f"{path}: its data file {Path(target).name} is missing or damaged; copy it beside the "
            "master file."
        ) from error
    if getattr(dataset, "ndim", 0) != 3 or dataset.dtype.kind not in "ui":
        raise ScanError(f"{path}: entry/data/{name} holds no patterns of counts.")
    refuse_absurd_chunks(path, dataset)
    return Hdf5Array.of(dataset)


def _number(file: Any, name: str) -> int:
    node = file.get(f"entry/instrument/detector/detectorSpecific/{name}")
    value = node[()] if getattr(node, "shape", None) == () else 0
    return int(value) if isinstance(value, int | np.integer) else 0


def _scan_step(path: Path) -> Step:
    # The scan program writes the distance of the positions, in nm, beside the detector's files.
    beside = path.with_name(path.name.replace("_master", ""))
    if beside == path or not beside.is_file():
        return None
    with open_hdf5(beside) as file:
        stated = file.get("STEM Metadata")
        said = None if stated is None else attribute(stated.attrs, "Pixel Size")
    size = np.zeros(1) if said is None else np.ravel(said)
    step = positive(float(size[0])) if size.size and size.dtype.kind in "uif" else None
    return None if step is None else (step, step)
