"""Dock "Classifier".

Files, in reading order:

- `class_table`: A table of the classes in a labels layer: colour, name, how many positions are
  labelled.
- `dock`: Dock widget "Classifier": few painted positions in, a map of classes out, decisions
  back in.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
