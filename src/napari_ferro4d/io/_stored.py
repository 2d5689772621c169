"""What a file holds, before it is a scan; and how formats state their steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_ferro4d.errors import ScanError
from napari_ferro4d.scan import Frames

from ._units import length_in_nm, reciprocal_in_inverse_angstrom

Step = tuple[float, float] | None
ScanShape = tuple[int, int] | None


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
    only_scans : bool
        Files of this ending are scans and nothing else, so a broken one is ours to explain.
    """

    name: str
    suffixes: tuple[str, ...]
    axes: Callable[[Path], int]
    read: Callable[[Path, ScanShape], Stored]
    only_scans: bool = False


def largest(path: Path, arrays: list[Any]) -> Any:
    """Return the array with the most axes, and of these the largest.

    Raises
    ------
    ScanError
        If there is none.
    """
    if not arrays:
        raise ScanError(f"{path}: holds no array of 3 or 4 axes, so no 4D-STEM scan.")
    return max(arrays, key=lambda array: (array.ndim, array.size))


def steps(axes: list[tuple[float, str]]) -> tuple[Step, Step]:
    """Turn ``(scale, unit)`` per axis into the scan step (nm) and the pixel size (1/angstrom)."""
    values = [
        _calibrated(scale, unit, reciprocal=number >= len(axes) - 2)
        for number, (scale, unit) in enumerate(axes)
    ]
    return _pair(values[:-2]), _pair(values[-2:])


def _calibrated(scale: float, unit: str, *, reciprocal: bool) -> float | None:
    factor = reciprocal_in_inverse_angstrom(unit) if reciprocal else length_in_nm(unit)
    return None if factor is None or not abs(scale) > 0 else abs(scale) * factor


def _pair(values: list[float | None]) -> Step:
    # An axis of one position states no step; the other one's is as good.
    known = [value for value in values if value is not None]
    return (values[0] or known[0], values[-1] or known[0]) if known else None
