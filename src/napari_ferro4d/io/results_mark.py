"""The mark by which a results folder is known from other folders."""

from __future__ import annotations

import os
from pathlib import Path

RESULTS_KEY = "ferro4d"
"""Attribute of the root of a results folder, with its provenance."""


def is_results(path: str | os.PathLike[str]) -> bool:
    """Return whether `path` is a results folder; looks at one small file, never raises."""
    try:
        text = (Path(path) / "zarr.json").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return f'"{RESULTS_KEY}"' in text and '"provenance"' in text
