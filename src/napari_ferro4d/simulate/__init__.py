"""Crystals to patterns to scans with known truth; pure numpy and scipy, no torch, no napari.

``demo_scan()`` opens the embedded scan and ``demo_truth()`` tells what is in it. It was made of the
other parts, from the bottom up: a crystal (`structure`, by name or from a CIF file), its structure
factors and scattering matrix (`scattering`), convergent-beam patterns over tilt and thickness
(`patterns`), a specimen (`demo`).

``reference`` gives the patterns of a crystal over thickness, ``compare`` and ``identify`` hold
measured ones against them, and ``scan`` makes whole scans with known truth from a ``Spec``.
"""

from __future__ import annotations

from ._readings import Candidate, ClassReading, Identification, Pair, candidates_of
from ._scan import scan
from ._store import ScanTruth, truth, write_scan
from ._table_file import load_table, write_table
from .compare import (
    Asymmetry,
    Comparison,
    Correlation,
    ReflectionTable,
    Registration,
    asymmetry,
    compare,
    correlate,
    friedel_pairs,
    on_detector,
    register,
)
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
from .identify import identify, identify_scan
from .patterns import Optics, RockingTable, patterns, rocking_table
from .presets import preset, presets, sample_scan_path
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
from .spec import (
    DetectorKeys,
    GeometryKeys,
    OpticsKeys,
    ScanKeys,
    Spec,
    SpecimenKeys,
    WallKeys,
    read_spec,
)
from .structures import (
    BORACITE_STATES,
    STRUCTURES,
    batio3,
    boracite,
    boracite_cubic,
    structure,
)
from .table import State, Table, table_patterns

__all__ = [
    "BORACITE_STATES",
    "DEMO",
    "STRUCTURES",
    "Asymmetry",
    "Beams",
    "Candidate",
    "ClassReading",
    "Comparison",
    "Correlation",
    "Crystal",
    "Demo",
    "DetectorKeys",
    "GeometryKeys",
    "Identification",
    "Optics",
    "OpticsKeys",
    "Pair",
    "Reference",
    "ReflectionTable",
    "Registration",
    "RockingTable",
    "ScanKeys",
    "ScanTruth",
    "Spec",
    "SpecimenKeys",
    "State",
    "Table",
    "Truth",
    "WallKeys",
    "asymmetry",
    "batio3",
    "boracite",
    "boracite_cubic",
    "candidates_of",
    "compare",
    "correlate",
    "demo_scan",
    "demo_scan_path",
    "demo_tables",
    "demo_truth",
    "demo_truth_path",
    "detector_frame",
    "diffracted_intensities",
    "ermno3",
    "expected_counts",
    "friedel_pairs",
    "identify",
    "identify_scan",
    "load_table",
    "make_counts",
    "on_detector",
    "patterns",
    "plane_wave_intensities",
    "preset",
    "presets",
    "read_spec",
    "reference",
    "register",
    "rocking_table",
    "sample_scan_path",
    "scan",
    "scattering_factor",
    "scattering_matrix",
    "specimen",
    "structure",
    "structure_factor",
    "structure_matrix",
    "table_patterns",
    "truth",
    "wavelength",
    "write_scan",
    "write_table",
    "ymno3",
    "zone_beams",
]
