"""NanoMEGAS TopSpin, `.app5`: HDF5 with one dataset per pattern and XML that says where it was."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.io.axes import Axis, centre_of, steps
from napari_ferro4d.io.open_options import OpenOptions
from napari_ferro4d.io.stacks import chunk_metadata
from napari_ferro4d.io.stored import Stored

from .hdf5 import is_plain, open_hdf5, text
from .hdf5_heaps import refuse_damaged_heaps

_MOST_SCANS = 64
_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True)
class TopspinFrames:
    """The patterns of one scan, each opened when asked for: ``[pattern, ky, kx]``."""

    path: str
    group: str
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    ndim = 3

    def __getitem__(self, where: Any) -> np.ndarray:
        first, *others = where if isinstance(where, tuple) else (where,)
        numbers = np.arange(self.shape[0])[first]
        with open_hdf5(Path(self.path)) as file:
            group = file[self.group]
            patterns = [group[f"{n}/Data"][()] for n in np.atleast_1d(numbers)]
        if any(pattern.shape != self.shape[1:] for pattern in patterns):
            raise ScanError(f"{self.path}: the patterns of {self.group} differ in shape.")
        stack = np.stack(patterns) if patterns else np.empty((0, *self.shape[1:]), self.dtype)
        stack = stack[0] if numbers.ndim == 0 else stack
        return stack[(slice(None),) * (stack.ndim - 2) + tuple(others)]


def topspin_axes(path: Path) -> int:
    """Return 4 if there is a group of patterns."""
    refuse_damaged_heaps(path)
    with open_hdf5(path) as file:
        return 4 if _groups(file) else 0


def read_topspin(path: Path, hints: OpenOptions) -> Stored:
    """Open the scan with the most patterns."""
    refuse_damaged_heaps(path)
    with open_hdf5(path) as file:
        groups = _groups(file)
        if not groups:
            raise ScanError(f"{path}: holds no patterns, so no scan of TopSpin.")
        name = max(groups, key=lambda name: len(file[name]))
        group = file[name]
        count = len(group)
        if f"{count - 1}" not in group:
            raise ScanError(f"{path}: some of the {count} patterns of {name} are missing.")
        first = group["0/Data"]
        if first.ndim != 2 or first.dtype.kind not in "uif":
            raise ScanError(f"{path}: {name}/0/Data is no pattern of counts.")
        array = TopspinFrames(str(path), name, (count, *first.shape), first.dtype)
        columns, x_step, y_step = _raster(path, group, count)
        axes = [Axis(y_step, 0.0, "m"), Axis(x_step, 0.0, "m"), *_detector_axes(group)]
    shape = (-(-count // columns), columns) if columns else None
    return Stored(
        array,
        *steps(axes),
        scan_shape=shape,
        centre=centre_of(axes),
        metadata={"dataset": name, **chunk_metadata((1,))},
    )


def _groups(file: Any) -> list[str]:
    found: list[str] = []
    for name, node in file.items():
        if not _ID.fullmatch(name) or not hasattr(node, "keys"):
            continue
        # One scan, or an experiment with several, which has metadata of its own. The names of
        # patterns are not listed: they are many, and in a damaged file without end.
        several = "0/Data" not in node and "Metadata" in node
        inside = [f"/{n}" for n in islice(node, _MOST_SCANS)] if several else [""]
        found += [name + one for one in inside if f"{name}{one}/0/Data" in file]
    return found


def _xml(group: Any, number: int) -> ElementTree.Element:
    node = group[f"{number}/Metadata"]
    if not is_plain(node.dtype):
        raise ValueError(f"{node.name} is no text")
    return ElementTree.fromstring(text(node[()]))


def _position(group: Any, number: int) -> tuple[float, float]:
    place = _xml(group, number)[1][0][1]
    return float(place[0].text or "nan"), float(place[1].text or "nan")


def _raster(path: Path, group: Any, count: int) -> tuple[int, float, float]:
    """Return the length of a row and both steps in m, from where the first patterns were."""
    try:
        x0, y0 = _position(group, 0)
        x1 = _position(group, 1)[0] if count > 1 else x0
        for number in range(1, count):
            y = _position(group, number)[1]
            if y != y0:
                # The end of this row has to be where its length says.
                end = _position(group, number - 1)[0]
                straight = abs(end - x0 - (number - 1) * (x1 - x0)) <= abs(x1 - x0) / 2
                again = _position(group, min(2 * number, count) - 1)[1]
                return (number if straight and again == y else 0), abs(x1 - x0), abs(y - y0)
    except (KeyError, IndexError, ValueError, ElementTree.ParseError):
        return 0, 0.0, 0.0
    return count, abs(x1 - x0), 0.0


def _detector_axes(group: Any) -> list[Axis]:
    try:
        space = _xml(group, 0)[0]
        return [
            Axis(float(a[1].text or 0), float(a[0].text or 0), a[2][1].text or "")
            for a in (space[0], space[1])
        ]
    except (KeyError, IndexError, ValueError, ElementTree.ParseError):
        return [Axis(), Axis()]
