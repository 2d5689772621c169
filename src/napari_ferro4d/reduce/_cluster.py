"""Run reductions on a dask.distributed cluster: workers open the source themselves.

No pattern goes through the scheduler: a task is a block's number, its result a few maps. Blocks
are the same as on one machine and are merged in the same order, so the result is, bit for bit.
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
    futures = [
        client.submit(
            _reduce_numbered, source, scan.signature, number, shared, pure=False, retries=3
        )
        for number in range(len(where))
    ]
    try:
        for number, place in enumerate(where):
            parts = _result(futures[number], steps)
            futures[number] = None
            yield place, parts
            steps.add(positions(place))
    finally:
        client.cancel([future for future in futures if future is not None])


def _result(future: Any, steps: Steps) -> list[np.ndarray]:
    from distributed import TimeoutError as NotYet

    while True:
        try:
            parts: list[np.ndarray] = future.result(timeout=0.2)
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
    source: Any, signature: str, number: int, reductions: Sequence[Reduction[Any]]
) -> list[np.ndarray]:
    from ._engine import reduce_block

    where, load = _opened(source, signature)
    block = load(number)
    parts = reduce_block(block, where[number], reductions)
    let_go(block)
    return parts
