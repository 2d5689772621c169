"""Where patterns have their zero."""

from __future__ import annotations

from napari_ferro4d.scan import Scan


def beam_centre(scan: Scan) -> tuple[float, float]:
    """Return where the dock has its zero, ``(ky, kx)``: the middle where the file states none."""
    ky, kx = scan.detector_shape
    return scan.centre or ((ky - 1) / 2, (kx - 1) / 2)
