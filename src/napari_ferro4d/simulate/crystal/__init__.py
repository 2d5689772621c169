"""Crystals: atoms in a cell.

Files, in reading order:

- `crystal`: Crystals: atoms in a cell of any shape, and hexagonal YMnO3 and ErMnO3.
- `boracite_structures`: Boracite Cu3B7O13Cl: the cubic parent structure and the polar orthorhombic
  one.
- `scattering_factors`: Electron scattering factors of atoms.
- `structures`: Crystal structures by name: what is bundled, with its source, and CIF files.
- `wall_crystals`: Crystals that stand for the inside of domain walls of ErMnO3.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
