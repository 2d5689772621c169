"""Open a 4D-STEM scan, whatever the file."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

from napari_ferro4d.corrections import corrected
from napari_ferro4d.io import (
    Crop,
    Format,
    Incomplete,
    OpenOptions,
    Stored,
    arrange,
    check,
    is_image_folder,
    is_results,
)
from napari_ferro4d.io.formats import FORMATS as _FORMATS

from .errors import ScanError
from .jobs import Report
from .scan import Scan, Source

__all__ = ["FORMATS", "is_scan", "open_scan", "open_with_options"]

FORMATS: tuple[str, ...] = tuple(one.name for one in _FORMATS)
"""Names that ``format=`` accepts."""


def open_scan(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,  # the word users know from every image library
    scan_shape: tuple[int, int] | None = None,
    scan_step: float | tuple[float, float] | None = None,
    k_step: float | tuple[float, float] | None = None,
    centre: tuple[float, float] | None = None,
    first_frame: int = 0,
    flyback: int = 0,
    snake: bool = False,
    incomplete: Incomplete = "error",
    dtype: str | None = None,
    detector_shape: tuple[int, int] | None = None,
    offset: int = 0,
    gap: int = 0,
    dark: str | os.PathLike[str] | None = None,
    gain: str | os.PathLike[str] | None = None,
    bad_pixels: str | os.PathLike[str] | None = None,
    crop: Crop | None = None,
    bin: int = 1,  # what every detector's manual calls it
    saturation: float | None = None,
    report: Report | None = None,
) -> Scan:
    """Open a 4D-STEM scan lazily: a few patterns are read, whatever the size of the file.

    Corrections are applied to patterns as they are read, in the order dark, gain, bad pixels,
    crop, bin. All that is given in detector pixels is in those of the file.

    Parameters
    ----------
    path : path
        A file or folder in one of the formats of `FORMATS`; either file of those that come in
        pairs, such as EMPAD's ``.raw`` and ``.xml``.
    format : str, optional
        One of `FORMATS`, where the file name does not tell.
    scan_shape : tuple of int, optional
        Probe positions ``(y, x)``, where the file does not tell.
    scan_step : float or tuple of float, optional
        Distance between probe positions in nm; wins over what the file says.
    k_step : float or tuple of float, optional
        Size of a detector pixel in 1/angstrom; wins over what the file says.
    centre : tuple of float, optional
        Beam centre ``(ky, kx)`` in pixels; wins over what the file says.
    first_frame : int, optional
        Patterns at the start of the file that do not belong to the scan.
    flyback : int, optional
        Patterns to skip after each row, recorded while the beam flew back.
    snake : bool, optional
        Every second row was scanned from right to left.
    incomplete : {"error", "pad", "trim"}, optional
        What to do where the patterns do not fill the scan: refuse; fill it with zeros, marked in
        `Scan.missing`; or leave out what fills no whole row of the scan.
    dtype : str, optional
        Type of the counts in a file without a header, such as ``">u2"``.
    detector_shape : tuple of int, optional
        Detector pixels ``(ky, kx)`` in a file without a header.
    offset, gap : int, optional
        Bytes before the first pattern and between two, in a file without a header.
    dark, gain : path, optional
        Images ``[ky, kx]``, `.npy`, `.tif`, `.mrc`, `.dm3` or `.dm4`: counts without beam, to be
        subtracted, and the factor that makes pixels alike.
    bad_pixels : path or str, optional
        Hot and dead pixels, which take the mean of the good pixels nearest to them: an image that
        is not 0 there, a list ``"ky,kx;ky,kx"``, or ``"auto"`` to find them in the counts as
        recorded, which costs a pass over the scan.
    crop : tuple of tuple of int, optional
        Detector rows and columns to keep, ``((ky0, ky1), (kx0, kx1))``; None is the edge.
    bin : int, optional
        Sum squares of `bin` x `bin` detector pixels.
    saturation : float, optional
        Count from which on a detector pixel is saturated; wins over what the file says.
    report : callable, optional
        Receives `Progress` while bad pixels are looked for; may raise `Cancelled`.

    Returns
    -------
    Scan
        Lazy, with whole patterns per chunk.

    Raises
    ------
    ScanError
        If the file is missing, broken, or holds no 4D-STEM scan of that shape; or if an image
        for the corrections is missing, of another shape than the detector, or holds values that
        cannot be used.

    Examples
    --------
    >>> from napari_ferro4d.simulate import demo_scan_path
    >>> open_scan(demo_scan_path()).detector_shape
    (64, 64)
    """
    given = dict(locals())  # by names that are those of the fields, too
    del given["path"], given["report"]
    return open_with_options(path, OpenOptions(**given), report)


def open_with_options(
    path: str | os.PathLike[str], options: OpenOptions, report: Report | None = None
) -> Scan:
    """Open a scan as `open_scan` does, whose options are one object here."""
    file = Path(path)
    if not os.path.exists(file):  # says no, where Path.exists raises, of impossible names
        raise ScanError(f"{file}: there is no such file or folder.")
    # Only a file without a header needs to be told the type of its counts.
    headerless = options.format is None and options.dtype is not None
    chosen = _choose(file, "raw" if headerless else options.format)
    check(file, options)
    if options.saturation is not None and not options.saturation > 0:
        raise ScanError(
            f"{file}: the saturation must be a positive count, not {options.saturation}."
        )
    return corrected(_as_recorded(file, chosen, options.uncorrected()), options, report)


def _as_recorded(file: Path, chosen: Format, options: OpenOptions) -> Scan:
    said = options.given()
    try:
        stored = chosen.read(file, options)
        arranged = arrange(file, stored, options)
        more = {"patterns_left_out": arranged.left_out} if arranged.left_out else {}
        scan = Scan.from_array(
            arranged.array,
            scan_step=said.get("scan_step", stored.scan_step),
            k_step=said.get("k_step", stored.k_step),
            centre=said.get("centre", _stated_centre(stored)),
            source=Source(str(file), chosen.name, said, open_scan),
            frames=arranged.frames,
            missing=arranged.missing,
            metadata={**stored.metadata, **more},
        )
        return scan if arranged.complete else replace(scan, complete=False)
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
    chosen = _by_name(file)
    if chosen is None or not os.path.exists(file) or is_results(file):
        return False
    logging.getLogger("rsciio").setLevel(logging.ERROR)
    try:
        return chosen.axes(file) == 4
    except Exception:  # any decoder error: broken, or not of this format
        return chosen.only_scans


def _by_name(file: Path) -> Format | None:
    """Return the format with the longest ending that the file name has, or that of a folder."""
    name = file.name.lower()
    fits = [
        (len(suffix), one)
        for one in _FORMATS
        for suffix in one.suffixes
        if name.endswith(suffix) and name != suffix
    ]
    if fits:
        return max(fits, key=lambda fit: fit[0])[1]
    return _format("images") if is_image_folder(file) else None


def _format(name: str) -> Format | None:
    return next((one for one in _FORMATS if one.name == name), None)


def _choose(file: Path, name: str | None) -> Format:
    chosen = _by_name(file) if name is None else _format(name)
    if chosen is not None:
        return chosen
    known = ", ".join(FORMATS)
    if name is not None:
        raise ScanError(f"{file}: the format {name!r} is not known; use one of {known}.")
    if file.is_dir():
        raise ScanError(
            f"{file}: this folder is not a 4D-STEM scan; give a scan file, or a .zarr folder."
        )
    raise ScanError(f"{file}: the ending {file.suffix!r} tells no format; give one of {known}.")


def _stated_centre(stored: Stored) -> tuple[float, float] | None:
    """Return the centre that the file states, if it can be one."""
    if stored.centre is None:
        return None
    on = (0 <= c <= n - 1 for c, n in zip(stored.centre, stored.array.shape[-2:], strict=True))
    return stored.centre if all(on) else None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
