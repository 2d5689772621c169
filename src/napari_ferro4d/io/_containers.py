"""Files that hold named arrays: HDF5 (py4DSTEM, EMD), zarr and HyperSpy's `.zspy`, and the rest."""

from __future__ import annotations

import importlib
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ._stored import Format, Hints, Stored, largest, steps


def _hdf5_arrays(file: Any) -> list[Any]:
    import h5py

    found: list[Any] = []
    file.visititems(lambda _, node: found.append(node) if isinstance(node, h5py.Dataset) else None)
    return [data for data in found if data.dtype.kind in "uif" and data.ndim in (3, 4)]


def hdf5_axes(path: Path) -> int:
    """Return the number of axes of the largest array."""
    import h5py

    with h5py.File(path, "r") as file:
        return max((data.ndim for data in _hdf5_arrays(file)), default=0)


def read_hdf5(path: Path, hints: Hints) -> Stored:
    """Open the scan of a py4DSTEM, emdfile or EMD file."""
    import h5py
    import hdf5plugin  # noqa: F401  (registers the compression filters)

    # Stays open as long as the lazy array refers to it.
    file = h5py.File(path, "r")
    try:
        data = largest(path, _hdf5_arrays(file))
    except Exception:
        file.close()
        raise
    # emdfile numbers the axes dim0 to dim3, EMD-NCEM dim1 to dim4.
    first = 0 if "dim0" in data.parent else 1
    axes = [_hdf5_dim(data.parent.get(f"dim{axis + first}")) for axis in range(data.ndim)]
    return Stored(data, *steps(axes), metadata={"dataset": data.name})


def _hdf5_dim(dim: Any) -> tuple[float, str]:
    # A dim vector lists the positions along the axis; two of them state the step.
    values = np.zeros(0) if dim is None else np.atleast_1d(dim[...])[:2].astype(float)
    if values.size < 2:
        return 0.0, ""
    units = dim.attrs.get("units", "")
    units = units.decode() if isinstance(units, bytes) else str(units)
    return float(values[1] - values[0]), units


def _open_zarr(path: Path) -> Any:
    import zarr

    if path.is_file() and zipfile.is_zipfile(path):
        return zarr.open(zarr.storage.ZipStore(path, mode="r"), mode="r")
    return zarr.open(path, mode="r")


def _zarr_arrays(path: Path) -> list[tuple[Any, Any]]:
    """Return every array of 3 or 4 axes, with the group it is in."""
    import zarr

    node = _open_zarr(path)
    if isinstance(node, zarr.Array):
        return [(node, None)] if node.ndim in (3, 4) else []
    return [
        (member, node[name.rpartition("/")[0]] if "/" in name else node)
        for name, member in node.members(max_depth=None)
        if isinstance(member, zarr.Array) and member.ndim in (3, 4) and member.dtype.kind in "uif"
    ]


def zarr_axes(path: Path) -> int:
    """Return the number of axes of the largest array."""
    return max((array.ndim for array, _ in _zarr_arrays(path)), default=0)


def read_zarr(path: Path, hints: Hints) -> Stored:
    """Open the largest array of a zarr store, folder or zip, of version 2 or 3."""
    found = _zarr_arrays(path)
    array = largest(path, [one for one, _ in found])
    group = next(group for one, group in found if one is array)
    if group is not None and "axis-0" in group:
        # HyperSpy's layout. RosettaSciIO reads it only with zarr 2, which results cannot use.
        axes = [dict(group[f"axis-{number}"].attrs) for number in range(array.ndim)]
        pairs = [(float(a.get("scale") or 0), str(a.get("units") or "")) for a in axes]
        return Stored(array, *steps(pairs))
    stated = dict(array.attrs)
    return Stored(array, stated.get("scan_step_nm"), stated.get("k_step_inv_angstrom"))


def rosetta(plugin: str, suffix: str, name: str) -> Format:
    """Return the format that a RosettaSciIO plugin reads."""

    def signals(path: Path) -> list[dict[str, Any]]:
        import hdf5plugin  # noqa: F401  (registers the compression filters)

        reader = importlib.import_module(f"rsciio.{plugin}").file_reader
        found: list[dict[str, Any]] = reader(os.fspath(path), lazy=True)
        return found

    def axes(path: Path) -> int:
        return max((signal["data"].ndim for signal in signals(path)), default=0)

    def read(path: Path, hints: Hints) -> Stored:
        found = [signal for signal in signals(path) if signal["data"].ndim in (3, 4)]
        array = largest(path, [signal["data"] for signal in found])
        signal = next(one for one in found if one["data"] is array)
        # HyperSpy lists axes in array order where they have an index, scan axes first.
        listed = sorted(signal["axes"], key=lambda axis: int(axis.get("index_in_array", 0)))
        pairs = [(float(a.get("scale") or 0), str(a.get("units") or "")) for a in listed]
        return Stored(array, *steps(pairs))

    return Format(name, (suffix,), axes, read, only_scans=True)
