"""Where a model comes from, for its header."""

from __future__ import annotations

from typing import Any

from napari_ferro4d.scan import Scan


def scan_record(scan: Scan) -> dict[str, Any]:
    """Return what identifies a scan, as JSON types."""
    return {"name": scan.name, "signature": scan.signature, "shape": list(scan.shape)}


def versions() -> dict[str, str]:
    """Return the versions of what decides the numbers."""
    import torch

    import napari_ferro4d

    return {"napari-ferro4d": napari_ferro4d.__version__, "torch": str(torch.__version__)}
