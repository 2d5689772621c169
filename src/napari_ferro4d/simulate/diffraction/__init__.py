"""Crystals to diffraction patterns.

Files, in reading order:

- `disks`: Compiled inner loop: convergent-beam disks interpolated in a table by cubic B-splines.
- `scattering`: Electrons in a crystal: beams, structure factors and how they couple the beams.
- `optics`: A convergent probe and a pixel detector.
- `multislice`: Multislice with abTEM: plane waves through a crystal, every beam at every
  thickness.
- `plane_waves`: Plane waves of many directions through a crystal together, in the zero-order Laue
  zone.
- `reference_patterns`: Reference patterns: what a known crystal in a known orientation and
  thickness diffracts.
- `symmetry`: Mirrors and turns of patterns, and which beams they make of one another.
- `tables`: Tables of dynamically diffracted intensities, and patterns interpolated in them.
- `table_compute`: The intensities of a table, calculated.
- `table_file`: Tables of diffracted intensities as small files.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
