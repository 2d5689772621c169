"""Make the tables of diffracted intensities that come with the package.

    python scripts/make_tables.py [NAME ...] [--folder FOLDER]

writes ``table_ermno3.npz`` and ``table_boracite.npz`` to FOLDER, by default to the package's
``data`` folder, in a few minutes on one core. With the same numpy and LAPACK the files are the same
bit for bit; with others, an intensity may be rounded to the next multiple of 4e-5.
"""

from __future__ import annotations

import argparse
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from napari_ferro4d.jobs import Progress
from napari_ferro4d.simulate.crystal import (
    BORACITE_STATES,
    boracite,
    boracite_cubic,
    ermno3,
    ermno3_wall,
)
from napari_ferro4d.simulate.diffraction import (
    Computed,
    State,
    Table,
    compute,
    turned,
    wavelength,
    write_table,
)

MARGIN = 2  # grid points beyond the range promised, for the spline


def grids(
    kilovolts: float, reach: float, mrad_step: float, nm: tuple[float, float, float]
) -> dict[str, Any]:
    """Return the grids for beam directions up to `reach` mrad and thicknesses from, to, step."""
    per_mrad = 1e-3 / wavelength(kilovolts)
    half = int(np.ceil(reach / mrad_step - 1e-9)) + MARGIN
    count = round((nm[1] - nm[0]) / nm[2]) + 1 + 2 * MARGIN
    return {
        "k_t": np.arange(-half, half + 1) * mrad_step * per_mrad,
        "thickness": nm[0] + nm[2] * np.arange(-MARGIN, count - MARGIN),
    }


def ermno3_table() -> Table:
    """Return the table of ErMnO3 [100], c up: +P, -P, the non-polar parent, charged walls."""
    grid = grids(200.0, reach=3.8, mrad_step=0.35, nm=(40.0, 100.0, 2.0))
    how = {"zone_axis": (1, 0, 0), "up": (0, 0, 1), "k_max": 1.05, "kilovolts": 200.0, **grid}
    polar, parent, heads, tails = ermno3(1), ermno3(0), ermno3_wall(1), ermno3_wall(-1)
    upright = ("left-right", "up-down")
    computed = (
        compute(polar, **how, g_max=3.0, symmetries=("left-right",), report=said),
        compute(parent, **how, g_max=3.0, symmetries=upright, report=said),
        both_senses(compute(heads, **how, g_max=3.0, symmetries=("half turn",), report=said)),
        compute(tails, **how, g_max=3.0, symmetries=upright, report=said),
    )
    states = (
        State("+P", 0, "same", (-1.0, 0.0, 0.0)),
        State("-P", 0, "up-down", (1.0, 0.0, 0.0)),
        State("nonpolar", 1, "same", (0.0, 0.0, 0.0)),
        State("head-to-head", 2, "same", (0.0, 0.0, 0.0)),
        State("tail-to-tail", 3, "same", (0.0, 0.0, 0.0)),
    )
    return Table(
        name="ermno3",
        material="ErMnO3 [100], c up",
        kilovolts=200.0,
        k_max=1.05,
        computed=computed,
        states=states,
        nonpolar="nonpolar",
        charged=("head-to-head", "tail-to-tail"),
        notes={
            "crystals": [one.name for one in (polar, parent, heads, tails)],
            "source": polar.source,
            "g_max": 3.0,
        },
        **grid,
    )


def both_senses(computed: Computed) -> Computed:
    """Return the mean of a crystal with a half turn only, and of its mirror image.

    The phase of the trimerisation may turn either way inside a wall.
    """
    mirrored = turned(computed, "left-right")
    intensity = (computed.intensity + mirrored.intensity) / 2
    return Computed(computed.hkl, computed.g, intensity, ("left-right", "up-down"))


def boracite_table() -> Table:
    """Return the table of Cu3B7O13Cl along a pseudo-cubic axis: P in the image, along the beam."""
    grid = grids(300.0, reach=1.8, mrad_step=0.35, nm=(40.0, 100.0, 2.5))
    how = {
        "k_max": 0.9,
        "kilovolts": 300.0,
        "g_max": 2.2,
        "slice_thickness": 1.25,
        "report": said,
        **grid,
    }
    polar, parent = boracite(), boracite_cubic()
    (zone_up, up), (zone_along, side) = (BORACITE_STATES[name] for name in ("up", "along"))
    computed = (
        compute(polar, zone_axis=zone_up, up=up, symmetries=("left-right",), **how),
        compute(polar, zone_axis=zone_along, up=side, symmetries=("diagonal", "half turn"), **how),
        compute(
            parent, zone_axis=(1, 0, 0), up=(0, 1, 0), symmetries=("diagonal", "left-right"), **how
        ),
    )
    states = (
        State("up", 0, "same", (-1.0, 0.0, 0.0)),
        State("down", 0, "up-down", (1.0, 0.0, 0.0)),
        State("right", 0, "quarter turn", (0.0, 1.0, 0.0)),
        State("left", 0, "three-quarter turn", (0.0, -1.0, 0.0)),
        State("along", 1, "same", (0.0, 0.0, 1.0)),
        State("cubic", 2, "same", (0.0, 0.0, 0.0)),
    )
    return Table(
        name="boracite",
        material="Cu3B7O13Cl along a pseudo-cubic axis",
        kilovolts=300.0,
        k_max=0.9,
        computed=computed,
        states=states,
        nonpolar="cubic",
        notes={"crystals": [polar.name, parent.name], "source": polar.source, "g_max": 2.2},
        **grid,
    )


def said(progress: Progress) -> None:
    """Print how far the calculation is."""
    if progress.done % 128 == 0 or progress.done == progress.total:
        print(f"{progress.message}: {progress.done}/{progress.total}", file=sys.stderr)


TABLES = {"ermno3": ermno3_table, "boracite": boracite_table}


def main() -> None:
    """Write the tables that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="*", help=f"of {list(TABLES)}, all by default")
    parser.add_argument("--folder", type=Path, default=Path(str(files("napari_ferro4d") / "data")))
    args = parser.parse_args()
    for name in args.name or TABLES:
        path = write_table(args.folder / f"table_{name}.npz", TABLES[name]())
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
