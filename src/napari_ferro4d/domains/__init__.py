"""Label maps to domain walls and tables; knows neither Qt nor napari.

Files, in reading order:

- `domain_walls`: Label maps to walls and tables.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
