"""``ferro4d simulate``: a scan with known truth."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ferro4d.cli.parser import add_output
from napari_ferro4d.cli.terminal import print_document, progress_bar

if TYPE_CHECKING:
    from napari_ferro4d.simulate import Spec


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument("spec", metavar="SPEC", help="a spec (TOML), or the name of a preset")
    add_output(parser, "SCAN.zarr", "folder to write; a simulated scan there is replaced")


def run(args: argparse.Namespace) -> int:
    """Write the scan that the spec describes, with its truth."""
    from napari_ferro4d.simulate import prepare, write_scan

    with progress_bar() as report:
        spec = _spec(args.spec)
        path = write_scan(spec, args.output, report)
    simulation = prepare(spec)
    document = {
        "scan": str(path),
        "shape": [*spec.scan.shape, *spec.detector.shape],
        "dtype": str(simulation.detector.dtype),
        "scan_step_nm": spec.scan.step,
        "k_step_inv_angstrom": spec.optics.k_step,
        "states": list(simulation.specimen.states),
        "seed": spec.seed,
        "bytes": sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
    }
    return print_document(document, as_json=args.json)


def _spec(name: str) -> Spec:
    from napari_ferro4d.simulate import preset, presets, read_spec

    # A file of that name wins over a preset.
    if not Path(name).exists() and (name in presets() or not Path(name).suffix):
        return preset(name)
    return read_spec(name)
