"""One pass over a scan: every block of patterns is read once, by all cores, in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Report, Steps
from napari_ferro4d.scan import Scan

from ._reduction import Place

T = TypeVar("T")

BLOCK_BYTES = 8 * 2**20
"""Size of a block read straight from a file: cancel is checked, and progress said, between two."""


def over_blocks(
    scan: Scan,
    work: Callable[[np.ndarray, Place], T],
    report: Report | None = None,
    message: str = "reading patterns",
    *,
    native: bool = True,
) -> Iterator[tuple[Place, T]]:
    """Apply `work` to every block of patterns, on all cores, and yield the results in order.

    Parameters
    ----------
    scan : Scan
        The scan.
    work : callable
        Takes an array ``[y, x, ky, kx]`` and its place ``(rows, columns)`` in the scan, and
        returns anything. Runs in threads, so its time should be spent outside
        the interpreter lock.
    report : callable, optional
        Receives a `Progress` per block, counted in probe positions; may raise `Cancelled`.
    message : str
        Said with the progress.
    native : bool
        Turn the counts into native byte order first.

    Yields
    ------
    tuple
        The block's place and what `work` returned. The order is that of the scan whatever the
        threads did, so sums of floats are reproducible.

    Raises
    ------
    ScanError
        If a part of the file cannot be read.
    """
    steps = Steps(report, scan.shape[0] * scan.shape[1], message)
    workers = os.cpu_count() or 1
    waiting: deque[tuple[Place, Future[T]]] = deque()

    def finish() -> tuple[Place, T]:
        where, future = waiting.popleft()
        result = future.result()
        steps.add((where[0].stop - where[0].start) * (where[1].stop - where[1].start))
        return where, result

    pool = ThreadPoolExecutor(workers, thread_name_prefix="ferro4d")
    try:
        for where, load in _blocks(scan):
            waiting.append((where, pool.submit(_one, scan, where, load, work, native)))
            if len(waiting) > 2 * workers:
                yield finish()
        while waiting:
            yield finish()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _one(
    scan: Scan,
    where: Place,
    load: Callable[[], np.ndarray],
    work: Callable[[np.ndarray, Place], T],
    native: bool,
) -> T:
    try:
        block = load()
    except Exception as error:  # a decoder raises anything on a damaged chunk
        rows = where[0]
        raise ScanError(
            f"{scan.where()}: rows {rows.start} to {rows.stop - 1} cannot be read "
            f"({type(error).__name__}: {error}); the file is damaged or went away."
        ) from error
    if native and not block.dtype.isnative:
        block = block.astype(block.dtype.newbyteorder("="))
    return work(block, where)


def _blocks(scan: Scan) -> Iterator[tuple[Place, Callable[[], np.ndarray]]]:
    ny, nx = scan.scan_shape
    if scan.frames is not None:
        view = scan.frames.view(scan.shape)
        per_block = max(1, BLOCK_BYTES // max(1, scan.frames.stride))
        rows, cols = max(1, per_block // nx), min(nx, per_block)
        for y in range(0, ny, rows):
            for x in range(0, nx, cols):
                where = slice(y, min(y + rows, ny)), slice(x, min(x + cols, nx))
                yield where, _slicer(view, where)
        return
    parts = scan.data.to_delayed(optimize_graph=False)[:, :, 0, 0]
    y = 0
    for i, rows in enumerate(scan.data.chunks[0]):
        x = 0
        for j, cols in enumerate(scan.data.chunks[1]):
            yield (slice(y, y + rows), slice(x, x + cols)), _computer(parts[i, j])
            x += cols
        y += rows


def _slicer(view: np.ndarray, where: Place) -> Callable[[], np.ndarray]:
    return lambda: view[where]


def _computer(part: Any) -> Callable[[], np.ndarray]:
    # One thread of ours per block already; dask's own pool would only queue behind it.
    return lambda: np.asarray(part.compute(scheduler="synchronous"))
