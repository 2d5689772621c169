"""Patterns as images: a TIFF stack, or a folder of images whose names say where they belong."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.frames import Frames
from napari_ferro4d.io.open_options import OpenOptions
from napari_ferro4d.io.stacks import chunk_metadata
from napari_ferro4d.io.stored import Stored, mapped

_NAME = re.compile(r"(?:.*?\D)?(\d{1,6})_[a-z]?(\d{1,6})(?:\D[^.]*)?\.(?:png|tiff?)", re.IGNORECASE)
"""``x_y.png``, also with text around the numbers: ``scan_012_034_raw.png``, ``x12_y34.tif``."""

_GREY = {"L", "I;16", "I;16B", "I;16L"}
_MOST_POSITIONS = 2**26
_MOST_BYTES = 2**28
"""Of one decoded image: more is a damaged header, and would only ask for absurd memory."""


# --- TIFF


@dataclass(frozen=True)
class TiffPages:
    """The pages of a compressed TIFF, decoded when asked for: ``[pattern, ky, kx]``."""

    path: str
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    ndim = 3

    def __getitem__(self, where: Any) -> np.ndarray:
        import tifffile

        first, *others = where if isinstance(where, tuple) else (where,)
        numbers = np.arange(self.shape[0])[first]
        places = _places(self.path, os.stat(self.path).st_mtime_ns)
        with quiet(), tifffile.TiffFile(self.path) as file:
            patterns = []
            for number in np.atleast_1d(numbers):
                file.filehandle.seek(places[number])
                patterns.append(self._decoded(tifffile.TiffPage(file, int(number))))
        stack = np.stack(patterns) if patterns else np.empty((0, *self.shape[1:]), self.dtype)
        stack = stack[0] if numbers.ndim == 0 else stack
        return stack[(slice(None),) * (stack.ndim - 2) + tuple(others)]

    def _decoded(self, page: Any) -> np.ndarray:
        if tuple(page.shape) != self.shape[1:] or page.dtype != self.dtype:
            raise ScanError(f"{self.path}: page {page.index} differs in shape or type.")
        if sum(page.databytecounts) > Path(self.path).stat().st_size:
            raise ScanError(f"{self.path}: page {page.index} is longer than the file.")
        return np.asarray(page.asarray())


@lru_cache(maxsize=16)
def _places(path: str, version: int) -> tuple[int, ...]:
    """Return where the description of every page lies: each says where the next one does."""
    import tifffile

    with quiet(), tifffile.TiffFile(path) as file:
        tiff, handle = file.tiff, file.filehandle
        handle.seek(tiff.offsetsize)
        places: dict[int, None] = {}  # in their order; one that is there already closes a ring
        place = _number(handle, tiff.offsetformat, tiff.offsetsize)
        while 0 < place < handle.size and place not in places and len(places) < _MOST_POSITIONS:
            places[place] = None
            handle.seek(place)
            tags = _number(handle, tiff.tagnoformat, tiff.tagnosize)
            handle.seek(place + tiff.tagnosize + tags * tiff.tagsize)
            place = _number(handle, tiff.offsetformat, tiff.offsetsize)
    return tuple(places)


def _number(handle: Any, form: str, size: int) -> int:
    data = handle.read(size)
    return int(struct.unpack(form, data)[0]) if len(data) == size else 0


@contextmanager
def quiet() -> Iterator[None]:
    """Keep tifffile from logging what it thinks of a damaged file; ours is said in one line."""
    logger = logging.getLogger("tifffile")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def tiff_axes(path: Path) -> int:
    """Return 0: a TIFF stack may be anything, so it is opened only when asked for."""
    return 0


def read_tiff(path: Path, hints: OpenOptions) -> Stored:
    """Map an uncompressed TIFF stack, or decode the pages of a compressed one."""
    import tifffile

    with quiet(), tifffile.TiffFile(path) as file:
        if not len(file.pages):
            raise ScanError(f"{path}: holds no images.")
        # Pages that were written one by one are a series each, which takes long to find out.
        pages = len(_places(str(path), path.stat().st_mtime_ns))
        first = file.pages[0]
        alone = pages > 1 and _stated_shape(first) == tuple(first.shape)
        series = None if alone else file.series[0]
        page = first if series is None else series.keyframe
        shape = tuple(int(n) for n in (first.shape if series is None else series.shape))
        shape = (pages, *shape) if len(shape) == 2 and pages > 1 else shape
        if page.ndim != 2 or len(shape) not in (3, 4) or shape[-2:] != tuple(page.shape):
            raise ScanError(
                f"{path}: holds {' x '.join(map(str, shape)) or 'no'} pixels in {len(shape)} axes; "
                "a scan is a stack of grey images."
            )
        patterns = int(np.prod(shape[:-2], dtype=object))
        # tifffile knows whether all pages lie one after the other, as they are.
        one = series is not None and len(series.shape) == len(shape)
        offset = series.dataoffset if one and series is not None else None
        dtype = np.dtype(f"{file.byteorder}{page.dtype.char}") if page.dtype else None
    scan = (shape[0], shape[1]) if len(shape) == 4 else None
    if dtype is None or dtype.kind not in "uif":
        raise ScanError(f"{path}: its values are {dtype}; a scan holds integers or floats.")
    if shape[-2] * shape[-1] * dtype.itemsize > _MOST_BYTES:
        raise ScanError(f"{path}: announces images of {shape[-2]} x {shape[-1]} pixels, too many.")
    if offset is not None:
        frames = Frames(str(path), dtype, offset, shape[-2] * shape[-1] * dtype.itemsize)
        array, _ = mapped(path, frames, (shape[-2], shape[-1]), patterns)
        if len(array) != patterns:
            raise ScanError(f"{path}: holds {len(array)} of {patterns} images; copy it again.")
        return Stored(array, frames=frames, scan_shape=scan)
    if pages != patterns:
        raise ScanError(f"{path}: announces {patterns} images, but has {pages} pages.")
    decoded = TiffPages(str(path), (patterns, shape[-2], shape[-1]), dtype.newbyteorder("="))
    return Stored(decoded, scan_shape=scan, metadata=chunk_metadata((1,)))


def _stated_shape(page: Any) -> tuple[int, ...]:
    """Return the shape that tifffile wrote into the description of a page."""
    try:
        return tuple(int(n) for n in json.loads(page.description)["shape"])
    except (AttributeError, ValueError, KeyError, TypeError):
        return ()


# --- a folder


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """Images by their place in a scan, read when asked for: ``[y, x, ky, kx]``."""

    folder: str
    names: np.ndarray
    """Text ``[y, x]``, empty where there is no image."""
    detector: tuple[int, int]
    dtype: np.dtype[Any]
    ndim = 4

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the scan ``(y, x, ky, kx)``."""
        return (*self.names.shape, *self.detector)

    def __getitem__(self, where: Any) -> np.ndarray:
        given = where if isinstance(where, tuple) else (where,)
        names = self.names[given[:2]]
        values = np.zeros((*np.shape(names), *self.detector), self.dtype)
        for place, name in np.ndenumerate(names):
            if name:
                values[place] = self._read(str(name))
        return values[(slice(None),) * np.ndim(names) + tuple(given[2:])]

    def _read(self, name: str) -> np.ndarray:
        path = os.path.join(self.folder, name)
        image = read_image(path)
        if image.shape != self.detector or image.dtype != self.dtype:
            raise ScanError(
                f"{path}: is {image.shape[0]} x {image.shape[1]} {image.dtype}, where the first "
                f"image is {self.detector[0]} x {self.detector[1]} {self.dtype}."
            )
        return image


def images_axes(path: Path) -> int:
    """Return 4 if the names in a folder fill a grid of at least 2 x 2 positions, else 0."""
    names = _grid(path, list(_positions(path)))
    return 4 if min(names.shape) > 1 and (names != "").all() else 0


def read_images(path: Path, hints: OpenOptions) -> Stored:
    """Open a folder of images ``x_y*.png`` or ``x_y*.tif``."""
    found = list(_positions(path))
    if not found:
        raise ScanError(f"{path}: holds no images named by their position, such as 12_34.png.")
    names = _grid(path, found)
    first = read_image(path / found[0][2])
    if first.dtype.kind not in "uif":
        raise ScanError(f"{path / found[0][2]}: its values are {first.dtype}, which are no counts.")
    array = ImageFolder(str(path), names, (first.shape[0], first.shape[1]), first.dtype)
    return Stored(array, missing=names == "", metadata=chunk_metadata((1,)))


def is_image_folder(path: Path) -> bool:
    """Return whether a folder holds an image that is named by its position."""
    return path.is_dir() and next(iter(_positions(path)), None) is not None


def _positions(path: Path) -> Any:
    """Yield ``(y, x, name)`` of every image, in no order."""
    for name in os.listdir(path):
        place = _NAME.fullmatch(name)
        if place is not None:
            yield int(place[2]), int(place[1]), name


def _grid(path: Path, found: list[tuple[int, int, str]]) -> np.ndarray:
    if not found:
        return np.empty((0, 0), str)
    places = np.array([(y, x) for y, x, _ in found])
    ny, nx = (int(n) for n in places.max(0) - places.min(0) + 1)
    if ny * nx > min(_MOST_POSITIONS, 64 * len(found) + 1024):
        raise ScanError(f"{path}: {len(found)} images lie scattered over {ny} x {nx} positions.")
    names = np.full((ny, nx), "", f"U{max(len(name) for _, _, name in found)}")
    for (y, x), (_, _, name) in zip(places - places.min(0), found, strict=True):
        if names[y, x]:
            raise ScanError(f"{path}: {names[y, x]} and {name} have the same position.")
        names[y, x] = name
    return names


def read_image(path: str | Path) -> np.ndarray:
    """Read one grey image ``[ky, kx]``.

    Raises
    ------
    ScanError
        If it is none, or damaged.
    """
    png = os.fspath(path).lower().endswith(".png")
    read: Callable[[str | Path], np.ndarray] = _png if png else _tiff
    try:
        return read(path)
    except ScanError:
        raise
    except Exception as error:  # a decoder raises anything on a damaged file
        reason = " ".join(str(error).split())[:120]
        raise ScanError(f"{path}: is no readable image ({reason}).") from error


def _png(path: str | Path) -> np.ndarray:
    from PIL.PngImagePlugin import PngImageFile

    # From memory: a damaged length then reads what there is, and does not ask for gigabytes.
    with open(path, "rb") as file:
        data = file.read()
    width, height = (int.from_bytes(data[i : i + 4], "big") for i in (16, 20))
    if data[:8] != b"\x89PNG\r\n\x1a\n" or not 0 < width * height <= 2**26:
        raise ScanError(f"{path}: is no PNG, or of an impossible size.")
    # Not Image.open, which for a small image takes as long again to find out that it is a PNG.
    with PngImageFile(io.BytesIO(data)) as image:
        if image.mode not in _GREY:
            raise ScanError(f"{path}: is no grey image ({image.mode}); convert it first.")
        return np.asarray(image)


def _tiff(path: str | Path) -> np.ndarray:
    import tifffile

    with quiet(), tifffile.TiffFile(path) as file:
        page = file.pages[0]
        if page.ndim != 2 or page.nbytes > _MOST_BYTES:
            raise ScanError(f"{path}: is no grey image, or of an impossible size.")
        return np.asarray(page.asarray())
