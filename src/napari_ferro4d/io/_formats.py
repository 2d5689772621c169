"""One entry per file format: is it a scan, and how is it read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.scan import Frames

from ._units import length_in_nm, reciprocal_in_inverse_angstrom

Step = tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class Stored:
    """What a file holds: an array of any shape, the steps it states, and what else it says."""

    array: Any
    scan_step: Step = None
    k_step: Step = None
    frames: Frames | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Format:
    """A file format.

    Parameters
    ----------
    name : str
        What ``format=`` and ``--format`` accept.
    suffixes : tuple of str
        File name endings, lower case.
    axes : callable
        ``axes(path)`` gives the number of axes of what the file holds, cheaply, and 0 if it holds
        no array at all; may raise anything on a broken file.
    read : callable
        ``read(path, scan_shape)`` gives a `Stored`; may raise anything on a broken file.
    """

    name: str
    suffixes: tuple[str, ...]
    axes: Callable[[Path], int]
    read: Callable[[Path, tuple[int, int] | None], Stored]


# --- .npy


def _npy_header(path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
            version, np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read(file)
        return shape, fortran, dtype, file.tell()


def _read_npy(path: Path, scan_shape: tuple[int, int] | None) -> Stored:
    shape, fortran, dtype, offset = _npy_header(path)
    if dtype.hasobject:
        raise ScanError(f"{path}: holds Python objects, not numbers; save a plain array.")
    needed = offset + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    size = path.stat().st_size
    if size < needed:
        raise ScanError(
            f"{path}: the header announces shape {shape} of {dtype}, {needed} bytes, but the file "
            f"has {size}; it is truncated, copy it again."
        )
    array = np.lib.format.open_memmap(path, mode="r")
    frames = None
    if not fortran and len(shape) in (3, 4) and 0 not in shape:
        stride = int(np.prod(shape[-2:], dtype=np.int64)) * dtype.itemsize
        frames = Frames(str(path), dtype, offset, stride)
    return Stored(array, frames=frames)


# --- Merlin .mib


def _read_mib(path: Path, scan_shape: tuple[int, int] | None) -> Stored:
    from rsciio.quantumdetector import file_reader
    from rsciio.quantumdetector._api import MIBProperties

    with path.open("rb") as file:
        if file.read(3) != b"MQ1":
            raise ScanError(f"{path}: does not start with a Merlin frame header (MQ1).")
    header = MIBProperties()
    header.parse_file(str(path))
    if header.raw or header.head_size is None or header.dtype is None:
        raise ScanError(
            f"{path}: Merlin raw mode or an unknown frame header; save it as a processed 1, 6, 12 "
            "or 24 bit .mib from the Merlin software."
        )
    dtype = np.dtype(header.dtype).newbyteorder(">")
    stride = header.head_size + int(np.prod(header.merlin_size)) * dtype.itemsize
    frames, rest = divmod(path.stat().st_size, stride)
    if rest:
        raise ScanError(
            f"{path}: {frames} whole frames of {stride} bytes and {rest} bytes of another; "
            "the file is truncated, copy it again."
        )
    # RosettaSciIO finds the scan shape from the companion .hdr or from the exposure times.
    shape = tuple(int(n) for n in file_reader(str(path), lazy=True)[0]["data"].shape[:-2])
    shape = scan_shape or (shape if len(shape) == 2 else (frames,))
    _check_count(path, shape, frames)
    where = Frames(str(path), dtype, header.head_size, stride)
    view = where.view((1, frames, *header.merlin_size))[0].reshape(*shape, *header.merlin_size)
    metadata = {"exposure_ms": header.exposure, "timestamp": header.timestamp}
    return Stored(view, frames=where, metadata=metadata)


def _check_count(path: Path, shape: tuple[int, ...], frames: int) -> None:
    if int(np.prod(shape)) != frames:
        raise ScanError(
            f"{path}: holds {frames} patterns, which do not fill a scan of "
            f"{' x '.join(str(n) for n in shape)}; give the scan shape that they do fill."
        )


def _mib_axes(path: Path) -> int:
    return 4


# --- HDF5: py4DSTEM / emdfile and EMD


def _hdf5_arrays(file: Any) -> list[Any]:
    import h5py

    found: list[Any] = []
    file.visititems(lambda _, node: found.append(node) if isinstance(node, h5py.Dataset) else None)
    return [d for d in found if d.dtype.kind in "uif" and d.ndim in (3, 4)]


def _hdf5_axes(path: Path) -> int:
    import h5py

    with h5py.File(path, "r") as file:
        return max((d.ndim for d in _hdf5_arrays(file)), default=0)


def _read_hdf5(path: Path, scan_shape: tuple[int, int] | None) -> Stored:
    import h5py
    import hdf5plugin  # noqa: F401  (registers the compression filters)

    # Stays open as long as the lazy array refers to it.
    file = h5py.File(path, "r")
    arrays = _hdf5_arrays(file)
    if not arrays:
        file.close()
        raise ScanError(f"{path}: holds no array of 3 or 4 axes, so no 4D-STEM scan.")
    data = max(arrays, key=lambda d: (d.ndim, d.size))
    scan_step, k_step = _emd_steps(data)
    return Stored(data, scan_step, k_step, metadata={"dataset": data.name})


def _emd_steps(data: Any) -> tuple[Step, Step]:
    # emdfile numbers the axes dim0..dim3, EMD-NCEM dim1..dim4; both state step by the first values.
    group = data.parent
    first = 0 if "dim0" in group else 1
    steps: list[float | None] = []
    for axis in range(data.ndim):
        dim = group.get(f"dim{axis + first}")
        steps.append(None if dim is None else _dim_step(dim, reciprocal=axis >= data.ndim - 2))
    return _pair(steps[:-2]), _pair(steps[-2:])


def _dim_step(dim: Any, *, reciprocal: bool) -> float | None:
    units = dim.attrs.get("units", "")
    units = units.decode() if isinstance(units, bytes) else str(units)
    values = np.atleast_1d(dim[...])[:2].astype(float)
    if values.size < 2:
        return None
    return _calibrated(float(values[1] - values[0]), units, reciprocal=reciprocal)


def _calibrated(step: float, unit: str, *, reciprocal: bool) -> float | None:
    factor = reciprocal_in_inverse_angstrom(unit) if reciprocal else length_in_nm(unit)
    return None if factor is None or not step > 0 else step * factor


def _pair(steps: list[float | None]) -> Step:
    # An axis of one position states no step; the other one's is as good.
    known = [step for step in steps if step is not None]
    if not known:
        return None
    y, x = (steps[0] or known[0], steps[-1] or known[0])
    return y, x


# --- RosettaSciIO: HyperSpy and vendor formats


def _rosetta(plugin: str, suffixes: tuple[str, ...], name: str) -> Format:
    def signals(path: Path) -> list[dict[str, Any]]:
        import importlib

        import hdf5plugin  # noqa: F401  (registers the compression filters)

        reader = importlib.import_module(f"rsciio.{plugin}").file_reader
        found: list[dict[str, Any]] = reader(os.fspath(path), lazy=True)
        return found

    def axes(path: Path) -> int:
        return max((s["data"].ndim for s in signals(path)), default=0)

    def read(path: Path, scan_shape: tuple[int, int] | None) -> Stored:
        found = [s for s in signals(path) if s["data"].ndim in (3, 4)]
        if not found:
            raise ScanError(f"{path}: holds no array of 3 or 4 axes, so no 4D-STEM scan.")
        signal = max(found, key=lambda s: (s["data"].ndim, s["data"].size))
        # HyperSpy lists axes in array order where they have an index, scan axes first.
        listed = sorted(signal["axes"], key=lambda a: int(a.get("index_in_array", 0)))
        steps = [
            _calibrated(
                abs(float(axis.get("scale", 0) or 0)),
                str(axis.get("units") or ""),
                reciprocal=number >= len(listed) - 2,
            )
            for number, axis in enumerate(listed)
        ]
        return Stored(signal["data"], _pair(steps[:-2]), _pair(steps[-2:]))

    return Format(name, suffixes, axes, read)


# --- zarr


def _zarr_arrays(path: Path) -> list[Any]:
    import zarr

    node = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        return [node] if node.ndim in (3, 4) else []
    return [
        member
        for _, member in node.members(max_depth=None)
        if isinstance(member, zarr.Array) and member.ndim in (3, 4)
    ]


def _zarr_axes(path: Path) -> int:
    return max((array.ndim for array in _zarr_arrays(path)), default=0)


def _read_zarr(path: Path, scan_shape: tuple[int, int] | None) -> Stored:
    arrays = _zarr_arrays(path)
    if not arrays:
        raise ScanError(f"{path}: holds no array of 3 or 4 axes, so no 4D-STEM scan.")
    array = max(arrays, key=lambda a: (a.ndim, a.size))
    stated = dict(array.attrs)
    return Stored(array, stated.get("scan_step_nm"), stated.get("k_step_inv_angstrom"))


def _npy_axes(path: Path) -> int:
    return len(_npy_header(path)[0])


FORMATS: tuple[Format, ...] = (
    Format("npy", (".npy",), _npy_axes, _read_npy),
    Format("mib", (".mib",), _mib_axes, _read_mib),
    _rosetta("hspy", (".hspy",), "hspy"),
    _rosetta("zspy", (".zspy",), "zspy"),
    Format("hdf5", (".h5", ".hdf5", ".emd"), _hdf5_axes, _read_hdf5),
    _rosetta("blockfile", (".blo",), "blo"),
    Format("zarr", (".zarr",), _zarr_axes, _read_zarr),
)
