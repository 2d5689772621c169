"""``ferro4d info``: what a file holds."""

from __future__ import annotations

import argparse

from napari_ferro4d.cli.parser import add_scan
from napari_ferro4d.cli.terminal import print_document
from napari_ferro4d.errors import ScanError

from .verb_steps import opened


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    add_scan(parser)


def run(args: argparse.Namespace) -> int:
    """Open the scan and print what is known of it."""
    from napari_ferro4d.reduce import saturation_limit

    scan = opened(args)
    said = {key: v for key, v in scan.metadata.items() if isinstance(v, str | float | int)}
    try:
        saturation = saturation_limit(scan)
    except ScanError:
        saturation = None
    document = {
        **said,
        "path": args.scan,
        "format": scan.source.format if scan.source else None,
        "shape": list(scan.shape),
        "dtype": str(scan.dtype),
        "scan_step_nm": _step(scan.scan_step),
        "k_step_inv_angstrom": _step(scan.k_step),
        "centre": list(scan.centre) if scan.centre else None,
        "saturation": saturation,
        "complete": scan.complete,
        "corrections": dict(scan.correction.record) if scan.correction else {},
        "signature": scan.signature,
    }
    return print_document(document, as_json=args.json)


def _step(step: tuple[float, float] | None) -> float | list[float] | None:
    # One number says it all unless the two directions differ.
    if step is None:
        return None
    return step[0] if step[0] == step[1] else list(step)
