"""Virtual detectors: which detector pixels count.

A pixel counts if its centre lies inside the shape or on its edge. Pixel centres are whole numbers.
"""

from __future__ import annotations

import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_ferro4d.errors import ScanError

_ON_EDGE = 1e-9
"""Distance in pixels at which a pixel centre lies on an edge: rounding of sums, nothing more."""


@dataclass(frozen=True)
class Disk:
    """All detector pixels within `radius` pixels of the beam centre."""

    radius: float

    @property
    def name(self) -> str:
        """Name of the resulting map."""
        return f"virtual_disk_{self.radius:g}"

    def mask(self, detector: tuple[int, int], centre: tuple[float, float]) -> np.ndarray:
        """Return the detector pixels that count, bool ``[ky, kx]``."""
        return _distance(detector, centre) <= self.radius


@dataclass(frozen=True)
class Annulus:
    """Detector pixels from `inner` to `outer` pixels from the beam centre, both included."""

    inner: float
    outer: float

    @property
    def name(self) -> str:
        """Name of the resulting map."""
        return f"virtual_annulus_{self.inner:g}_{self.outer:g}"

    def mask(self, detector: tuple[int, int], centre: tuple[float, float]) -> np.ndarray:
        """Return the detector pixels that count, bool ``[ky, kx]``."""
        distance = _distance(detector, centre)
        return (distance >= self.inner) & (distance <= self.outer)


@dataclass(frozen=True)
class Rectangle:
    """Detector pixels between two opposite corners, edges included.

    Parameters
    ----------
    ky0, kx0, ky1, kx1 : float
        The corners, in pixels from the beam centre, positive down and right.
    """

    ky0: float
    kx0: float
    ky1: float
    kx1: float

    @property
    def name(self) -> str:
        """Name of the resulting map."""
        return f"virtual_rectangle_{self.ky0:g}_{self.kx0:g}_{self.ky1:g}_{self.kx1:g}"

    def mask(self, detector: tuple[int, int], centre: tuple[float, float]) -> np.ndarray:
        """Return the detector pixels that count, bool ``[ky, kx]``."""
        ky, kx = np.ogrid[: detector[0], : detector[1]]
        down = _between(ky - centre[0], self.ky0, self.ky1)
        return np.asarray(down & _between(kx - centre[1], self.kx0, self.kx1))


@dataclass(frozen=True)
class Polygon:
    """Detector pixels inside a polygon, edges included.

    Where edges cross one another, what lies inside an even number of times is outside.

    Parameters
    ----------
    corners : tuple of tuple of float
        ``(ky, kx)`` of three or more corners in turn, in pixels from the beam centre, positive
        down and right; the last one is joined to the first.
    """

    corners: tuple[tuple[float, float], ...]

    @property
    def name(self) -> str:
        """Name of the resulting map: its last part tells polygons apart."""
        return f"virtual_polygon_{zlib.crc32(detector_text(self).encode()):08x}"

    def mask(self, detector: tuple[int, int], centre: tuple[float, float]) -> np.ndarray:
        """Return the detector pixels that count, bool ``[ky, kx]``."""
        mask = np.zeros(detector, bool)
        corners = np.asarray(self.corners, float) + centre
        low = np.clip(np.floor(corners.min(axis=0)), 0, detector).astype(int)
        high = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, detector).astype(int)
        ky, kx = np.ogrid[low[0] : high[0], low[1] : high[1]]
        inside = np.zeros((ky.size, kx.size), bool)
        edge = np.zeros_like(inside)
        for (y0, x0), (y1, x1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            edge |= _on_line(ky, kx, (y0, x0), (y1, x1))
            if y0 != y1:
                # A ray to the right of the pixel meets this edge; its upper end does not count.
                meets = (y0 <= ky) != (y1 <= ky)
                inside ^= meets & (kx < x0 + (ky - y0) * ((x1 - x0) / (y1 - y0)))
        mask[low[0] : high[0], low[1] : high[1]] = inside | edge
        return mask


Shape = Disk | Annulus | Rectangle | Polygon
"""A detector in pixels about the beam centre."""


def _between(values: np.ndarray, one: float, other: float) -> np.ndarray:
    low, high = sorted((one, other))
    return np.asarray((values >= low - _ON_EDGE) & (values <= high + _ON_EDGE))


def _on_line(
    ky: np.ndarray, kx: np.ndarray, start: tuple[float, float], end: tuple[float, float]
) -> np.ndarray:
    down, right = end[0] - start[0], end[1] - start[1]
    length = math.hypot(down, right) or 1.0
    away = np.abs((ky - start[0]) * right - (kx - start[1]) * down) / length
    between = _between(ky, start[0], end[0]) & _between(kx, start[1], end[1])
    return np.asarray((away <= _ON_EDGE) & between)


def _distance(detector: tuple[int, int], centre: tuple[float, float]) -> np.ndarray:
    ky, kx = np.ogrid[: detector[0], : detector[1]]
    return np.asarray(np.hypot(ky - centre[0], kx - centre[1]))


def parse_detector(text: str) -> Shape | np.ndarray:
    """Read a detector as the command line states it.

    Parameters
    ----------
    text : str
        ``disk:R``, ``annulus:R1,R2``, ``rectangle:KY0,KX0,KY1,KX1`` (two opposite corners) or
        ``polygon:KY,KX;KY,KX;KY,KX...``, in pixels from the beam centre, positive down and right;
        or the name of an image file whose non-zero pixels count. In an image of floats every
        pixel counts with its value.

    Returns
    -------
    Disk, Annulus, Rectangle, Polygon or array
        The array is bool or, of an image of floats, float64 ``[ky, kx]``.

    Raises
    ------
    ScanError
        If it is none of these.

    Examples
    --------
    >>> parse_detector("annulus:8,20")
    Annulus(inner=8.0, outer=20.0)
    >>> parse_detector("polygon:0,0;0,9.5;9.5,0")
    Polygon(corners=((0.0, 0.0), (0.0, 9.5), (9.5, 0.0)))
    """
    kind, _, numbers = text.partition(":")
    if kind not in _FORMS or not numbers:
        return read_mask(Path(text))
    rows = [_numbers(part) for part in numbers.split(";")]
    first = rows[0]
    if kind == "polygon":
        corners = tuple((row[0], row[1]) for row in rows if len(row) == 2)
        if 3 <= len(corners) == len(rows):
            return Polygon(corners)
    elif len(rows) == 1:
        if kind == "disk" and len(first) == 1 and first[0] >= 0:
            return Disk(first[0])
        if kind == "annulus" and len(first) == 2 and 0 <= first[0] < first[1]:
            return Annulus(*first)
        if kind == "rectangle" and len(first) == 4:
            return Rectangle(*first)
    raise ScanError(f"{text}: this detector is {_FORMS[kind]}, in pixels from the beam centre.")


_FORMS = {
    "disk": "disk:R",
    "annulus": "annulus:R1,R2 with R1 < R2",
    "rectangle": "rectangle:KY0,KX0,KY1,KX1, two opposite corners",
    "polygon": "polygon:KY,KX;KY,KX;KY,KX..., three corners or more",
}


def _numbers(text: str) -> list[float]:
    """Return the numbers between commas; none at all if one is not finite, or absurdly large."""
    try:
        values = [float(number) for number in text.split(",")]
    except ValueError:
        return []
    return values if all(abs(value) <= _MOST for value in values) else []


_MOST = 1e100
"""Squares of lengths up to this are numbers."""


def detector_text(shape: Shape) -> str:
    """Return a shape as `parse_detector` reads it.

    Examples
    --------
    >>> detector_text(Rectangle(-5, -5, 5, 7.5))
    'rectangle:-5,-5,5,7.5'
    """
    match shape:
        case Disk(radius):
            rows: tuple[tuple[float, ...], ...] = ((radius,),)
        case Annulus(inner, outer):
            rows = ((inner, outer),)
        case Rectangle(ky0, kx0, ky1, kx1):
            rows = ((ky0, kx0, ky1, kx1),)
        case Polygon(corners):
            rows = corners
    return f"{type(shape).__name__.lower()}:" + ";".join(
        ",".join(f"{number:.10g}" for number in row) for row in rows
    )


def read_mask(path: Path) -> np.ndarray:
    """Read an image as a detector: bool ``[ky, kx]`` or, of an image of floats, its weights.

    Raises
    ------
    ScanError
        If there is no such image, or it makes no mask.
    """
    if not os.path.isfile(path):  # says no, where Path.is_file raises, of impossible names
        raise ScanError(
            f"{path}: no such detector; give disk:R, annulus:R1,R2, rectangle:KY0,KX0,KY1,KX1, "
            "polygon:KY,KX;KY,KX;KY,KX... or an image of the mask."
        )
    try:
        image = _read_image(path)
    except Exception as error:  # image decoders raise anything on a broken file
        raise ScanError(f"{path}: cannot be read as a detector mask ({error}).") from error
    if image.ndim == 3 and image.shape[-1] in (2, 4):
        image = image[..., :-1]  # opacity is not part of the mask
    if image.ndim == 3 and image.dtype.kind != "f":
        image = np.asarray(image.any(axis=-1))
    if image.ndim != 2:
        raise ScanError(f"{path}: has shape {image.shape}; a detector mask is one image [ky, kx].")
    if image.dtype.kind not in "buif":
        raise ScanError(f"{path}: its values are {image.dtype}, which make no detector mask.")
    if image.dtype.kind != "f":
        return np.asarray(image != 0)
    weights = image.astype(np.float64)
    if not np.isfinite(weights).all():
        raise ScanError(
            f"{path}: a detector mask of weights holds numbers only, no NaN or infinity."
        )
    return weights


def _read_image(path: Path) -> np.ndarray:
    if path.suffix.lower() == ".npy":
        return np.asarray(np.load(path, allow_pickle=False))
    if path.suffix.lower() in (".tif", ".tiff"):
        from tifffile import imread

        return np.asarray(imread(path))
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image)


def detector_mask(
    detector: Shape | np.ndarray,
    shape: tuple[int, int],
    centre: tuple[float, float] | None,
    where: str,
) -> np.ndarray:
    """Return the weight of every detector pixel: bool or float ``[ky, kx]``.

    Raises
    ------
    ScanError
        If the mask has another shape than the detector, or no pixel counts.
    """
    if isinstance(detector, Shape):
        if centre is None:
            raise ScanError(f"{where}: a {type(detector).__name__.lower()} needs the beam centre.")
        mask = detector.mask(shape, centre)
    else:
        mask = np.asarray(detector)
        if mask.shape != shape:
            raise ScanError(
                f"{where}: the detector mask has shape {mask.shape}, but the detector has "
                f"{shape[0]} x {shape[1]} pixels; make a mask of that size."
            )
        if mask.dtype.kind != "b":
            mask = mask.astype(np.float64)
    if not mask.any():
        raise ScanError(f"{where}: no detector pixel lies inside the virtual detector.")
    return mask
