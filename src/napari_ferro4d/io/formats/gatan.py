"""Gatan DigitalMicrograph, `.dm3` and `.dm4`: RosettaSciIO finds the arrays, which are mapped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.frames import Frames
from napari_ferro4d.io.axes import Axis, arranged, centre_of, steps
from napari_ferro4d.io.open_options import OpenOptions
from napari_ferro4d.io.stacks import mapped_once
from napari_ferro4d.io.stored import Stored, largest, mapped


@dataclass(frozen=True)
class Image:
    """An array in a file: where it lies, and its axes, slowest first."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    axes: tuple[Axis, ...]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values, of any size."""
        return int(np.prod(self.shape, dtype=object))


def gatan_axes(path: Path) -> int:
    """Return the number of axes of the largest array."""
    return max((image.ndim for image in images_of(path)), default=0)


def read_gatan(path: Path, hints: OpenOptions) -> Stored:
    """Map the largest array; the units say which axes are those of the detector."""
    found = [image for image in images_of(path) if image.ndim in (3, 4)]
    image = largest(path, found)
    pattern = image.shape[-2] * image.shape[-1] * image.dtype.itemsize
    frames = Frames(str(path), image.dtype, image.offset, pattern)
    count = int(np.prod(image.shape[:-2], dtype=object))
    array, _ = mapped(path, frames, (image.shape[-2], image.shape[-1]), count)
    if len(array) != count:
        raise ScanError(
            f"{path}: holds {len(array)} of the {count} images that its tags announce; it was cut "
            "off, copy it again."
        )
    turned, axes = arranged(array.reshape(image.shape), image.axes)
    if not isinstance(turned, np.ndarray):
        turned = MappedArray(frames, image.shape, turned.order)
        return Stored(turned, *steps(axes), centre=centre_of(axes))
    return Stored(turned, *steps(axes), frames=frames, centre=centre_of(axes))


@dataclass(frozen=True)
class MappedArray:
    """A mapped array with its axes in another order; mapped again when it is unpickled."""

    frames: Frames
    stored: tuple[int, ...]
    order: tuple[int, ...]
    ndim = 4

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape in the order of the scan."""
        return tuple(self.stored[axis] for axis in self.order)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the counts."""
        return self.frames.dtype

    def __getitem__(self, where: Any) -> np.ndarray:
        a, b, c, d = self.stored
        whole = mapped_once(self.frames, (a * b, c, d)).reshape(self.stored)
        return np.array(whole.transpose(self.order)[where])


def images_of(path: Path) -> list[Image]:
    """Return the images of a file that hold numbers."""
    from rsciio.digitalmicrograph._api import DigitalMicrographReader, ImageObject

    with path.open("rb") as file:
        reader = DigitalMicrographReader(file)
        reader.parse_file()
        found = [ImageObject(one, file) for one in reader.get_image_dictionaries() or []]
        return [image for image in map(_image, found) if image is not None]


def _image(found: Any) -> Image | None:
    dtype = found.dtype
    if isinstance(dtype, str) and dtype in ("not_implemented", "bool"):
        return None
    dtype = np.dtype(dtype)
    data = found.imdict.ImageData.Data
    if dtype.kind not in "uif" or isinstance(data, np.ndarray):
        return None
    shape = tuple(int(n) for n in found.shape)
    scales, offsets = (np.asarray(v, float) for v in (found.scales, found.offsets))
    axes = tuple(
        Axis(float(scale), float(offset), str(unit))
        for scale, offset, unit in zip(scales, offsets, found.units, strict=True)
    )
    return Image(int(data.offset), shape, dtype, axes) if len(axes) == len(shape) else None
