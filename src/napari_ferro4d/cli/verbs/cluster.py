"""``ferro4d cluster``: classes of probe positions that are alike in their embedding."""

from __future__ import annotations

import argparse
import re

from napari_ferro4d.cli.parser import EMBEDDED, add_seed, positive
from napari_ferro4d.cli.terminal import print_document


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument("results", metavar="RESULTS", help=f"{EMBEDDED}; the classes go there too")
    parser.add_argument("--method", choices=("gaussian", "hdbscan"), default="gaussian")
    parser.add_argument(
        "--classes", type=positive, metavar="N", help="instead of what the data say"
    )
    parser.add_argument(
        "--channels", type=_channels, metavar="N,N", help="instead of all that are active"
    )
    add_seed(parser)


def run(args: argparse.Namespace) -> int:
    """Divide the probe positions, and write the classes beside the embedding."""
    from napari_ferro4d.embedding import cluster
    from napari_ferro4d.results import (
        channel_of,
        cluster_results,
        provenance,
        read_embedding,
        write_results,
    )

    embedding = read_embedding(args.results)
    numbers = args.channels or range(len(embedding.data))
    stack = [channel_of(embedding, number, args.results) for number in numbers]
    found = cluster(stack, method=args.method, classes=args.classes, seed=args.seed)
    maps, labels = cluster_results(found, embedding)
    parameters = {name: getattr(args, name) for name in ("method", "classes", "channels", "seed")}
    entry = {**provenance("cluster", parameters, None), "scan_signature": embedding.scan[1] or None}
    folder = write_results(args.results, maps=maps, labels=[labels], provenance=[entry])
    document = {
        "results": str(folder),
        "maps": [f"maps/{one.name}" for one in maps],
        "labels": [f"labels/{labels.name}"],
        "method": args.method,
        "classes": found.classes,
        "positions_per_class": [
            int((found.labels == n).sum()) for n in range(1, found.classes + 1)
        ],
        "without_class": int((found.labels == 0).sum()),
    }
    return print_document(document, as_json=args.json)


def _channels(text: str) -> list[int]:
    if not re.fullmatch(r"\d{1,5}(,\d{1,5})*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of channels such as 0,3,7")
    return [int(number) for number in text.split(",")]
