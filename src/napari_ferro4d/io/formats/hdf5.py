"""HDF5 files: py4DSTEM (both layouts), EMD, Prismatic, NeXus, HyperSpy's `.hspy`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.frames import Frames
from napari_ferro4d.io.axes import Axis, arranged, centre_of, steps
from napari_ferro4d.io.open_options import OpenOptions
from napari_ferro4d.io.stacks import chunk_metadata
from napari_ferro4d.io.stored import Step, Stored, largest, mapped, refuse_absurd_chunks

from .hdf5_chunks import plain_chunks
from .hdf5_heaps import refuse_damaged_heaps


@dataclass(frozen=True)
class Hdf5Array:
    """A dataset that is opened when asked for values, so that any process can ask.

    Parameters
    ----------
    path, name : str
        The file, and the dataset in it.
    shape : tuple of int
        Its shape.
    dtype : numpy.dtype
        Its type.
    chunks : tuple of int or None
        How it is cut into chunks that are compressed on their own.
    """

    path: str
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...] | None

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values, of any size."""
        return int(np.prod(self.shape, dtype=object))

    def __getitem__(self, where: Any) -> np.ndarray:
        given = list(where) if isinstance(where, tuple) else [where]
        parts = [*given, *[slice(None)] * (self.ndim - len(given))]
        with open_hdf5(Path(self.path)) as file:
            return _taken(file[self.name], parts)

    @classmethod
    def of(cls, dataset: Any) -> Hdf5Array:
        """Return a dataset of an open file as one that outlives the file."""
        return cls(
            dataset.file.filename, dataset.name, dataset.shape, dataset.dtype, dataset.chunks
        )


def _taken(data: Any, parts: list[Any]) -> np.ndarray:
    """Return a part of a dataset; of every n-th pattern, one after the other.

    Asked for in one go, the library takes ten times as long.
    """
    for axis, part in enumerate(parts[:-2]):
        if isinstance(part, slice) and part.step not in (None, 1):
            numbers = range(*part.indices(data.shape[axis]))
            before, after = parts[:axis], parts[axis + 1 :]
            each = [_taken(data, [*before, slice(n, n + 1), *after]) for n in numbers]
            # An axis of which one position was asked for is gone.
            place = sum(isinstance(one, slice) for one in before)
            nothing = _taken(data, [*before, slice(0, 0), *after]) if not each else None
            return np.concatenate(each, axis=place) if nothing is None else nothing
    whole = [slice(p.start, p.stop) if _is_stepped(p) else p for p in parts[-2:]]
    values = np.asarray(data[(*parts[:-2], *whole)])
    left: Any = [p for p in parts[-2:] if isinstance(p, slice)]
    left = [slice(None, None, p.step) if _is_stepped(p) else slice(None) for p in left]
    return np.asarray(values[(..., *left)])


def _is_stepped(part: Any) -> bool:
    return isinstance(part, slice) and part.step is not None and part.step > 1


def open_hdf5(path: Path) -> Any:
    """Open a file for reading; the filters of all the usual compressions are at hand.

    Raises
    ------
    ScanError
        If it is no HDF5 file, or cut off.
    """
    import h5py
    import hdf5plugin  # noqa: F401  (registers the compression filters)

    try:
        return h5py.File(path, "r")
    except OSError as error:
        reason = " ".join(str(error).split())[:120]
        raise ScanError(
            f"{path}: is no readable HDF5 file ({reason}); it is damaged or was cut off when it "
            "was copied."
        ) from error


def _datasets(file: Any) -> list[Any]:
    import h5py

    found: list[Any] = []
    file.visititems(lambda _, node: found.append(node) if isinstance(node, h5py.Dataset) else None)
    return [data for data in found if data.dtype.kind in "uif" and data.ndim in (3, 4)]


def hdf5_axes(path: Path) -> int:
    """Return the number of axes of the largest array."""
    refuse_damaged_heaps(path)
    with open_hdf5(path) as file:
        return max((data.ndim for data in _datasets(file)), default=0)


def read_hdf5(path: Path, hints: OpenOptions) -> Stored:
    """Open the largest array of 3 or 4 axes; read the axes beside it."""
    refuse_damaged_heaps(path)
    with open_hdf5(path) as file:
        data = largest(path, _datasets(file))
        refuse_absurd_chunks(path, data)
        axes = _axes_of(data)
        calibration = _calibration(file)
        stored = _frames(path, data)
        array = Hdf5Array.of(data) if stored is None else stored[0]
        unwritten = None if stored is not None else never_written(data)
        held = None
        data_name = str(data.name)
        metadata: dict[str, Any] = {"dataset": data_name}
        # HyperSpy writes EMD files with the fastest axis first, as their specification has it.
        found, axes = arranged(array, axes, reverse="dim4" in data.parent)
        if found is array and stored is None:
            metadata.update(chunk_metadata(data.chunks))
        if found is not array and unwritten is None and (plain := plain_chunks(path, data)):
            found = replace(found, array=plain)
            held = plain.mapped()
    missing = None
    if unwritten is not None:
        if hints.incomplete == "error" or found is not array:
            raise ScanError(
                f"{path}: {int(unwritten.sum())} of {unwritten.size} patterns of {data_name} were "
                "never written; the recording was interrupted. Open it with incomplete='pad' to "
                "fill them with zeros, or 'trim' to leave out the rows they are in."
            )
        found, missing = _as_far_as_written(array, unwritten, hints)
    scan_step, k_step = steps(axes)
    said_scan_step, said_k_step = _py4dstem_steps(calibration)
    return Stored(
        found,
        scan_step or said_scan_step,
        k_step or said_k_step,
        frames=stored[1] if stored is not None and found is array else None,
        centre=_py4dstem_centre(calibration) or centre_of(axes),
        missing=missing,
        metadata=metadata,
        held=held,
    )


def _frames(path: Path, data: Any) -> tuple[np.ndarray, Frames] | None:
    """Map a dataset that lies in the file in one piece, neither cut nor compressed."""
    offset = data.id.get_offset()
    if offset is None or data.chunks or data.is_virtual or data.external or 0 in data.shape:
        return None
    if data.file.userblock_size or Path(data.file.filename) != path:
        return None
    stride = data.shape[-2] * data.shape[-1] * data.dtype.itemsize
    frames = Frames(str(path), data.dtype, offset, stride)
    patterns = int(np.prod(data.shape[:-2]))
    array, _ = mapped(path, frames, data.shape[-2:], patterns)
    if len(array) != patterns:
        raise ScanError(f"{path}: holds {len(array)} of {patterns} patterns; copy it again.")
    return array.reshape(data.shape), frames


# --- what was never written


def never_written(data: Any) -> np.ndarray | None:
    """Return where a dataset has no pattern, bool over its scan axes; None if it is complete.

    HDF5 gives zeros for chunks that were never written, and says nothing.
    """
    if not data.chunks:
        nothing = data.size and data.id.get_offset() is None and not data.is_virtual
        return np.ones(data.shape[:-2], bool) if nothing and not data.external else None
    grid = tuple(-(-n // c) for n, c in zip(data.shape, data.chunks, strict=True))
    if data.id.get_num_chunks() >= math.prod(grid):
        return None
    written = np.zeros(grid[:-2], int)

    def count(chunk: Any) -> None:
        place = [o // c for o, c in zip(chunk.chunk_offset, data.chunks, strict=True)]
        written[tuple(place[:-2])] += 1

    data.id.chunk_iter(count)
    absent = written < math.prod(grid[-2:])
    for axis, size in enumerate(data.chunks[:-2]):
        absent = absent.repeat(size, axis=axis)
    return np.asarray(absent[tuple(slice(n) for n in data.shape[:-2])])


def _as_far_as_written(
    array: Hdf5Array, unwritten: np.ndarray, hints: OpenOptions
) -> tuple[Hdf5Array, np.ndarray | None]:
    if unwritten.ndim == 2 and hints.incomplete == "pad":
        return array, unwritten
    # Patterns, or whole rows, up to the first that is not there.
    lines = unwritten.reshape(len(unwritten), -1).any(axis=1)
    return replace(array, shape=(int(np.argmax(lines)), *array.shape[1:])), None


# --- the axes


def _axes_of(data: Any) -> list[Axis]:
    group = data.parent
    if "axis-0" in group:  # HyperSpy
        stated = [group[f"axis-{axis}"].attrs for axis in range(data.ndim)]
        words = ("scale", "offset", "units")
        return [Axis.from_attributes({w: attribute(one, w) for w in words}) for one in stated]
    named = attribute(group.attrs, "axes") if "NX_class" in group.attrs else None
    if named is not None:  # NeXus
        names = [text(name) for name in np.ravel(named)]
        return [_vector(group.get(name)) for name in (*names, *["."] * data.ndim)][: data.ndim]
    # emdfile numbers the axes dim0 to dim3, EMD-NCEM and Prismatic dim1 to dim4.
    first = 0 if "dim0" in group else 1
    return [_vector(group.get(f"dim{axis + first}")) for axis in range(data.ndim)]


def _vector(dim: Any) -> Axis:
    # A dim vector lists the positions along the axis; two of them state the step.
    values = getattr(dim, "ndim", 0) == 1 and dim.size >= 2 and dim.dtype.kind in "uif"
    if not values:
        return Axis()
    first, second = (float(v) for v in dim[:2])
    return Axis(second - first, first, text(attribute(dim.attrs, "units")))


def attribute(attributes: Any, name: str) -> Any:
    """Return an attribute that is text or a number, or None.

    The library crashes on some types that only a damaged file has.
    """
    if name not in attributes:
        return None
    found = attributes.get_id(name)
    return attributes[name] if is_plain(found.dtype) and math.prod(found.shape) < 1000 else None


def is_plain(dtype: Any) -> bool:
    """Return whether a type is one of numbers or of text."""
    import h5py

    return dtype.kind in "uifbS" or h5py.check_string_dtype(dtype) is not None


def text(value: Any) -> str:
    """Return an attribute as text, however it was stored; None is none."""
    if value is None:
        return ""
    if isinstance(value, np.ndarray):
        value = value.flat[0] if value.size else ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


# --- py4DSTEM's calibration


def _calibration(file: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for root in file.values():
        node: Any = root.get("metadatabundle/calibration") if hasattr(root, "get") else None
        if hasattr(node, "items"):
            single = {k: v for k, v in node.items() if getattr(v, "shape", None) == ()}
            found.update({k: v[()] for k, v in single.items() if is_plain(v.dtype)})
    return found


def _py4dstem_steps(stated: dict[str, Any]) -> tuple[Step, Step]:
    real, reciprocal = (
        Axis(_number(stated, f"{space}_pixel_size"), 0.0, text(stated.get(f"{space}_pixel_units")))
        for space in "RQ"
    )
    return steps([real, real, reciprocal, reciprocal])


def _py4dstem_centre(stated: dict[str, Any]) -> tuple[float, float] | None:
    # In py4DSTEM x is the first axis of an array.
    ky, kx = _number(stated, "qx0_mean"), _number(stated, "qy0_mean")
    return (ky, kx) if ky > 0 and kx > 0 else None


def _number(stated: dict[str, Any], name: str) -> float:
    value = stated.get(name)
    return float(value) if isinstance(value, float | int) and np.isfinite(value) else 0.0
