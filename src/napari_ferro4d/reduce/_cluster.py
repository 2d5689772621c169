"""Run reductions on a dask.distributed cluster: workers open the source themselves.

No pattern goes through the scheduler: a task is the numbers of some blocks, its result a few maps
of each. Blocks are the same as on one machine and are merged in the same order, so the result is
too, bit for bit.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Report, Steps
from napari_ferro4d.scan import Scan, Source

from ._pages import let_go
from ._pass import loader, places, positions
from ._reduction import Place, Reduction

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["blocks_on_cluster"]

_MOST_BLOCKS = 16
"""Blocks in a task at most, so that one that has to be done again costs little."""


def blocks_on_cluster(
    scan: Scan,
    reductions: Sequence[Reduction[Any]],
    client: Client,
    report: Report | None,
    message: str,
) -> Iterator[tuple[Place, list[np.ndarray]]]:
    """Yield what every block gives for each of the reductions, in the order of the scan.

    A worker that dies costs a retry of its blocks. Progress and cancel are as on one machine.

    Raises
    ------
    ScanError
        If the scan is not from a file, or a worker finds another file, or none, in its place.
    """
    if scan.source is None:
        raise ScanError(
            "a scan in memory cannot be reduced on a cluster; save it to shared storage."
        )
    where = places(scan)
    steps = Steps(report, scan.shape[0] * scan.shape[1], message)
    # Workers have working directories of their own.
    path = os.path.abspath(scan.source.path)
    source = (path, scan.source.format, tuple(sorted(scan.source.hints.items())))
    (shared,) = client.scatter([list(reductions)], broadcast=True, hash=False)
    # A task costs some milliseconds of its own: several blocks in each, but enough tasks to share.
    workers = max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
    together = min(_MOST_BLOCKS, max(1, len(where) // (4 * workers)))
    numbers = [range(n, min(n + together, len(where))) for n in range(0, len(where), together)]
    futures = [
        client.submit(_reduce_numbered, source, scan.signature, some, shared, pure=False, retries=3)
        for some in numbers
    ]
    try:
        for task, some in enumerate(numbers):
            found = _result(futures[task], steps)
            futures[task] = None
            for number, parts in zip(some, found, strict=True):
                yield where[number], parts
                steps.add(positions(where[number]))
    finally:
        client.cancel([future for future in futures if future is not None])


def _result(future: Any, steps: Steps) -> list[list[np.ndarray]]:
    from distributed import TimeoutError as NotYet

    while True:
        try:
            parts: list[list[np.ndarray]] = future.result(timeout=0.2)
        except NotYet:
            steps.add(0)  # a chance to cancel while workers are busy
        else:
            return parts


@functools.lru_cache(maxsize=4)
def _opened(source: tuple[str, str, tuple[tuple[str, Any], ...]], signature: str) -> Any:
    from napari_ferro4d.io import open_scan

    where = Source(source[0], source[1], dict(source[2]))
    scan = open_scan(where.path, **where.hints)
    if scan.signature != signature:
        raise ScanError(
            f"{where.path}: a worker finds other counts there than were opened here; give a path "
            "on storage that all workers share."
        )
    return places(scan), loader(scan)


def _reduce_numbered(
    source: Any, signature: str, numbers: range, reductions: Sequence[Reduction[Any]]
) -> list[list[np.ndarray]]:
    from ._engine import reduce_block

    where, load = _opened(source, signature)
    found = []
    for number in numbers:
        block = load(number)
        found.append(reduce_block(block, where[number], reductions))
        let_go(block)
    return found
