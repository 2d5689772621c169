"""``ferro4d difference``: the difference pattern of a channel, or of two."""

from __future__ import annotations

import argparse

from napari_ferro4d.cli.parser import EMBEDDED, add_output, add_scan
from napari_ferro4d.cli.terminal import print_document, progress_bar

from .verb_steps import opened


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    add_scan(parser)
    parser.add_argument("--results", required=True, metavar="RESULTS", help=EMBEDDED)
    parser.add_argument("--channel", type=int, required=True, metavar="N", help="of the embedding")
    parser.add_argument(
        "--against", type=int, metavar="M", help="subtract where channel M is highest instead"
    )
    parser.add_argument(
        "--share", type=float, default=0.05, help="of the positions, on each side; 0.05 is 5 %%"
    )
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Average the patterns of either side, and write their difference."""
    from napari_ferro4d.embedding import difference
    from napari_ferro4d.results import channel_of, check_target, read_embedding, write_difference

    scan = opened(args)
    check_target(args.output)
    embedding = read_embedding(args.results, scan)
    channel = channel_of(embedding, args.channel, args.results)
    other = None if args.against is None else channel_of(embedding, args.against, args.results)
    with progress_bar() as report:
        found = difference(scan, channel, share=args.share, against=other, report=report)
    name = f"difference_{args.channel}"
    if args.against is not None:
        name += f"_against_{args.against}"
    parameters = {"channel": args.channel, "against": args.against, "share": args.share}
    made_of = {"results": args.results, **parameters}
    folder = write_difference(args.output, found, scan, name, made_of)
    document = {
        "results": str(folder),
        "patterns": [f"patterns/{name}"],
        "labels": [f"labels/{name}_positions"],
        **parameters,
        "high_positions": int(found.high_positions.sum()),
        "low_positions": int(found.low_positions.sum()),
        "significant_pixels": int(found.significant().sum()),
    }
    return print_document(document, as_json=args.json)
