"""One pass over a scan: every block of patterns is read once, by all cores, merged in order."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Report, Steps
from napari_ferro4d.scan import Scan

from .memory_pages import let_go

T = TypeVar("T")
Place = tuple[slice, slice]
"""Rows and columns of probe positions."""

BLOCK_BYTES = 32 * 2**20
"""Size of a block of an uncompressed file: cancel is checked, and progress said, between two."""

LET_GO_BYTES = 2**32
"""Of an uncompressed file larger than this, blocks are let go once they are worked in: the process
stays small. Smaller ones stay mapped, which spares the next pass some work."""

PARTIAL_EVERY_S = 0.5
"""How often what is done so far is made into maps to show."""


def places(scan: Scan) -> list[Place]:
    """Return where the blocks of a scan lie, ``(rows, columns)``, in scan order.

    The same wherever a pass runs, so that sums of floats are the same to the last bit.
    """
    ny, nx = scan.scan_shape
    if scan.frames is not None:
        per_block = max(1, BLOCK_BYTES // max(1, scan.frames.stride))
        rows, cols = max(1, per_block // nx), min(nx, per_block)
        return [
            (slice(y, min(y + rows, ny)), slice(x, min(x + cols, nx)))
            for y in range(0, ny, rows)
            for x in range(0, nx, cols)
        ]
    return [(y, x) for y in _slices(scan.data.chunks[0]) for x in _slices(scan.data.chunks[1])]


def _slices(chunks: tuple[int, ...]) -> list[slice]:
    ends = np.cumsum(chunks)
    return [slice(int(end) - int(size), int(end)) for end, size in zip(ends, chunks, strict=True)]


def coarse_first(count: int, across: int = 1) -> list[int]:
    """Return block numbers so that the first few are spread over the scan, the next between them.

    Rows of blocks, `across` in each, in the order of their reversed bits: whatever part of the pass
    is done covers the scan evenly.

    Examples
    --------
    >>> coarse_first(6)
    [0, 4, 2, 1, 5, 3]
    >>> coarse_first(6, across=2)
    [0, 1, 4, 5, 2, 3]
    """
    rows = -(-count // across)
    bits = max(1, (rows - 1).bit_length())
    order = (int(f"{i:0{bits}b}"[::-1], 2) for i in range(2**bits))
    return [n for row in order for n in range(row * across, min((row + 1) * across, count))]


def positions(place: Place) -> int:
    """Return the number of probe positions in a block."""
    rows, cols = place
    return int((rows.stop - rows.start) * (cols.stop - cols.start))


def loader(scan: Scan) -> Callable[[int], np.ndarray]:
    """Return the function that reads block number `n` of `places`.

    What it raises for a file that cannot be read is a `ScanError`.
    """
    import dask

    where = places(scan)
    view = None if scan.frames is None else scan.frames.view(scan.shape)
    parts = (
        None if view is not None else scan.data.to_delayed(optimize_graph=False)[:, :, 0, 0].ravel()
    )

    def load(number: int) -> np.ndarray:
        try:
            if view is not None:
                return view[where[number]]
            assert parts is not None
            # One thread of ours per block already; dask's own pool would only queue behind it. The
            # function and not its name "sync": to look for that, dask imports distributed.
            return np.asarray(parts[number].compute(scheduler=dask.get))
        except Exception as error:  # a decoder raises anything on a damaged chunk
            rows = where[number][0]
            raise ScanError(
                f"{scan.where()}: rows {rows.start} to {rows.stop - 1} cannot be read "
                f"({type(error).__name__}: {error}); the file is damaged or went away."
            ) from error

    return load


def over_blocks(
    scan: Scan,
    work: Callable[[np.ndarray, Place], T],
    report: Report | None = None,
    message: str = "reading patterns",
    *,
    native: bool = True,
    partial: Callable[[], Any] | None = None,
) -> Iterator[tuple[Place, T]]:
    """Apply `work` to every block of patterns, on all cores, and yield the results in order.

    Parameters
    ----------
    scan : Scan
        The scan.
    work : callable
        Takes an array ``[y, x, ky, kx]`` and its place ``(rows, columns)`` in the scan, and
        returns anything. Runs in threads, so its time should be spent outside the interpreter
        lock.
    report : callable, optional
        Receives a `Progress` per block, counted in probe positions; may raise `Cancelled`.
    message : str
        Said with the progress.
    native : bool
        Turn the counts into native byte order first.
    partial : callable, optional
        Gives what can be shown so far; asked at most twice a second. The pass then goes over the
        scan coarsely first, and fills in between.

    Yields
    ------
    tuple
        The block's place and what `work` returned, in the order of the scan (or coarse first)
        whatever the threads did.

    Raises
    ------
    ScanError
        If a part of the file cannot be read.
    """
    where, load = places(scan), loader(scan)
    steps = Steps(report, scan.shape[0] * scan.shape[1], message)
    workers = os.cpu_count() or 1
    large = scan.frames is not None and scan.frames.stride * steps.total > LET_GO_BYTES
    waiting: deque[tuple[Place, Future[T]]] = deque()
    shown = _seldom(partial)

    def one(number: int) -> T:
        block = load(number)
        if native and not block.dtype.isnative:
            block = block.astype(block.dtype.newbyteorder("="))
        result = work(block, where[number])
        if large:
            let_go(block)
        return result

    def finished() -> Iterator[tuple[Place, T]]:
        place, future = waiting.popleft()
        yield place, future.result()
        # Counted once the caller has worked it in, so that what it shows is what is counted.
        steps.add(positions(place), partial=shown())

    pool = ThreadPoolExecutor(workers, thread_name_prefix="ferro4d")
    try:
        across = sum(rows == where[0][0] for rows, _ in where)
        for number in range(len(where)) if partial is None else coarse_first(len(where), across):
            waiting.append((where[number], pool.submit(one, number)))
            if len(waiting) > 2 * workers:
                yield from finished()
        while waiting:
            yield from finished()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _seldom(partial: Callable[[], Any] | None) -> Callable[[], Any]:
    """Return a function that gives what `partial` gives at most every half second, else None."""
    last = time.monotonic()

    def shown() -> Any:
        nonlocal last
        if partial is None or time.monotonic() - last < PARTIAL_EVERY_S:
            return None
        last = time.monotonic()
        return partial()

    return shown
