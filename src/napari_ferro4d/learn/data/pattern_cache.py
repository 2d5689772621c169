"""The patterns to learn from: read once, preprocessed, kept in memory or in a file. Knows no torch.

No pattern is decoded twice: what is preprocessed stays in memory while it takes at most half of
what is free, else in a temporary file that is mapped into memory. The file is in ``$TMPDIR`` if
that is set, else in ``/var/tmp`` or where the system keeps temporary files; it has no name any more
once it is open, so that it goes away with the process, however that ends.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from napari_ferro4d.errors import ScanError
from napari_ferro4d.io import over_blocks
from napari_ferro4d.jobs import Report
from napari_ferro4d.learn.compute import available_memory, launched
from napari_ferro4d.scan import Scan

from .preprocess import Preprocess, prepare

MEMORY_SHARE = 0.5
"""Of the free memory, for preprocessed patterns."""

DISK_SHARE = 0.9
"""Of the free disk, for the file of preprocessed patterns."""

FILE_BYTES = 256 * 2**30
"""Most bytes of that file: 2^20 patterns of 256 x 256."""


@dataclass(frozen=True)
class Room:
    """Most bytes that preprocessed patterns may take, in memory or else in a file."""

    memory: int
    file: int


@dataclass(frozen=True, eq=False)
class Cache:
    """Preprocessed patterns.

    Parameters
    ----------
    patterns : ndarray
        ``[n, size, size]`` float32, in scan order, without the positions that a file lacks.
    places : tuple of ndarray
        For each scan ``[y, x]``: the number that the pattern has among those of all scans, -1
        where the file lacks it.
    first : int
        Number of the first of `patterns` among those of all scans.
    on_disk : bool
        Whether they are in a file.
    dark : bool
        Whether every count is zero.
    """

    patterns: npt.NDArray[np.float32]
    places: tuple[npt.NDArray[np.int64], ...]
    first: int = 0
    on_disk: bool = False
    dark: bool = False

    @property
    def total(self) -> int:
        """Number of patterns of all scans."""
        return total(self.places)


def total(places: Sequence[npt.NDArray[np.int64]]) -> int:
    """Return the number of patterns in numbered `places`."""
    return sum(int(np.count_nonzero(one >= 0)) for one in places)


def find_room() -> Room:
    """Return how much may be kept: a share of the free memory, and of the free disk.

    The processes of one training on this machine share it.
    """
    processes = launched().local_count
    disk = shutil.disk_usage(_folder()).free
    return Room(
        int(MEMORY_SHARE * available_memory()) // processes,
        min(FILE_BYTES, int(DISK_SHARE * disk)) // processes,
    )


def thinning(scans: Sequence[Scan], size: int, room: Room, processes: int = 1) -> int:
    """Return the smallest n such that every n-th row and column of all scans has room.

    1, which is all, unless the patterns exceed both the memory and the file.
    """
    most = processes * max(room.memory, room.file) // (size * size * 4)

    def kept(n: int) -> int:
        return sum(math.ceil(s.shape[0] / n) * math.ceil(s.shape[1] / n) for s in scans)

    every = 1
    while kept(every) > most and every < max(max(s.scan_shape) for s in scans):
        every += 1
    return every


def _thinned(scans: Sequence[Scan], every: int) -> tuple[Scan, ...]:
    """Return every n-th row and column of `scans`, the same n for all.

    Neighbouring positions of a finely sampled scan tell nearly the same, so that a regular grid
    loses least.
    """
    if every == 1:
        return tuple(scans)
    return tuple(_part(scan, slice(None, None, every), slice(None, None, every)) for scan in scans)


def _part(scan: Scan, rows: slice, columns: slice) -> Scan:
    # `frames` would map the whole file again, past the slicing.
    missing = None if scan.missing is None else scan.missing[rows, columns]
    return replace(scan, data=scan.data[rows, columns], frames=None, missing=missing)


def numbered(scans: Sequence[Scan]) -> tuple[npt.NDArray[np.int64], ...]:
    """Return the number of each pattern among those of all scans, -1 where a file lacks it."""
    places, before = [], 0
    for scan in scans:
        there = np.ones(scan.scan_shape, bool) if scan.missing is None else ~scan.missing
        place = np.where(there, before + np.cumsum(there).reshape(there.shape) - 1, -1)
        places.append(place)
        before += int(np.count_nonzero(there))
    return tuple(places)


def read_patterns(
    scans: Sequence[Scan],
    how: Preprocess,
    report: Report | None = None,
    *,
    every: int = 1,
    part: tuple[int, int] = (0, 1),
    room: Room | None = None,
) -> Cache:
    """Read and preprocess the patterns of `scans`, or a part of them.

    Parameters
    ----------
    scans : sequence of Scan
        The scans.
    how : Preprocess
        What becomes of a pattern.
    report : callable, optional
        Receives a `Progress` per block; may raise `Cancelled`.
    every : int
        Take only every n-th row and column of the scans, and tell so; see `thinning`.
    part : tuple of int
        ``(number, count)``: read the part of this number, from 0, of `count` equal parts. Rows of
        the scans outside it are not read.
    room : Room, optional
        What it may take; None is what `find_room` finds.

    Raises
    ------
    ScanError
        If counts are negative or not finite, a file cannot be read, there is no position with a
        pattern, or the patterns have room neither in memory nor on disk.
    """
    scans = _thinned(scans, every)
    places = numbered(scans)
    count = total(places)
    if count == 0:
        raise ScanError(f"{scans[0].where()}: holds not one pattern; there is nothing to learn.")
    number, parts = part
    begin, end = count * number // parts, count * (number + 1) // parts
    room = find_room() if room is None else room
    shape = (end - begin, how.size, how.size)
    on_disk = math.prod(shape) * 4 > room.memory
    patterns = _file(shape, room) if on_disk else np.empty(shape, np.float32)
    message = "reading patterns" + (" into a temporary file" if on_disk else "")
    if every > 1:
        message += f", only every {every}th row and column for want of room"
    bright = [
        _fill(patterns, place, begin, scan, how, report, message)
        for scan, place in zip(scans, places, strict=True)
    ]
    return Cache(patterns, places, begin, on_disk, dark=not any(bright))


def _fill(
    patterns: npt.NDArray[np.float32],
    place: npt.NDArray[np.int64],
    begin: int,
    scan: Scan,
    how: Preprocess,
    report: Report | None,
    message: str,
) -> bool:
    """Put the patterns of one scan into their places; return whether there was any count."""
    wanted = (place >= begin) & (place < begin + len(patterns))
    rows = np.flatnonzero(wanted.any(axis=1))
    if not len(rows):
        return False
    first, last = int(rows[0]), int(rows[-1]) + 1
    if last - first < len(wanted):
        scan = _part(scan, slice(first, last), slice(None))
        place, wanted = place[first:last], wanted[first:last]
    bright = False

    def work(block: np.ndarray, where: tuple[slice, slice]) -> None:
        nonlocal bright
        here = wanted[where]
        if here.all():  # as in nearly every block, which then need not be copied
            found = prepare(block, how, scan.centre, scan.where())
            found = found.reshape(-1, how.size, how.size)
        else:
            found = prepare(block[here], how, scan.centre, scan.where())
        patterns[place[where][here] - begin] = found
        bright = bright or bool(found.any())

    for _ in over_blocks(scan, work, report, message):
        pass
    return bright


def _folder() -> str:
    # /tmp is memory on many systems; /var/tmp is a disk, by the Filesystem Hierarchy Standard.
    if "TMPDIR" not in os.environ and os.access("/var/tmp", os.W_OK):
        return "/var/tmp"
    return tempfile.gettempdir()


def _file(shape: tuple[int, ...], room: Room) -> npt.NDArray[np.float32]:
    """Return an array in a temporary file without a name.

    Raises
    ------
    ScanError
        If the file is too large for the disk, or for what the system allows.
    """
    folder, size = _folder(), math.prod(shape) * 4
    told = f"{size / 1e9:.3g} GB of preprocessed patterns"
    if size > room.file:
        raise ScanError(
            f"{folder}: has no room for {told}; free some, set TMPDIR to a folder on a larger "
            "disk, or bin the scan."
        )
    try:
        with tempfile.TemporaryFile(dir=folder, prefix="ferro4d-") as file:
            # Now, with an error, and not at some write into the map, which would kill the process.
            _reserve(file.fileno(), size)
            return np.memmap(file, np.float32, mode="r+", shape=shape)
    except OSError as error:
        raise ScanError(
            f"{folder}: {told} cannot be kept there ({error.strerror or error}); free some disk, "
            "or set TMPDIR to a folder on a larger one."
        ) from error


def _reserve(file: int, size: int) -> None:
    try:
        os.posix_fallocate(file, 0, size)
    except (AttributeError, OSError) as error:
        # Systems and file systems without it; not a disk that is full.
        if getattr(error, "errno", None) not in (None, errno.EOPNOTSUPP, errno.EINVAL):
            raise
        os.truncate(file, size)


SAMPLES = 8192
"""Most patterns taken as a sample of a scan."""


@dataclass(frozen=True, eq=False)
class Samples:
    """The labelled patterns of a scan, and a sample of all.

    Parameters
    ----------
    labelled : ndarray
        Preprocessed, ``[n, size, size]``, in scan order.
    sampled : ndarray
        Preprocessed, ``[m, size, size]``: every k-th row and column.
    """

    labelled: npt.NDArray[np.float32]
    sampled: npt.NDArray[np.float32]


def read_samples(
    scan: Scan, labelled: npt.NDArray[np.bool_], how: Preprocess, report: Report | None = None
) -> Samples:
    """Read the labelled patterns and a sample of all in one pass over the scan.

    Parameters
    ----------
    scan : Scan
        The scan.
    labelled : ndarray
        bool ``[y, x]``.
    how : Preprocess
        Applied to both.
    report : callable, optional
        Receives a `Progress` per block; may raise `Cancelled`.

    Raises
    ------
    ScanError
        If counts are negative or not finite, or a file cannot be read.
    """
    ny, nx = scan.scan_shape
    every = 1
    while math.ceil(ny / every) * math.ceil(nx / every) > SAMPLES:
        every += 1
    sample = np.zeros((ny, nx), bool)
    sample[::every, ::every] = True
    if scan.missing is not None:
        sample &= ~scan.missing
    found = np.empty((np.count_nonzero(labelled), how.size, how.size), np.float32)
    sampled = np.empty((np.count_nonzero(sample), how.size, how.size), np.float32)
    place = np.cumsum(labelled).reshape(ny, nx) - 1
    sample_place = np.cumsum(sample).reshape(ny, nx) - 1

    def work(block: np.ndarray, where: tuple[slice, slice]) -> None:
        for mask, places, into in ((labelled, place, found), (sample, sample_place, sampled)):
            here = mask[where]
            if here.any():
                into[places[where][here]] = prepare(block[here], how, scan.centre, scan.where())

    for _ in over_blocks(scan, work, report, "reading patterns"):
        pass
    return Samples(found, sampled)
