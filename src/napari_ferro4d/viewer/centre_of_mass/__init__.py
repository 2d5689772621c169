"""Dock "Centre of mass".

Files, in reading order:

- `counts_form`: Which counts the centre of mass counts: the fields for mask image, background,
  threshold.
- `dock`: Dock widget "Centre of mass": where the beam went, as maps and as a direction colour map.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
