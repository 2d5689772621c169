"""Run reductions: one pass over the scan for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ferro4d.io import Place, over_blocks
from napari_ferro4d.jobs import Report
from napari_ferro4d.scan import Scan

from .block_sums import reduce_block
from .reductions import Reduction

if TYPE_CHECKING:
    from distributed import Client


def reduce_scan(
    scan: Scan,
    reductions: Sequence[Reduction[Any]],
    report: Report | None = None,
    message: str = "reading patterns",
    client: Client | None = None,
    *,
    progressive: bool = False,
) -> list[Any]:
    """Run any number of reductions in one pass over a scan.

    Parameters
    ----------
    scan : Scan
        The scan.
    reductions : sequence of Reduction
        What to compute.
    report : callable, optional
        Receives `Progress`, counted in probe positions; may raise `Cancelled`.
    message : str
        Said with the progress.
    client : distributed.Client, optional
        Run on this cluster instead of on this machine's cores. The scan must be a file on storage
        that all workers share.
    progressive : bool
        Go over the scan coarsely first, and report the results so far, in the order of the
        reductions, as `Progress.partial` twice a second: NaN where nothing is known yet, None for
        reductions that have no result before the end. On this machine only.

    Returns
    -------
    list
        The result of each reduction. Positions that the file lacks (`Scan.missing`) are NaN in
        maps and in no sum of patterns.

    Raises
    ------
    ScanError
        If a part of the file cannot be read.
    """
    wholes = [reduction.empty(scan.scan_shape) for reduction in reductions]
    if progressive:
        for reduction, whole in zip(reductions, wholes, strict=True):
            if reduction.per_position:
                whole.fill(np.nan)

    def so_far() -> list[Any]:
        return [
            _finished(scan, reduction, whole.copy()) if reduction.per_position else None
            for reduction, whole in zip(reductions, wholes, strict=True)
        ]

    def work(block: np.ndarray, place: Place) -> list[np.ndarray]:
        return reduce_block(block, place, reductions)

    if client is None:
        blocks = over_blocks(
            scan, work, report, message, native=False, partial=so_far if progressive else None
        )
    else:
        from .dask_cluster import blocks_on_cluster

        blocks = blocks_on_cluster(scan, reductions, client, report, message)
    for place, parts in blocks:
        for reduction, whole, part in zip(reductions, wholes, parts, strict=True):
            reduction.merge(whole, part, place)
    return [_finished(scan, one, whole) for one, whole in zip(reductions, wholes, strict=True)]


def _finished(scan: Scan, reduction: Reduction[Any], whole: np.ndarray) -> Any:
    """Turn the array of the whole scan into a result; maps are NaN where the file has nothing."""
    if reduction.per_position and scan.missing is not None:
        whole[scan.missing] = np.nan  # zeros that were filled in are no counts
    return reduction.finish(whole)
