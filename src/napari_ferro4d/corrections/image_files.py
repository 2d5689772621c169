"""Detector corrections as options: images from files, bad pixels as text, and a record of them.

Options are texts, numbers and tuples, so that they travel to the workers of a cluster and into the
provenance of results; bad pixels that are found become a list of them, so that whoever opens the
scan again takes the same ones.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.frames import Frames
from napari_ferro4d.io import Crop, OpenOptions, largest, mapped
from napari_ferro4d.jobs import Report
from napari_ferro4d.scan import Correction, Scan

from .bad_pixel_search import find_bad_pixels
from .block_work import check_image
from .correct_scan import correct

_LIST = re.compile(r"\s*(\d{1,9}\s*,\s*\d{1,9}\s*(;\s*\d{1,9}\s*,\s*\d{1,9}\s*)*;?\s*)?")


def corrected(scan: Scan, wanted: OpenOptions, report: Report | None = None) -> Scan:
    """Return `scan`, just opened, corrected as wanted; its source tells how to open it so again.

    Raises
    ------
    ScanError
        If an image cannot be used, or nothing is left of the detector.
    """
    for name in ("dark", "gain", "bad_pixels"):
        if not isinstance(getattr(wanted, name), str | os.PathLike | None):
            raise ScanError(
                f"{scan.where()}: {name} must be the path of an image; use "
                "napari_ferro4d.corrections.correct to correct with arrays."
            )
    if wanted.given() == wanted.uncorrected().given():
        return scan
    hints: dict[str, Any] = {}
    record: dict[str, Any] = {}
    shape, where = scan.detector_shape, scan.where()
    bad: np.ndarray | None = None
    if wanted.bad_pixels is not None:
        bad, hints["bad_pixels"], record["bad_pixels"] = _bad_pixels(
            scan, os.fspath(wanted.bad_pixels), report
        )
    images: dict[str, np.ndarray] = {}
    for name, file in (("dark", wanted.dark), ("gain", wanted.gain)):
        if file is not None:
            images[name], record[name] = detector_image(Path(file), f"{name} image", "uif", shape)
            good = None if bad is None else ~bad
            subject = f"{file}: the {name} image"
            check_image(subject, images[name], shape, positive=name == "gain", good=good)
            # Workers of a cluster have working directories of their own.
            hints[name] = os.path.abspath(file)
    crop = None
    if wanted.crop is not None:
        crop = _crop(where, wanted.crop, shape)
        hints["crop"] = tuple((part.start, part.stop) for part in crop)
        record["crop"] = [[part.start, part.stop] for part in crop]
    if not isinstance(wanted.bin, int | np.integer):
        raise ScanError(f"{where}: bin is a whole number of pixels, not {wanted.bin!r}.")
    if wanted.bin != 1:
        hints["bin"] = record["bin"] = int(wanted.bin)
    result = correct(scan, **images, bad=bad, crop=crop, bin=int(wanted.bin))
    done = result.correction or _nothing(scan)
    source = scan.source
    return replace(
        result,
        source=None if source is None else replace(source, hints={**source.hints, **hints}),
        correction=replace(done, record=record),
    )


def _nothing(scan: Scan) -> Correction:
    """Return the correction of a scan of which nothing had to be corrected."""
    ky, kx = scan.detector_shape
    whole = (slice(0, ky), slice(0, kx))
    return Correction(scan, lambda block: block, np.ones((ky, kx), bool), whole, 1, {})


def _crop(where: str, crop: Crop, shape: tuple[int, int]) -> tuple[slice, slice]:
    try:
        (top, bottom), (left, right) = crop
        if not all(isinstance(n, int | np.integer | None) for n in (top, bottom, left, right)):
            raise TypeError
    except (TypeError, ValueError):
        raise ScanError(
            f"{where}: a crop is ((ky0, ky1), (kx0, kx1)) in detector pixels, not {crop!r}."
        ) from None
    found = []
    for (first, last), size in zip(((top, bottom), (left, right)), shape, strict=True):
        part = slice(int(first or 0), size if last is None else int(last))
        if not 0 <= part.start < part.stop <= size:
            raise ScanError(
                f"{where}: the detector has {shape[0]} x {shape[1]} pixels, so it cannot be "
                f"cropped to {part.start}:{part.stop} of {size}."
            )
        found.append(part)
    return found[0], found[1]


# --- bad pixels


def _bad_pixels(
    scan: Scan, given: str, report: Report | None
) -> tuple[np.ndarray, str, dict[str, Any]]:
    """Return the bad pixels ``[ky, kx]``, the hint that gives them again, and their record."""
    shape = scan.detector_shape
    if given == "auto":
        bad = find_bad_pixels(scan, report)
        pixels = ";".join(f"{ky},{kx}" for ky, kx in np.argwhere(bad))
        return bad, pixels, {"found": "auto", "count": int(bad.sum()), "pixels": pixels}
    if _LIST.fullmatch(given):
        bad = np.zeros(shape, bool)
        for pixel in filter(str.strip, given.split(";")):
            ky, kx = (int(number) for number in pixel.split(","))
            if ky >= shape[0] or kx >= shape[1]:
                raise ScanError(
                    f"{scan.where()}: the bad pixel {ky},{kx} lies outside the detector of "
                    f"{shape[0]} x {shape[1]} pixels."
                )
            bad[ky, kx] = True
        pixels = ";".join(f"{ky},{kx}" for ky, kx in np.argwhere(bad))
        return bad, pixels, {"count": int(bad.sum()), "pixels": pixels}
    image, entry = detector_image(Path(given), "bad pixel image", "buif", shape)
    subject = f"{given}: the bad pixel image"
    check_image(subject, image, shape)
    bad = image != 0
    if bad.all():
        raise ScanError(f"{subject} marks every pixel bad; 0 stands for a good one.")
    return bad, os.path.abspath(given), {**entry, "count": int(bad.sum())}


# --- images


def detector_image(
    path: Path, what: str, kinds: str, shape: tuple[int, int]
) -> tuple[np.ndarray, dict[str, Any]]:
    """Read one image of the detector, and say which file it was."""
    read = _READERS.get(path.suffix.lower())
    if read is None:
        known = ", ".join(_READERS)
        hint = ", auto or a list KY,KX;KY,KX" if what.startswith("bad") else ""
        raise ScanError(f"{path}: is no {what}; give a file {known}{hint}.")
    if not os.path.isfile(path):  # says no, where Path.is_file raises, of impossible names
        raise ScanError(f"{path}: there is no such {what}.")
    try:
        image = read(path)
        while image.ndim > 2 and image.shape[0] == 1:
            image = image[0]
        if image.ndim > 2:
            raise ScanError(
                f"{path}: holds {' x '.join(map(str, image.shape))} values; the {what} is one "
                "image [ky, kx]: average the stack first."
            )
        if image.dtype.kind not in kinds:
            raise ScanError(f"{path}: its values are {image.dtype}, which make no {what}.")
        if image.shape == shape:  # of one that is not, what it holds need not be read
            image = np.array(image, image.dtype.newbyteorder("="))
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except ScanError:
        raise
    except Exception as error:  # a decoder raises anything on a broken file
        reason = " ".join(str(error).split())[:120]
        raise ScanError(
            f"{path}: cannot be read as {what} ({type(error).__name__}: {reason}); the file is "
            "damaged or of another format."
        ) from error
    return image, {"path": str(path), "sha256": digest}


def _npy(path: Path) -> np.ndarray:
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _tiff(path: Path) -> np.ndarray:
    import tifffile

    from napari_ferro4d.io import quiet, read_image

    image = read_image(path)
    with quiet(), tifffile.TiffFile(path) as file:
        pages = len(file.pages)
    if pages != 1:
        raise ScanError(f"{path}: holds {pages} images; give one, averaged over the stack.")
    return image


def _mrc(path: Path) -> np.ndarray:
    from napari_ferro4d.io import read_mrc

    return np.asarray(read_mrc(path, OpenOptions()).array)


def _gatan(path: Path) -> np.ndarray:
    from napari_ferro4d.io import images_of

    flat = [one for one in images_of(path) if one.ndim in (2, 3)]
    if not flat:
        raise ScanError(f"{path}: holds no image of the detector.")
    image = largest(path, flat)
    detector = (image.shape[-2], image.shape[-1])
    stride = detector[0] * detector[1] * image.dtype.itemsize
    found, _ = mapped(path, Frames(str(path), image.dtype, image.offset, stride), detector)
    return found[: int(np.prod(image.shape[:-2], dtype=int))]


_READERS: Mapping[str, Callable[[Path], np.ndarray]] = {
    ".npy": _npy,
    ".tif": _tiff,
    ".tiff": _tiff,
    ".mrc": _mrc,
    ".dm3": _gatan,
    ".dm4": _gatan,
}
