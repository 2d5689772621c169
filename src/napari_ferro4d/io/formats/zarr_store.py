"""Zarr stores, version 2 or 3, folder or zip: HyperSpy's `.zspy`, abTEM, and ours."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_ferro4d.io.axes import Axis, Transposed, centre_of, steps
from napari_ferro4d.io.open_options import OpenOptions
from napari_ferro4d.io.stacks import chunk_metadata
from napari_ferro4d.io.stored import Stored, largest, refuse_absurd_chunks

_METADATA = (".zarray", ".zgroup", "zarr.json")


def _open_zarr(path: Path) -> Any:
    import zarr

    if path.is_file() and zipfile.is_zipfile(path):
        return zarr.open(zarr.storage.ZipStore(path, mode="r"), mode="r")
    return zarr.open(path, mode="r")


def _zarr_arrays(path: Path) -> list[tuple[Any, Any]]:
    """Return every array of 3 or 4 axes, with the group it is in."""
    import zarr

    with warnings.catch_warnings():
        # zarr warns of everything in the folder that is none of its own.
        warnings.simplefilter("ignore")
        node = _open_zarr(path)
        if isinstance(node, zarr.Array):
            return [(node, None)] if node.ndim in (3, 4) else []
        root = zipfile.Path(path) if path.is_file() else path
        return [
            (member, group)
            for member, group in _members(node, root)
            if member.ndim in (3, 4) and member.dtype.kind in "uif"
        ]


def _members(group: Any, folder: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every array below a group, with the group it is in, in the order of their names.

    One after the other: asked for all of them at once, zarr leaves those that it has not read when
    one turns out to be damaged to the event loop, which complains of each on standard error.
    """
    import zarr

    for one in sorted(folder.iterdir(), key=lambda entry: str(entry.name)):
        if any((one / name).is_file() for name in _METADATA):
            member = group[one.name]
            if isinstance(member, zarr.Array):
                yield member, group
            else:
                yield from _members(member, one)


def zarr_axes(path: Path) -> int:
    """Return the number of axes of the largest array."""
    return max((array.ndim for array, _ in _zarr_arrays(path)), default=0)


def read_zarr(path: Path, hints: OpenOptions) -> Stored:
    """Open the largest array of a zarr store, folder or zip, of version 2 or 3."""
    found = _zarr_arrays(path)
    array = largest(path, [one for one, _ in found])
    refuse_absurd_chunks(path, array)
    stored = _checked(array)
    # What is no longer a zarr array gives single patterns.
    chunks = chunk_metadata(array.chunks if isinstance(stored, type(array)) else (1,))
    group = next(group for one, group in found if one is array)
    if group is not None and "axis-0" in group:
        # HyperSpy's layout. RosettaSciIO reads it only with zarr 2, which results cannot use.
        axes = [
            Axis.from_attributes(dict(group[f"axis-{number}"].attrs))
            for number in range(array.ndim)
        ]
        return Stored(stored, *steps(axes), centre=centre_of(axes), metadata=chunks)
    abtem = _abtem_axes(array, group)
    if abtem is not None:
        # abTEM's arrays are [x, y, kx, ky].
        axes = [abtem[axis] for axis in (1, 0, 3, 2)]
        turned = Transposed(stored, (1, 0, 3, 2))
        if "patterns_per_chunk" in chunks:
            chunks["patterns_per_chunk"] = chunks["patterns_per_chunk"][::-1]
        metadata = {"program": "abTEM", **chunks}
        return Stored(turned, *steps(axes), centre=centre_of(axes), metadata=metadata)
    stated = dict(array.attrs)
    scan_step, k_step = stated.get("scan_step_nm"), stated.get("k_step_inv_angstrom")
    centre = tuple(stated["centre_px"]) if "centre_px" in stated else None
    return Stored(stored, scan_step, k_step, centre=centre, metadata=chunks)


def _checked(array: Any) -> Any:
    """Return `array`, with its chunks looked at before they are decoded if Blosc is to do that."""
    codecs = [str(getattr(one, "codec_id", type(one).__name__)) for one in array.compressors]
    if not any("blosc" in name.lower() for name in codecs):
        return array
    import zarr

    from .blosc import CheckedStore, in_parts

    return in_parts(zarr.open_array(CheckedStore(array.store), path=array.path, mode="r"))


def _abtem_axes(array: Any, group: Any) -> list[Axis] | None:
    """Return the axes that abTEM wrote for `array`, or None if it did not."""
    number = array.name.rpartition("array")[2] if "array" in array.name else ""
    if group is None or not number.isdecimal() or array.ndim != 4:
        return None
    stated = dict(group.attrs)
    if f"metadata{number}" in stated:
        described = stated[f"metadata{number}"].get("axes", {})
        axes = [described.get(f"axis_{axis}", {}) for axis in range(4)]
    elif f"kwargs{number}" in stated:
        # Up to abTEM 1.0.9: the scan axes, and the sampling of the detector in 1/angstrom.
        kwargs = stated[f"kwargs{number}"]
        sampling = kwargs.get("sampling") or (0.0, 0.0)
        detector = [{"sampling": step, "units": "1/Å"} for step in sampling]
        axes = [*kwargs.get("ensemble_axes_metadata", []), *detector]
    else:
        return None
    if len(axes) != 4:
        return None
    return [
        Axis.from_attributes({**axis, "scale": axis.get("sampling"), "offset": 0.0})
        for axis in axes
    ]
