"""Everything that knows napari or Qt: reader, writers, sample data, dock widgets, layers.

No science: widgets call the public functions of the other rooms and put what comes back in layers.
The manifest ``napari.yaml`` names what napari finds here; importing this package imports no Qt.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["screenshot_results"]

_HOMES = {"screenshot_results": "screenshot"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
