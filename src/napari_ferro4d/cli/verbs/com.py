"""``ferro4d com``: the centre of mass of every pattern."""

from __future__ import annotations

import argparse
import math
from typing import Any

from napari_ferro4d.cli.parser import add_output, add_pass, add_scan
from napari_ferro4d.cli.terminal import on_cluster, print_document, progress_bar

from .verb_steps import opened, written


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    add_scan(parser)
    parser.add_argument(
        "--mask-radius", type=float, metavar="R", help="only counts within R pixels"
    )
    parser.add_argument(
        "--mask", metavar="FILE", help="image of the pixels that count, or of weights"
    )
    parser.add_argument(
        "--background", metavar="COUNTS|FILE", help="subtract so many counts from every pixel"
    )
    parser.add_argument(
        "--threshold", type=float, metavar="COUNTS", help="leave out pixels with fewer counts"
    )
    parser.add_argument("--descan", choices=("none", "plane", "robust"), default="none")
    parser.add_argument("--rotation", type=_rotation, default=0.0, metavar="DEG|auto")
    add_pass(parser)
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Compute the centre of mass, and write its maps."""
    from napari_ferro4d.reduce import com, com_flagged, read_cleaning
    from napari_ferro4d.results import check_target, com_parameters, com_results

    check_target(args.output)
    scan = opened(args)
    cleaning, record = read_cleaning(scan, args.mask, args.background, args.threshold)
    with progress_bar() as report, on_cluster(args.scheduler) as client:
        how: dict[str, Any] = {
            "centre": args.centre,
            "mask_radius": args.mask_radius,
            "descan": args.descan,
            "rotation": args.rotation,
            **cleaning,
            "report": report,
            "client": client,
        }
        if not args.flag_saturation:
            maps, found = com(scan, **how), None
        else:
            maps, found = com_flagged(scan, **how)
    parameters = {**com_parameters(maps, args.mask_radius, args.descan), **record}
    document = written(args, scan, "com", parameters, maps=com_results(maps, scan), found=found)
    document["centre"] = [float(c) for c in maps.centre]
    document["rotation_degrees"] = maps.rotation
    return print_document(document, as_json=args.json)


def _rotation(text: str) -> float | str:
    if text == "auto":
        return text
    try:
        degrees = float(text)
    except ValueError:
        degrees = math.nan
    if not math.isfinite(degrees):
        raise argparse.ArgumentTypeError(f"{text!r} is neither degrees nor 'auto'")
    return degrees
