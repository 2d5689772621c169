"""How a scan whose detector was corrected is told from the one that was recorded."""

from __future__ import annotations

from napari_ferro4d.scan import Scan


def shown_name(scan: Scan) -> str:
    """Return the first word of the names of the scan's layers."""
    return scan.name if scan.correction is None else f"{scan.name} corrected"


def corrections_text(scan: Scan) -> str:
    """Return what was done to the patterns, such as ``"dark image, 3 bad pixels, bin 2"``."""
    if scan.correction is None:
        return ""
    record, parts = scan.correction.record, []
    parts += [f"{name} image" for name in ("dark", "gain") if name in record]
    if "bad_pixels" in record:
        count = record["bad_pixels"]["count"]
        parts.append(f"{count} bad pixel{'' if count == 1 else 's'}")
    if "crop" in record:
        (top, bottom), (left, right) = record["crop"]
        parts.append(f"crop {top}:{bottom}, {left}:{right}")
    if "bin" in record:
        parts.append(f"bin {record['bin']}")
    return ", ".join(parts) or "by program"
