"""What ``ferro4d simulate`` does."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ferro4d.simulate import Spec, prepare, preset, presets, read_spec, write_scan

if TYPE_CHECKING:
    from napari_ferro4d.jobs import Report

__all__ = ["simulate_command"]


def simulate_command(args: argparse.Namespace, report: Report | None = None) -> dict[str, Any]:
    """Write the scan that ``args.spec`` describes to ``args.output``.

    Parameters
    ----------
    args : argparse.Namespace
        ``spec``, a TOML file or the name of a preset, and ``output``.
    report : callable, optional
        See `write_scan`.

    Returns
    -------
    dict
        What was written, as JSON types.
    """
    spec = _spec(args.spec)
    path = write_scan(spec, args.output, report)
    simulation = prepare(spec)
    return {
        "scan": str(path),
        "shape": [*spec.scan.shape, *spec.detector.shape],
        "dtype": str(simulation.detector.dtype),
        "scan_step_nm": spec.scan.step,
        "k_step_inv_angstrom": spec.optics.k_step,
        "states": list(simulation.specimen.states),
        "seed": spec.seed,
        "bytes": sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
    }


def _spec(name: str) -> Spec:
    # A file of that name wins over a preset.
    if Path(name).exists():
        return read_spec(name)
    if name in presets() or not Path(name).suffix:
        return preset(name)
    return read_spec(name)
