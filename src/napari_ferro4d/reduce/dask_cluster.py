"""Run reductions on a dask.distributed cluster: workers open the source themselves.

No pattern goes through the scheduler: a task is the numbers of some blocks, its result a few maps
of each. Blocks are the same as on one machine and are merged in the same order, so the result is
too, bit for bit.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.io import Place, let_go, loader, places, positions
from napari_ferro4d.jobs import Cancelled, Report, Steps
from napari_ferro4d.scan import Scan

from .reductions import Reduction

if TYPE_CHECKING:
    from distributed import Client

_MOST_BLOCKS = 16
"""Blocks in a task at most, so that one that has to be done again costs little."""

RETRIES = 3
"""How often a task is done again whose worker died."""

PATIENCE_S = 30.0
"""How long a cluster may be without a worker: one that died may be started again."""


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
        If the scan is not from a file, a worker finds another file, or none, in its place, or
        there is no worker, or no cluster any more.
    """
    if scan.source is None or scan.source.opener is None:
        raise ScanError(
            "a scan in memory cannot be reduced on a cluster; save it to shared storage."
        )
    where = places(scan)
    steps = Steps(report, scan.shape[0] * scan.shape[1], message)
    # Workers have working directories of their own.
    path = os.path.abspath(scan.source.path)
    source = (path, scan.source.opener, tuple(sorted(scan.source.hints.items())))
    living = _LivingWorkers(client, steps)
    while not living.count():
        time.sleep(0.1)
    # A task costs some milliseconds of its own: several blocks in each, but enough tasks to share.
    workers = max(1, living.count())
    together = min(_MOST_BLOCKS, max(1, len(where) // (4 * workers)))
    numbers = [range(n, min(n + together, len(where))) for n in range(0, len(where), together)]
    futures: list[Any] = [None] * len(numbers)
    shared: Any = None  # while there is this future, workers keep what it stands for

    def hand_out(first: int) -> None:
        nonlocal shared
        try:
            (shared,) = client.scatter([list(reductions)], broadcast=True, hash=False)
        except Exception as error:
            raise _failed(path, error) from error
        for task in range(first, len(numbers)):
            given = (source, scan.signature, numbers[task], shared)
            futures[task] = client.submit(_reduce_numbered, *given, pure=False, retries=RETRIES)

    def result_of(task: int) -> list[list[np.ndarray]]:
        for _ in range(RETRIES):
            found = _result(path, futures[task], living)
            if found is not None:
                return found
            # The worker that died was the only one that had the reductions yet.
            hand_out(task)
        raise _failed(path, RuntimeError("workers die as fast as they are started"))

    try:
        hand_out(0)
        for task, some in enumerate(numbers):
            found = result_of(task)
            futures[task] = None
            for number, parts in zip(some, found, strict=True):
                yield where[number], parts
                steps.add(positions(where[number]))
    finally:
        # Of a cluster that is gone there is nothing to cancel.
        with suppress(Exception):
            client.cancel([future for future in futures if future is not None])


class _LivingWorkers:
    """Counts the workers of a cluster while one waits; each time is a chance to cancel."""

    def __init__(self, client: Client, steps: Steps) -> None:
        self._client = client
        self._steps = steps
        self._seen = time.monotonic()

    def count(self) -> int:
        """Return the number of workers.

        Raises
        ------
        ScanError
            If there has been none for a long time.
        """
        self._steps.add(0)
        try:
            count = len(self._client.scheduler_info(n_workers=-1)["workers"])
        except Exception:  # no answer
            count = 0
        if count:
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > PATIENCE_S:
            raise ScanError(
                f"the dask cluster has had no worker for {PATIENCE_S:.0f} s; start some with "
                "`dask worker`, or reduce the scan on this machine."
            )
        return count


def _result(path: str, future: Any, living: _LivingWorkers) -> list[list[np.ndarray]] | None:
    """Return what a task gives, or None if the cluster lost what it needs."""
    from distributed import CancelledError
    from distributed import TimeoutError as NotYet

    while True:
        try:
            parts: list[list[np.ndarray]] = future.result(timeout=0.2)
        except NotYet:
            living.count()
        except CancelledError:
            return None
        except (ScanError, Cancelled):
            raise
        except Exception as error:
            raise _failed(path, error) from error
        else:
            return parts


def _failed(path: str, error: Exception) -> ScanError:
    reason = " ".join(str(error).split())[:200]
    return ScanError(
        f"{path}: the dask cluster could not reduce it ({type(error).__name__}: {reason}); the "
        "workers' own output tells more."
    )


@functools.lru_cache(maxsize=4)
def _opened(
    source: tuple[str, Callable[..., Scan], tuple[tuple[str, Any], ...]], signature: str
) -> Any:
    path, opener, hints = source
    scan = opener(path, **dict(hints))
    if scan.signature != signature:
        raise ScanError(
            f"{path}: a worker finds other counts there than were opened here; give a path "
            "on storage that all workers share."
        )
    return places(scan), loader(scan)


def _reduce_numbered(
    source: Any, signature: str, numbers: range, reductions: Sequence[Reduction[Any]]
) -> list[list[np.ndarray]]:
    from .block_sums import reduce_block

    where, load = _opened(source, signature)
    found = []
    for number in numbers:
        block = load(number)
        found.append(reduce_block(block, where[number], reductions))
        let_go(block)
    return found
