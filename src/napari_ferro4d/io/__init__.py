"""Files to scans, results to files; knows neither Qt nor napari nor torch."""

from __future__ import annotations

from ._open import FORMATS, is_scan, open_scan
from .labels import read_label_result, read_labels, write_tiff
from .model import Model, load_model, save_model
from .results import (
    LabelResult,
    MapResult,
    Results,
    check_target,
    is_results,
    provenance,
    read_results,
    write_results,
)

__all__ = [
    "FORMATS",
    "LabelResult",
    "MapResult",
    "Model",
    "Results",
    "check_target",
    "is_results",
    "is_scan",
    "load_model",
    "open_scan",
    "provenance",
    "read_label_result",
    "read_labels",
    "read_results",
    "save_model",
    "write_results",
    "write_tiff",
]
