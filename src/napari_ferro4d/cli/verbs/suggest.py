"""``ferro4d suggest``: which probe positions to label next."""

from __future__ import annotations

import argparse

from napari_ferro4d.cli.parser import add_scan, add_seed, positive
from napari_ferro4d.cli.terminal import print_document, progress_bar, say

from .verb_steps import opened


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    add_scan(parser)
    parser.add_argument(
        "--labels", metavar="LABELS", help="label image [y, x], 0 = unlabelled; none: a first grid"
    )
    parser.add_argument("--budget", type=positive, default=10, metavar="N", help="positions; 10")
    parser.add_argument(
        "--method",
        choices=("informed", "boundary", "boundary-iterated", "random"),
        default="informed",
        help="where a label takes away most doubt, or as in Hardy et al. (2025), or anywhere",
    )
    parser.add_argument(
        "--step",
        type=float,
        default=1.0,
        metavar="S",
        help="boundary: distance of the labels given, in probe positions",
    )
    add_seed(parser)


def run(args: argparse.Namespace) -> int:
    """Suggest positions, and print them: best first."""
    from napari_ferro4d.learn import suggest
    from napari_ferro4d.results import read_label_result

    scan = opened(args)
    labels = read_label_result(args.labels, scan.scan_shape).data if args.labels else None
    with progress_bar() as report:
        found = suggest(
            scan,
            labels,
            budget=args.budget,
            method=args.method,
            step=args.step,
            seed=args.seed,
            report=report,
        )
    if found.message and not args.json:
        say(found.message)
    positions = [[int(y), int(x)] for y, x in found.positions]
    return print_document({"positions": positions, "message": found.message}, as_json=args.json)
