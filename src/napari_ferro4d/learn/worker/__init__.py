"""Functions that need torch, called in a process of its own.

Files, in reading order:

- `scan_transfer`: What is called, pickled; of a scan goes the way to open it, not its counts.
- `child`: The process that does the work: ``python -m napari_ferro4d.learn.worker.child``.
- `process`: The process as seen by the one that starts it: `Worker`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
