"""Open a 4D-STEM scan, whatever the file."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from napari_ferro4d.errors import ScanError
from napari_ferro4d.scan import Frames, Scan, Source

from . import _formats
from ._stored import Format
from .results import is_results

__all__ = ["FORMATS", "is_scan", "open_scan"]

FORMATS: tuple[str, ...] = tuple(one.name for one in _formats.FORMATS)
"""Names that ``format=`` accepts."""


def open_scan(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,  # the word users know from every image library
    scan_shape: tuple[int, int] | None = None,
    scan_step: float | tuple[float, float] | None = None,
    k_step: float | tuple[float, float] | None = None,
    centre: tuple[float, float] | None = None,
) -> Scan:
    """Open a 4D-STEM scan lazily: a few patterns are read, whatever the size of the file.

    Parameters
    ----------
    path : path
        A ``.npy``, Merlin ``.mib``, ``.hspy``, ``.zspy``, py4DSTEM or EMD ``.h5``/``.emd``,
        ``.blo`` or ``.zarr`` file or folder.
    format : str, optional
        One of `FORMATS`, where the file name does not tell.
    scan_shape : tuple of int, optional
        Probe positions ``(y, x)``, where the file does not tell.
    scan_step : float or tuple of float, optional
        Distance between probe positions in nm; wins over what the file says.
    k_step : float or tuple of float, optional
        Size of a detector pixel in 1/angstrom; wins over what the file says.
    centre : tuple of float, optional
        Beam centre ``(ky, kx)`` in pixels.

    Returns
    -------
    Scan
        Lazy, with whole patterns per chunk.

    Raises
    ------
    ScanError
        If the file is missing, broken, or holds no 4D-STEM scan of that shape.

    Examples
    --------
    >>> from napari_ferro4d.simulate import demo_scan_path
    >>> open_scan(demo_scan_path()).detector_shape
    (64, 64)
    """
    file = Path(path)
    if not file.exists():
        raise ScanError(f"{file}: there is no such file or folder.")
    chosen = _choose(file, format)
    if scan_shape is not None and (len(scan_shape) != 2 or min(scan_shape) < 1):
        raise ScanError(f"{file}: the scan shape must be two positive numbers, not {scan_shape}.")
    hints: dict[str, Any] = {
        "format": format,
        "scan_shape": scan_shape,
        "scan_step": scan_step,
        "k_step": k_step,
        "centre": centre,
    }
    source = Source(str(file), chosen.name, {k: v for k, v in hints.items() if v is not None})
    try:
        stored = chosen.read(file, scan_shape)
        array = _scan_axes(file, stored.array, stored.frames, scan_shape)
        return Scan.from_array(
            array,
            scan_step=stored.scan_step if scan_step is None else scan_step,
            k_step=stored.k_step if k_step is None else k_step,
            centre=centre,
            source=source,
            frames=stored.frames,
            metadata=stored.metadata,
        )
    except ScanError:
        raise
    except Exception as error:  # a decoder raises anything on a broken file
        raise ScanError(
            f"{file}: cannot be read as {chosen.name} ({type(error).__name__}: "
            f"{_one_line(error)}); the file is damaged or of another format."
        ) from error


def is_scan(path: str | os.PathLike[str]) -> bool:
    """Return whether `open_scan` would take `path` for a 4D-STEM scan, from its name and header.

    A broken file of a format that holds nothing but scans counts as one, so that opening it says
    what is wrong. Never raises.
    """
    file = Path(path)
    formats = [one for one in _formats.FORMATS if file.suffix.lower() in one.suffixes]
    if not formats or not file.exists() or is_results(file):
        return False
    logging.getLogger("rsciio").setLevel(logging.ERROR)
    try:
        return formats[0].axes(file) == 4
    except Exception:  # any decoder error: broken, or not of this format
        return formats[0].only_scans


def _choose(file: Path, name: str | None) -> Format:
    for one in _formats.FORMATS:
        if name == one.name or (name is None and file.suffix.lower() in one.suffixes):
            return one
    known = ", ".join(FORMATS)
    if name is not None:
        raise ScanError(f"{file}: the format {name!r} is not known; use one of {known}.")
    if file.is_dir():
        raise ScanError(
            f"{file}: this folder is not a 4D-STEM scan; give a scan file, or a .zarr folder."
        )
    raise ScanError(f"{file}: the ending {file.suffix!r} tells no format; give one of {known}.")


def _scan_axes(
    file: Path, array: Any, frames: Frames | None, scan_shape: tuple[int, int] | None
) -> Any:
    shape = tuple(int(n) for n in array.shape)
    if scan_shape is None or len(shape) not in (3, 4):
        return array
    patterns = shape[0] if len(shape) == 3 else shape[0] * shape[1]
    if patterns != scan_shape[0] * scan_shape[1]:
        raise ScanError(
            f"{file}: holds {patterns} patterns, but the scan shape {scan_shape[0]} x "
            f"{scan_shape[1]} needs {scan_shape[0] * scan_shape[1]}; give the shape they fill."
        )
    full = (*scan_shape, shape[-2], shape[-1])
    if shape == full:
        return array
    if frames is not None:
        return frames.view(full)
    import dask.array as da

    lazy = array if isinstance(array, da.Array) else da.from_array(array, name=False)
    return lazy.reshape(full)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
