"""The scan that comes with the package: the preset ``demo``, kept as a HyperSpy file."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from .preset_specs import preset
from .store import ScanTruth, specimen_truth

if TYPE_CHECKING:
    from napari_ferro4d.scan import Scan


def demo_scan_path() -> Path:
    """Return the path of the embedded scan, a HyperSpy file in the installed package."""
    return Path(str(files("napari_ferro4d") / "data" / "demo.hspy"))


def demo_scan() -> Scan:
    """Open the embedded scan: 56 x 60 probe positions, 64 x 64 detector pixels.

    Returns
    -------
    Scan
        Named ``demo``; steps of 1.4 nm and 0.02 1/angstrom.
    """
    from napari_ferro4d.open import open_scan

    return open_scan(demo_scan_path())


def demo_truth() -> ScanTruth:
    """Return the truth of the embedded scan: domains, wall, thickness and tilt.

    Label 1 is +P (polarisation up the image, to negative y), 2 is -P.
    """
    return specimen_truth(preset("demo"))
