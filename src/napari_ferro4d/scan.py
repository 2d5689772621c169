"""The one data model: a 4D-STEM scan, its axes, units and source.

Conventions, stated here once and tested in ``tests/test_scan.py``:

- The array is ``[y, x, ky, kx]``: probe position row and column, then detector row and column.
- ``y`` and ``ky`` point down, ``x`` and ``kx`` point right, as the arrays are drawn.
- A centre ``(ky, kx)`` is in detector pixels, the middle of pixel 0 being 0.0: the middle of a
  256-pixel axis is 127.5.
- Steps are ``(y, x)`` in nm and ``(ky, kx)`` in 1/angstrom; what a file does not say is None.
- A centre of mass is in pixels from the centre, positive down and right.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import ScanError
from .frames import Frames, lazily

if TYPE_CHECKING:
    import dask.array as da


__all__ = ["Correction", "Scan", "Source", "signature_of"]

_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Source:
    """How any process can open a scan again.

    Parameters
    ----------
    path : str
        The file or folder.
    format : str
        Name of the format.
    hints : mapping
        What the user said about the file.
    opener : callable, optional
        ``opener(path, **hints)`` opens the scan; whoever opened it first hands it on, so that
        workers of a cluster need not know how files are read.
    """

    path: str
    format: str
    hints: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    opener: Callable[..., Scan] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, eq=False)
class Correction:
    """What is done to the patterns of a scan as they are read.

    Parameters
    ----------
    raw : Scan
        The scan as it was recorded.
    apply : callable
        Makes of patterns of `raw`, ``[y, x, ky, kx]``, the corrected ones.
    used : array
        Bool ``[ky, kx]`` of `raw`: detector pixels that are neither cut off nor bad.
    place : tuple of slice
        Detector rows and columns of `raw` that are left.
    bin : int
        How many of its pixels make one, in each direction.
    record : mapping
        What was done, as JSON types, for the provenance of results.
    """

    raw: Scan
    apply: Callable[[np.ndarray], np.ndarray]
    used: np.ndarray
    place: tuple[slice, slice]
    bin: int
    record: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Scan:
    """A 4D-STEM scan: one diffraction pattern per probe position.

    Parameters
    ----------
    data : dask.array.Array
        ``[y, x, ky, kx]`` counts or intensities; every chunk holds whole patterns.
    scan_step : tuple of float, optional
        Distance between probe positions ``(y, x)`` in nm; None if unknown.
    k_step : tuple of float, optional
        Size of a detector pixel ``(ky, kx)`` in 1/angstrom; None if unknown.
    centre : tuple of float, optional
        Position of the undiffracted beam ``(ky, kx)`` in detector pixels; None if unknown.
    source : Source, optional
        How to open the scan again; None for an array in memory.
    signature : str
        Cheap hash of shape, dtype and a few patterns, to recognise the same data again.
    frames : Frames, optional
        Where the patterns lie, if the file is uncompressed: reductions read it directly.
    complete : bool
        False if the file holds fewer patterns than the scan has probe positions.
    missing : array, optional
        bool ``[y, x]``, True where the file holds no pattern, and what `data` has is no count
        (zeros, or what corrections make of them); None if none is missing.
    metadata : mapping
        What else the file says, as it says it.
    correction : Correction, optional
        What is done to the counts of the file as they are read; None if nothing.
    """

    data: da.Array
    scan_step: tuple[float, float] | None = None
    k_step: tuple[float, float] | None = None
    centre: tuple[float, float] | None = None
    source: Source | None = None
    signature: str = ""
    frames: Frames | None = None
    complete: bool = True
    missing: np.ndarray | None = None
    metadata: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    correction: Correction | None = None

    @classmethod
    def from_array(
        cls,
        array: Any,
        *,
        scan_step: float | tuple[float, float] | None = None,
        k_step: float | tuple[float, float] | None = None,
        centre: tuple[float, float] | None = None,
        source: Source | None = None,
        frames: Frames | None = None,
        missing: np.ndarray | None = None,
        metadata: Mapping[str, Any] = _EMPTY,
    ) -> Scan:
        """Make a scan of a numpy or dask array ``[y, x, ky, kx]``.

        Parameters
        ----------
        array : array
            Integers or floats with four axes, none of them empty. Never copied; a dask array is
            rechunked so that chunks hold whole patterns.
        scan_step, k_step : float or tuple of float, optional
            Steps in nm and 1/angstrom; one number stands for both directions.
        centre : tuple of float, optional
            Beam centre ``(ky, kx)`` in pixels.
        source : Source, optional
            How to open it again.
        frames : Frames, optional
            Where the patterns lie in an uncompressed file.
        missing : array, optional
            bool ``[y, x]``, True where there is no pattern.
        metadata : mapping, optional
            Anything else worth keeping.

        Raises
        ------
        ScanError
            If the array is not a 4D-STEM scan, or a step is not a positive number.

        Examples
        --------
        >>> scan = Scan.from_array(np.zeros((2, 3, 8, 8), np.uint16), scan_step=1.4)
        >>> scan.scan_shape, scan.detector_shape, scan.scan_step
        ((2, 3), (8, 8), (1.4, 1.4))
        """
        name = source.path if source else "the array"
        _check_array(array, name)
        data = lazily(array, frames)
        return cls(
            data=data,
            scan_step=_step(scan_step, "scan step", name),
            k_step=_step(k_step, "detector pixel size", name),
            centre=_centre(centre, array.shape[2:], name),
            source=source,
            signature=signature_of(array),
            frames=frames,
            complete=missing is None or not missing.any(),
            missing=missing,
            metadata=MappingProxyType(dict(metadata)),
        )

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape ``(y, x, ky, kx)``."""
        y, x, ky, kx = (int(n) for n in self.data.shape)
        return y, x, ky, kx

    @property
    def scan_shape(self) -> tuple[int, int]:
        """Probe positions ``(y, x)``."""
        return self.shape[:2]

    @property
    def detector_shape(self) -> tuple[int, int]:
        """Detector pixels ``(ky, kx)``."""
        return self.shape[2:]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the counts as stored."""
        stored: np.dtype[Any] = np.dtype(self.data.dtype)
        return stored

    @property
    def name(self) -> str:
        """A short name for layers and results: the file name without its ending."""
        return Path(self.source.path).stem if self.source else "scan"

    def where(self) -> str:
        """Return the file name, or a phrase, with which a message about this scan starts."""
        return self.source.path if self.source else "the scan"


def signature_of(array: Any, patterns: int = 5) -> str:
    """Return a short hash of shape, dtype and `patterns` patterns spread over the scan.

    Cheap whatever the size of the scan, and the same for the same counts in any file format.
    """
    import dask

    digest = hashlib.blake2b(digest_size=8)
    dtype = np.dtype(array.dtype).newbyteorder("=")
    digest.update(f"{tuple(int(n) for n in array.shape)} {dtype.str[1:]}".encode())
    ny, nx = (int(n) for n in array.shape[:2])
    for index in sorted({int(i) for i in np.linspace(0, ny * nx - 1, patterns)}):
        pattern = array[index // nx, index % nx]
        if hasattr(pattern, "compute"):
            # The function and not its name "sync": to look for that, dask imports distributed.
            pattern = pattern.compute(scheduler=dask.get)
        digest.update(np.ascontiguousarray(pattern, dtype=dtype).tobytes())
    return digest.hexdigest()


def _check_array(array: Any, name: str) -> None:
    shape = tuple(int(n) for n in array.shape)
    if len(shape) != 4:
        raise ScanError(
            f"{name}: the array has {len(shape)} axes {shape}; a 4D-STEM scan has four "
            "(y, x, ky, kx). If the scan axes are stored as one, give the scan shape."
        )
    if 0 in shape:
        raise ScanError(f"{name}: an axis is empty (shape {shape}); there is nothing to map.")
    dtype = np.dtype(array.dtype)
    if dtype.kind not in "uif" or dtype.itemsize > 8:
        raise ScanError(
            f"{name}: the values are {dtype}; a scan holds integers or floats of up to 64 bits."
        )


def _step(
    value: float | tuple[float, float] | None, what: str, name: str
) -> tuple[float, float] | None:
    if value is None:
        return None
    pair = (value, value) if isinstance(value, int | float | np.number) else tuple(value)
    if len(pair) != 2 or not all(math.isfinite(float(v)) and float(v) > 0 for v in pair):
        raise ScanError(f"{name}: the {what} must be positive, not {value}.")
    return float(pair[0]), float(pair[1])


def _centre(
    centre: tuple[float, float] | None, detector: tuple[int, int], name: str
) -> tuple[float, float] | None:
    if centre is None:
        return None
    ky, kx = (float(c) for c in centre)
    if not (-0.5 <= ky <= detector[0] - 0.5 and -0.5 <= kx <= detector[1] - 0.5):
        raise ScanError(
            f"{name}: the beam centre ({ky:g}, {kx:g}) lies outside the detector "
            f"of {detector[0]} x {detector[1]} pixels."
        )
    return ky, kx
