"""Crystals to patterns to scans with known truth; pure numpy and scipy, no torch, no napari.

``demo_scan()`` opens the embedded scan and ``demo_truth()`` tells what is in it. It was made of the
other parts, from the bottom up: a crystal (`structure`, by name or from a CIF file), its structure
factors and scattering matrix (`scattering`), convergent-beam patterns over tilt and thickness
(`patterns`), a specimen (`demo`).
"""

from __future__ import annotations

from .crystal import Crystal, ermno3, ymno3
from .demo import (
    DEMO,
    Demo,
    Truth,
    demo_scan,
    demo_scan_path,
    demo_tables,
    demo_truth,
    demo_truth_path,
    expected_counts,
    make_counts,
    specimen,
)
from .patterns import Optics, RockingTable, patterns, rocking_table
from .reference import Reference, plane_wave_intensities, reference
from .scattering import (
    Beams,
    detector_frame,
    diffracted_intensities,
    scattering_factor,
    scattering_matrix,
    structure_factor,
    structure_matrix,
    wavelength,
    zone_beams,
)
from .structures import (
    BORACITE_STATES,
    STRUCTURES,
    batio3,
    boracite,
    boracite_cubic,
    structure,
)

__all__ = [
    "BORACITE_STATES",
    "DEMO",
    "STRUCTURES",
    "Beams",
    "Crystal",
    "Demo",
    "Optics",
    "Reference",
    "RockingTable",
    "Truth",
    "batio3",
    "boracite",
    "boracite_cubic",
    "demo_scan",
    "demo_scan_path",
    "demo_tables",
    "demo_truth",
    "demo_truth_path",
    "detector_frame",
    "diffracted_intensities",
    "ermno3",
    "expected_counts",
    "make_counts",
    "patterns",
    "plane_wave_intensities",
    "reference",
    "rocking_table",
    "scattering_factor",
    "scattering_matrix",
    "specimen",
    "structure",
    "structure_factor",
    "structure_matrix",
    "wavelength",
    "ymno3",
    "zone_beams",
]
