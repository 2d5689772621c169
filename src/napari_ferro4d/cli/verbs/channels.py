"""``ferro4d channels``: the channels of an embedding, ranked, and which of them are extrinsic."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from napari_ferro4d.cli.parser import EMBEDDED, add_open_options
from napari_ferro4d.cli.terminal import print_document, progress_bar

from .verb_steps import opened

if TYPE_CHECKING:
    from napari_ferro4d.embedding import ChannelReport


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument("--scan", metavar="SCAN", help="what the embedding is of")
    add_open_options(parser)
    parser.add_argument("results", metavar="RESULTS", help=EMBEDDED)


def run(args: argparse.Namespace) -> int:
    """Rank the channels by structure, and compare them with the maps of what is extrinsic.

    These are made of the scan if it is given; else the folder may hold maps of the centre of mass.
    """
    from napari_ferro4d.embedding import proxies, rank
    from napari_ferro4d.results import read_embedding, read_results

    scan = opened(args) if args.scan else None
    embedding = read_embedding(args.results, scan)
    if scan is None:
        known = {one.name: one.data for one in read_results(args.results).maps}
        maps: dict[str, Any] = {n: known[n] for n in ("com_y", "com_x") if n in known}
    else:
        with progress_bar() as report:
            maps = dict(proxies(scan, report=report))
    ranked = rank(embedding.data, maps)
    document: dict[str, Any] = {f"channel {one.channel}": _in_words(one) for one in ranked}
    if args.json:
        channels = [_in_full(one) for one in ranked]
        document = {"results": args.results, "proxies": list(maps), "channels": channels}
    return print_document(document, as_json=args.json)


def _in_full(one: ChannelReport) -> dict[str, Any]:
    return {
        "channel": one.channel,
        "structure": one.structure,
        "active": one.active,
        "extrinsic": one.extrinsic,
        "correlations": {
            name: value if math.isfinite(value) else None
            for name, value in one.correlations.items()
        },
    }


def _in_words(one: ChannelReport) -> str:
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
