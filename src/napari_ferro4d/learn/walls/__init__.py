"""What is abrupt in a scan, found before training.

Files, in reading order:

- `abrupt_changes`: Where a scan changes abruptly, and how: what sets walls and domains apart from
  bending. No torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
