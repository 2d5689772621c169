"""Map ferroelectric domains from 4D-STEM scans: in napari, as commands, as functions.

Importing this package imports neither torch nor Qt nor napari; names arrive when first used.
"""

from typing import Any

import lazy_loader

_public, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("napari-ferro4d")
    return _public(name)
