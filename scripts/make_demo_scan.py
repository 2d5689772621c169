"""Make the embedded demonstration scan and its truth again, from nothing but the seed.

    python scripts/make_demo_scan.py [FOLDER]

writes ``demo.hspy`` (HyperSpy's HDF5 format, gzip, one scan row per chunk) and
``demo_truth.npz`` to FOLDER, by default to the package's ``data`` folder, in about ten seconds on
one core. What is in the scan is decided in ``napari_ferro4d/simulate/demo.py``; the physics is in
its neighbours.
"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rsciio.hspy import file_writer

from napari_ferro4d.simulate import (
    DEMO,
    demo_scan_path,
    demo_specimen,
    demo_tables,
    demo_truth_path,
    make_counts,
    ymno3,
)


def main(folder: Path) -> None:
    """Write both files to `folder`."""
    truth = demo_specimen()
    tables = demo_tables()
    rows = range(DEMO.scan_shape[0])
    counts = np.stack([make_counts(truth, row, tables) for row in rows])
    print(f"{counts.shape}, {counts.sum(axis=(2, 3)).mean():.0f} counts per pattern")

    folder.mkdir(parents=True, exist_ok=True)
    scan = folder / demo_scan_path().name
    # The writer decides by the ending, and asks before it overwrites: write beside and replace.
    beside = scan.with_name("unfinished-" + scan.name)
    beside.unlink(missing_ok=True)
    file_writer(
        str(beside),
        signal(counts),
        chunks=(1, *counts.shape[1:]),
        compression="gzip",
        compression_opts=9,
        shuffle=False,
        show_progressbar=False,
    )
    os.replace(beside, scan)

    known = folder / demo_truth_path().name
    np.savez_compressed(
        known,
        **{k: v for k, v in vars(truth).items() if k != "scan_step"},
        scan_step=truth.scan_step,
    )
    print(
        f"{scan}: {scan.stat().st_size / 1e6:.2f} MB\n{known}: {known.stat().st_size / 1e3:.0f} kB"
    )


def signal(counts: np.ndarray) -> dict[str, object]:
    """Return what RosettaSciIO writes: counts, calibrated axes and where they come from."""
    optics = DEMO.optics
    axes = []
    for index, (name, units, scale, offset, navigate) in enumerate(
        (
            ("y", "nm", DEMO.scan_step, 0.0, True),
            ("x", "nm", DEMO.scan_step, 0.0, True),
            ("ky", "1/angstrom", optics.k_step, -optics.centre[0] * optics.k_step, False),
            ("kx", "1/angstrom", optics.k_step, -optics.centre[1] * optics.k_step, False),
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
                "navigate": navigate,
                "is_binned": False,
            }
        )
    tem = {
        "beam_energy": optics.kilovolts,
        "convergence_angle": optics.convergence,
        "acquisition_mode": "STEM",
    }
    metadata = {
        "General": {
            "title": "demo",
            "original_filename": demo_scan_path().name,
            "notes": f"Simulated: {ymno3(1).name} and -c, zone axis [100]. {asdict(DEMO)}",
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
