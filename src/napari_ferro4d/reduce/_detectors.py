"""Virtual detectors: which detector pixels count."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_ferro4d.errors import ScanError

__all__ = ["Annulus", "Disk", "detector_mask", "parse_detector"]


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


def _distance(detector: tuple[int, int], centre: tuple[float, float]) -> np.ndarray:
    ky, kx = np.ogrid[: detector[0], : detector[1]]
    return np.asarray(np.hypot(ky - centre[0], kx - centre[1]))


def parse_detector(text: str) -> Disk | Annulus | np.ndarray:
    """Read a detector as the command line states it.

    Parameters
    ----------
    text : str
        ``disk:R``, ``annulus:R1,R2`` (pixels), or the name of an image file whose non-zero
        pixels count.

    Returns
    -------
    Disk, Annulus or array
        The array is bool ``[ky, kx]``.

    Raises
    ------
    ScanError
        If it is none of these.

    Examples
    --------
    >>> parse_detector("annulus:8,20")
    Annulus(inner=8.0, outer=20.0)
    """
    kind, _, numbers = text.partition(":")
    if kind in ("disk", "annulus") and numbers:
        try:
            radii = [float(number) for number in numbers.split(",")]
        except ValueError:
            radii = []
        if kind == "disk" and len(radii) == 1 and radii[0] >= 0:
            return Disk(radii[0])
        if kind == "annulus" and len(radii) == 2 and 0 <= radii[0] < radii[1]:
            return Annulus(*radii)
        raise ScanError(
            f"{text}: a detector is disk:R or annulus:R1,R2 with R1 < R2, radii in pixels."
        )
    return _read_mask(Path(text))


def _read_mask(path: Path) -> np.ndarray:
    if not path.is_file():
        raise ScanError(
            f"{path}: no such detector; give disk:R, annulus:R1,R2 or an image of the mask."
        )
    try:
        image = _read_image(path)
    except Exception as error:  # image decoders raise anything on a broken file
        raise ScanError(f"{path}: cannot be read as a detector mask ({error}).") from error
    if image.ndim == 3 and image.shape[-1] in (2, 4):
        image = image[..., :-1]  # opacity is not part of the mask
    image = np.asarray(image.any(axis=-1)) if image.ndim == 3 else image
    if image.ndim != 2:
        raise ScanError(f"{path}: has shape {image.shape}; a detector mask is one image [ky, kx].")
    return np.asarray(image != 0)


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
    detector: Disk | Annulus | np.ndarray,
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
    if isinstance(detector, Disk | Annulus):
        if centre is None:
            raise ScanError(f"{where}: a disk or annulus needs the beam centre.")
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


def runs_of(mask: np.ndarray) -> np.ndarray:
    """Return the runs of non-zero pixels of a mask: int64 ``[run, (ky, first kx, last kx)]``."""
    padded = np.zeros((mask.shape[0], mask.shape[1] + 2), np.int8)
    padded[:, 1:-1] = mask != 0
    edges = np.diff(padded, axis=1)
    starts, ends = np.argwhere(edges == 1), np.argwhere(edges == -1)
    return np.column_stack([starts, ends[:, 1]]).astype(np.int64)
