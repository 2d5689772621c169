"""Training in a process of its own.

Files, in reading order:

- `messages`: What the viewer's process and the trainer say to each other, as JSON: scans and
  progress.
- `trainer`: The trainer's side of `process`: ``python -m napari_ferro4d.learn.worker.trainer``.
- `child`: The process of `process`, seen from the one that starts it; `_trainer` is its own side.
- `process`: Train, embed and decode in a Python process of their own, with which one talks through
  pipes.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
