"""Map ferroelectric domains from 4D-STEM scans: in napari, as commands, as functions.

Importing this package imports neither torch nor Qt nor napari; names arrive when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import LabelsError, ModelError, ResultsError, ScanError
    from .io import load_model, open_scan, read_results, save_model, write_results
    from .learn import classify, embed, train
    from .reduce import com, virtual
    from .scan import Scan

__all__ = [
    "LabelsError",
    "ModelError",
    "ResultsError",
    "Scan",
    "ScanError",
    "classify",
    "com",
    "embed",
    "load_model",
    "open_scan",
    "read_results",
    "save_model",
    "train",
    "virtual",
    "write_results",
]

_HOMES = {
    "errors": ("LabelsError", "ModelError", "ResultsError", "ScanError"),
    "io": ("load_model", "open_scan", "read_results", "save_model", "write_results"),
    "learn": ("classify", "embed", "train"),
    "reduce": ("com", "virtual"),
    "scan": ("Scan",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("napari-ferro4d")
    if name in _HOME_OF:
        return getattr(importlib.import_module(f".{_HOME_OF[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "__version__"])
