"""Crystals to patterns to scans with known truth; no torch, no napari.

Files and rooms, in reading order:

- `crystal`: Crystals: atoms in a cell.
- `diffraction`: Crystals to diffraction patterns.
- `scans`: Simulated scans with known truth.
- `number_checks`: Numbers as users give them: what can be used, and what is refused.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
