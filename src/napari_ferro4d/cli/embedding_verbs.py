"""What ``ferro4d channels``, ``ferro4d difference`` and ``ferro4d cluster`` do."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ferro4d.embedding import ChannelReport, cluster, difference, proxies, rank
from napari_ferro4d.errors import ResultsError, ScanError
from napari_ferro4d.results import (
    check_target,
    cluster_results,
    provenance,
    read_embedding,
    read_results,
    write_difference,
    write_results,
)

if TYPE_CHECKING:
    from napari_ferro4d.jobs import Report
    from napari_ferro4d.results import MapResult
    from napari_ferro4d.scan import Scan

__all__ = ["channels_command", "cluster_command", "difference_command"]

Document = dict[str, Any]

SURE = 3.0
"""Standard errors from which on a pixel of a difference pattern is said to differ."""


def channels_command(
    args: argparse.Namespace, scan: Scan | None, report: Report | None = None
) -> Document:
    """Rank the channels of the embedding in ``args.results``.

    Parameters
    ----------
    args : argparse.Namespace
        ``results``, a folder, and ``json``.
    scan : Scan or None
        What the embedding is of, for all proxies; without it, the maps of the centre of mass that
        the folder holds.
    report : callable, optional
        See `proxies`.

    Returns
    -------
    dict
        The ranking, as JSON types.
    """
    embedding = read_embedding(args.results)
    if scan is None:
        known = {one.name: one.data for one in read_results(args.results).maps}
        maps: dict[str, np.ndarray] = {
            name: known[name] for name in ("com_y", "com_x") if name in known
        }
    else:
        _check_same(embedding, scan, args.results)
        maps = dict(proxies(scan, report=report))
    ranked = rank(embedding.data, maps)
    if not args.json:
        return {f"channel {one.channel}": _said(one) for one in ranked}
    return {
        "results": args.results,
        "proxies": list(maps),
        "channels": [
            {
                "channel": one.channel,
                "structure": one.structure,
                "active": one.active,
                "extrinsic": one.extrinsic,
                "correlations": {
                    name: value if math.isfinite(value) else None
                    for name, value in one.correlations.items()
                },
            }
            for one in ranked
        ],
    }


def _said(one: ChannelReport) -> str:
    if not one.active:
        return "not active"
    words = [f"structure {one.structure:.2f}"]
    known = {name: v for name, v in one.correlations.items() if math.isfinite(v)}
    if one.extrinsic is not None:
        words.append(f"extrinsic: {one.extrinsic} ({known[one.extrinsic]:+.2f})")
    elif known:
        strongest = max(known, key=lambda name: abs(known[name]))
        words.append(f"most like {strongest} ({known[strongest]:+.2f})")
    return ", ".join(words)


def difference_command(
    args: argparse.Namespace, scan: Scan, report: Report | None = None
) -> Document:
    """Write the difference pattern of one channel, or of two, to ``args.output``.

    Parameters
    ----------
    args : argparse.Namespace
        ``results``, a folder with the embedding, ``channel``, ``against``, ``share``, ``output``.
    scan : Scan
        What the embedding is of.
    report : callable, optional
        See `difference`.

    Returns
    -------
    dict
        What was written, as JSON types.
    """
    check_target(args.output)
    embedding = read_embedding(args.results)
    _check_same(embedding, scan, args.results)
    channel = _channel(embedding, args.channel, args.results)
    other = None if args.against is None else _channel(embedding, args.against, args.results)
    found = difference(scan, channel, share=args.share, against=other, report=report)
    name = f"difference_{args.channel}"
    if args.against is not None:
        name += f"_against_{args.against}"
    parameters = {"channel": args.channel, "against": args.against, "share": args.share}
    folder = write_difference(
        args.output, found, scan, name, {"results": args.results, **parameters}
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        sure = np.abs(found.difference) > SURE * found.error
    return {
        "results": str(folder),
        "patterns": [f"patterns/{name}"],
        "labels": [f"labels/{name}_positions"],
        **parameters,
        "high_positions": int(found.high_positions.sum()),
        "low_positions": int(found.low_positions.sum()),
        "significant_pixels": int(sure.sum()),
    }


def cluster_command(args: argparse.Namespace) -> Document:
    """Divide the probe positions of the embedding in ``args.results``; write the classes there.

    Parameters
    ----------
    args : argparse.Namespace
        ``results``, a folder, ``method``, ``classes``, ``channels``, ``seed``.

    Returns
    -------
    dict
        What was written, as JSON types.
    """
    embedding = read_embedding(args.results)
    stack = embedding.data
    if args.channels:
        stack = np.stack([_channel(embedding, n, args.results) for n in args.channels])
    found = cluster(stack, method=args.method, classes=args.classes, seed=args.seed)
    maps, labels = cluster_results(found, embedding)
    parameters = {
        "method": args.method,
        "classes": args.classes,
        "channels": args.channels,
        "seed": args.seed,
    }
    entry = {**provenance("cluster", parameters, None), "scan_signature": embedding.scan[1] or None}
    folder = write_results(args.results, maps=maps, labels=[labels], provenance=[entry])
    sizes = np.bincount(found.labels.ravel(), minlength=found.classes + 1)
    return {
        "results": str(folder),
        "maps": [f"maps/{one.name}" for one in maps],
        "labels": [f"labels/{labels.name}"],
        "method": args.method,
        "classes": found.classes,
        "positions_per_class": [int(size) for size in sizes[1:]],
        "without_class": int(sizes[0]),
    }


def _channel(embedding: MapResult, number: int, folder: str) -> Any:
    if not 0 <= number < len(embedding.data):
        raise ResultsError(
            f"{folder}: the embedding has channels 0 to {len(embedding.data) - 1}; there is no "
            f"channel {number}."
        )
    return embedding.data[number]


def _check_same(embedding: MapResult, scan: Scan, folder: str) -> None:
    if embedding.data.shape[1:] != scan.scan_shape or (
        embedding.scan[1] and embedding.scan[1] != scan.signature
    ):
        raise ScanError(
            f"{folder}: its embedding is of another scan ({embedding.scan[0] or 'unnamed'}) than "
            f"{scan.where()}; give the scan that it was made of, opened in the same way."
        )
