"""Dock "Classes": where probe positions are labelled.

Rooms and files, in reading order:

- `proposals`: Panel "Proposals": labels that maps and label images of the scan propose.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
