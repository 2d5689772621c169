"""Where a model comes from, for its header."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from napari_ferro4d.scan import Scan


def scan_record(scan: Scan) -> dict[str, Any]:
    """Return what identifies a scan, as JSON types."""
    return {"name": scan.name, "signature": scan.signature, "shape": list(scan.shape)}


def versions(learner: str = "torch") -> dict[str, str]:
    """Return the versions of what decides the numbers: this package and what it learns with."""
    return {name: version(name) for name in ("napari-ferro4d", learner)}
