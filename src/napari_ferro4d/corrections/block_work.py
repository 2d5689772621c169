"""The work on a block of patterns: what is needed of it, and what is made of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ferro4d.errors import ScanError
from napari_ferro4d.frames import counted
from napari_ferro4d.io import let_go
from napari_ferro4d.scan import Scan

_CACHED_BYTES = 2**20
"""Patterns that are worked on together: what is copied of them stays in a processor's cache."""

_LET_GO_BYTES = 2**32
"""Of an uncompressed file larger than this, what was read is let go, so the process stays small."""


def check_image(
    subject: str,
    image: np.ndarray,
    detector: tuple[int, int],
    *,
    positive: bool = False,
    good: np.ndarray | None = None,
) -> None:
    """Refuse an image that is not of the detector, or unusable at one of its good pixels.

    Raises
    ------
    ScanError
        Its message begins with `subject`, such as ``"dark.npy: the dark image"``.
    """
    if np.shape(image) != detector:
        raise ScanError(
            f"{subject} has shape {np.shape(image)}, but the detector has {detector[0]} x "
            f"{detector[1]} pixels; give one image [ky, kx] of that size."
        )
    if np.asarray(image).dtype.kind not in "buif":
        raise ScanError(f"{subject} holds {np.asarray(image).dtype}, where numbers are needed.")
    with np.errstate(over="ignore"):
        values = np.asarray(image).astype(np.float32)
    usable = np.isfinite(values) & (values > 0 if positive else True)
    wrong = np.argwhere(~usable if good is None else ~usable & good)
    if wrong.size:
        ky, kx = (int(n) for n in wrong[0])
        raise ScanError(
            f"{subject} is {np.asarray(image)[ky, kx]} at {len(wrong)} pixels, the first of them "
            f"({ky}, {kx}); it must be {'positive' if positive else 'a number'} everywhere, as a "
            "float of 32 bits. Put these pixels right, or mark them as bad pixels."
        )


@dataclass(frozen=True, eq=False)
class BlockWork:
    """The work on a block of patterns; a value of its own, so that it travels to other processes.

    Parameters
    ----------
    region : tuple of slice
        Detector rows and columns that are needed: those that are kept, and the neighbours of bad
        pixels among them.
    rows, columns : slice
        Those that are kept, in pixels of the whole detector; whole squares of `bin` pixels.
    bin : int
        Size of the squares to sum.
    dtype : dtype
        Type of the corrected counts.
    dark, gain : array or None
        float32 images of the region; None where no count is measured anew.
    bad, first, near : array
        Bad pixels and their neighbours; see `correct_patterns`.
    large : bool
        The patterns are mapped from a file so large that what was read of it is to be let go.
    """

    region: tuple[slice, slice]
    rows: slice
    columns: slice
    bin: int
    dtype: np.dtype[Any]
    dark: np.ndarray | None
    gain: np.ndarray | None
    bad: np.ndarray
    first: np.ndarray
    near: np.ndarray
    large: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Detector pixels ``(ky, kx)`` that are left."""
        rows, columns = self.rows, self.columns
        return (rows.stop - rows.start) // self.bin, (columns.stop - columns.start) // self.bin

    @property
    def only_crops(self) -> bool:
        """Whether the counts stay as they are."""
        return self.dark is None and self.bin == 1

    def of_whole(self, block: np.ndarray) -> np.ndarray:
        """Correct patterns of the whole detector, ``[y, x, ky, kx]``."""
        return self(block[..., self.region[0], self.region[1]])

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """Correct patterns of the region, ``[y, x, ky, kx]``."""
        if self.only_crops:
            return np.asarray(block, self.dtype)
        out = np.empty((*block.shape[:2], *self.shape), self.dtype)
        native = counted(block.dtype)
        size = max(1, int(np.prod(block.shape[2:])) * native.itemsize)
        together = max(1, _CACHED_BYTES // size)
        for y in range(block.shape[0]):
            for x in range(0, block.shape[1], together):
                some = np.ascontiguousarray(block[y, x : x + together], native)
                self._work(some, out[y, x : x + together])
        if self.large:
            let_go(block)
        return out

    def _work(self, patterns: np.ndarray, out: np.ndarray) -> None:
        from . import kernels as kernels

        if self.dark is None:
            kind = np.dtype(np.float64) if out.dtype.kind == "f" else out.dtype
            lines = np.empty(self.shape[1] * self.bin, kind)
            kernels.bin_patterns(patterns, self.bin, lines, out)
            return
        top = self.rows.start - self.region[0].start
        left = self.columns.start - self.region[1].start
        work = np.empty(patterns.shape[1:], np.float32)
        where = (self.bad, self.first, self.near)
        kernels.correct_patterns(
            patterns, self.dark, self.gain, *where, top, left, self.bin, work, out
        )


def work_of(
    scan: Scan,
    dark: np.ndarray | None,
    gain: np.ndarray | None,
    bad: np.ndarray | None,
    crop: tuple[slice, slice] | None,
    bin: int,
) -> BlockWork | None:
    """Check the corrections, and return the work that they are, or None if they are none."""
    detector, where = scan.detector_shape, scan.where()
    marked = np.zeros(detector, bool)
    if bad is not None:
        check_image(f"{where}: the bad pixel image", bad, detector)
        marked = np.asarray(bad, bool)
        if marked.all():
            raise ScanError(f"{where}: every detector pixel is marked bad.")
    if dark is not None:
        check_image(f"{where}: the dark image", dark, detector, good=~marked)
    if gain is not None:
        check_image(f"{where}: the gain image", gain, detector, positive=True, good=~marked)
    left = kept(scan, crop, bin)
    measured = dark is not None or gain is not None or bool(marked[left].any())
    whole = tuple(slice(0, n) for n in detector)
    if not measured and bin == 1 and left == whole:
        return None
    rows, columns = (slice(p.start, p.stop - (p.stop - p.start) % bin) for p in left)
    pairs = _neighbours(marked, rows, columns)
    ky = [rows.start, rows.stop - 1, *(int(n) for _, near in pairs for n in near[:, 0])]
    kx = [columns.start, columns.stop - 1, *(int(n) for _, near in pairs for n in near[:, 1])]
    region = slice(min(ky), max(ky) + 1), slice(min(kx), max(kx) + 1)
    width = region[1].stop - region[1].start

    def place(pixels: np.ndarray) -> np.ndarray:
        found = (pixels[..., 0] - region[0].start) * width + pixels[..., 1] - region[1].start
        return np.atleast_1d(found).astype(np.int64)

    def image(given: np.ndarray | None, otherwise: float) -> np.ndarray | None:
        if not measured:
            return None
        whole = np.full(detector, otherwise) if given is None else np.asarray(given)
        return np.ascontiguousarray(whole[region], np.float32)

    return BlockWork(
        region,
        rows,
        columns,
        bin,
        np.dtype(np.float32) if measured else _wide(scan.dtype, bin),
        image(dark, 0),
        image(gain, 1),
        place(np.array([pixel for pixel, _ in pairs], int).reshape(-1, 2)),
        np.cumsum([0, *(len(near) for _, near in pairs)], dtype=np.int64),
        place(np.concatenate([np.empty((0, 2), int), *(near for _, near in pairs)])),
        scan.frames is not None
        and scan.frames.stride * scan.shape[0] * scan.shape[1] > _LET_GO_BYTES,
    )


def sum_squares(patterns: np.ndarray, bin: int) -> npt.NDArray[np.float32]:
    """Return the sums of squares of `bin` x `bin` pixels of ``[..., ky, kx]``, as float32.

    Both sides are multiples of `bin`.

    Examples
    --------
    >>> sum_squares(np.arange(16, dtype=np.uint8).reshape(4, 4), 2).tolist()
    [[10.0, 18.0], [42.0, 50.0]]
    """
    from . import kernels

    ky, kx = patterns.shape[-2:]
    flat = np.ascontiguousarray(patterns, patterns.dtype.newbyteorder("=")).reshape(-1, ky, kx)
    out = np.empty((len(flat), ky // bin, kx // bin), np.float32)
    kernels.bin_patterns(flat, bin, np.empty(kx, np.float32), out)
    return out.reshape(*patterns.shape[:-2], ky // bin, kx // bin)


def kept(scan: Scan, crop: tuple[slice, slice] | None, bin: int) -> tuple[slice, slice]:
    """Return the detector rows and columns that a crop keeps.

    Raises
    ------
    ScanError
        If nothing is left to bin.
    """
    if bin < 1:
        raise ScanError(f"{scan.where()}: bin is a number of pixels from 1 on, not {bin}.")
    found = []
    for part, size in zip(crop or (slice(None), slice(None)), scan.detector_shape, strict=True):
        start, stop, step = part.indices(size)
        if step != 1 or stop - start < bin:
            raise ScanError(
                f"{scan.where()}: keeping {start}:{stop} of {size} detector pixels leaves nothing "
                f"to bin by {bin}; crop less, or bin by fewer pixels."
            )
        found.append(slice(start, stop))
    return found[0], found[1]


def _wide(dtype: np.dtype[Any], bin: int) -> np.dtype[Any]:
    # The smallest type that holds bin^2 of the largest count.
    if bin == 1:
        return dtype.newbyteorder("=")
    if dtype.kind == "f":
        return np.promote_types(dtype.newbyteorder("="), np.float32)
    most = int(np.iinfo(dtype).max) * bin**2
    sizes = "BHIQ" if dtype.kind == "u" else "bhiq"
    return next(np.dtype(s) for s in sizes if most <= np.iinfo(s).max or s in "Qq")


def _neighbours(
    bad: np.ndarray, rows: slice, columns: slice
) -> list[tuple[tuple[int, int], np.ndarray]]:
    """Return every bad pixel that is kept, with the good pixels ``[n, 2]`` nearest to it."""
    found = []
    for ky, kx in np.argwhere(bad[rows, columns]) + np.array([rows.start, columns.start]):
        near = np.empty((0, 2), int)
        reach = 0
        while not near.size:
            reach += 1
            top, left = max(0, ky - reach), max(0, kx - reach)
            around = bad[top : ky + reach + 1, left : kx + reach + 1]
            near = np.argwhere(~around) + np.array([top, left])
        found.append(((int(ky), int(kx)), near))
    return found
