"""Make the embedded demonstration scan again, from nothing but its spec.

    python scripts/make_demo_scan.py [FOLDER]

simulates the preset ``demo`` and writes ``demo.hspy`` (HyperSpy's HDF5 format, gzip, one scan row
per chunk) to FOLDER, by default to the package's ``data`` folder, in some seconds on one core.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
from rsciio.hspy import file_writer

from napari_ferro4d.scan import Scan
from napari_ferro4d.simulate import demo_scan_path, preset, scan


def main(folder: Path) -> None:
    """Write the file to `folder`."""
    made = scan(preset("demo"))
    counts = np.asarray(made.data)
    print(f"{counts.shape}, {counts.sum(axis=(2, 3)).mean():.0f} counts per pattern")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / demo_scan_path().name
    # The writer decides by the ending, and asks before it overwrites: write beside and replace.
    beside = path.with_name("unfinished-" + path.name)
    beside.unlink(missing_ok=True)
    file_writer(
        str(beside),
        signal(made, counts),
        chunks=(1, *counts.shape[1:]),
        compression="gzip",
        compression_opts=9,
        shuffle=False,
        show_progressbar=False,
    )
    os.replace(beside, path)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def signal(made: Scan, counts: np.ndarray) -> dict[str, object]:
    """Return what RosettaSciIO writes: counts, calibrated axes and where they come from."""
    axes = []
    for index, (name, units, scale, offset) in enumerate(
        (
            ("y", "nm", made.scan_step[0], 0.0),
            ("x", "nm", made.scan_step[1], 0.0),
            ("ky", "1/angstrom", made.k_step[0], -made.centre[0] * made.k_step[0]),
            ("kx", "1/angstrom", made.k_step[1], -made.centre[1] * made.k_step[1]),
        )
    ):
        axes.append(
            {
                "_type": "UniformDataAxis",
                "name": name,
                "units": units,
                "scale": scale,
                "offset": offset,
                "size": counts.shape[index],
                "index_in_array": index,
                "navigate": index < 2,
                "is_binned": False,
            }
        )
    tem = {
        "beam_energy": made.metadata["beam_energy_kv"],
        "convergence_angle": made.metadata["convergence_mrad"],
        "acquisition_mode": "STEM",
    }
    metadata = {
        "General": {
            "title": "demo",
            "original_filename": demo_scan_path().name,
            "notes": f"Simulated: {json.dumps(dict(made.metadata))}",
        },
        "Signal": {"signal_type": "", "quantity": "Electrons (Counts)"},
        "Acquisition_instrument": {"TEM": tem},
    }
    return {
        "data": counts,
        "axes": axes,
        "metadata": metadata,
        "original_metadata": {},
        "package_info": {"package": "napari-ferro4d", "package_version": "0.1.0"},
        "tmp_parameters": {},
        "attributes": {"_lazy": False, "ragged": False},
        "learning_results": {},
        "models": {},
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else demo_scan_path().parent)
