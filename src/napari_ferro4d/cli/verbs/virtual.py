"""``ferro4d virtual``: the image of a virtual detector."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from napari_ferro4d.cli.parser import add_output, add_pass, add_scan
from napari_ferro4d.cli.terminal import on_cluster, print_document, progress_bar

from .verb_steps import opened, written


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    add_scan(parser)
    parser.add_argument(
        "--detector",
        required=True,
        metavar="DETECTOR",
        help="disk:R, annulus:R1,R2, rectangle:KY0,KX0,KY1,KX1, polygon:KY,KX;KY,KX;... "
        "(pixels from the beam centre) or the image of a mask",
    )
    add_pass(parser)
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Sum the counts on the detector, and write the image."""
    from napari_ferro4d.reduce import parse_detector, virtual, virtual_flagged
    from napari_ferro4d.results import check_target, virtual_result

    check_target(args.output)
    detector = parse_detector(args.detector)
    scan = opened(args)
    with progress_bar() as report, on_cluster(args.scheduler) as client:
        how: dict[str, Any] = {"centre": args.centre, "report": report, "client": client}
        if not args.flag_saturation:
            result, found = virtual(scan, detector, **how), None
        else:
            result, found = virtual_flagged(scan, detector, **how)
    name = result.name
    if name == "virtual_mask":
        name = f"virtual_{Path(args.detector).stem}"
    parameters = {"detector": args.detector, "centre": result.centre}
    maps = [virtual_result(result.image, scan, name)]
    document = written(args, scan, "virtual", parameters, maps=maps, found=found)
    if result.centre is not None:
        document["centre"] = [float(c) for c in result.centre]
    return print_document(document, as_json=args.json)
