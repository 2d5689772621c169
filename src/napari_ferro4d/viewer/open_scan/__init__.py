"""Dock "Open 4D-STEM scan...".

Files, in reading order:

- `corrections_form`: The form for detector corrections, which are applied to patterns as they are
  read.
- `hints_form`: The form for what a scan file may not say: shape, steps, and how its patterns lie.
- `dock`: Dock widget "Open 4D-STEM scan...": open a file or folder with the hints it may lack.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
