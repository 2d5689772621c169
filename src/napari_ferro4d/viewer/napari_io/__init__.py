"""What napari calls to read, to write, and for sample data.

Files, in reading order:

- `reader`: The one npe2 reader: 4D-STEM scans, results folders, labels that autosave set aside.
- `samples`: Sample data: the embedded demo scan, and simulated scans made on a thread the first
  time.
- `writer`: The npe2 writers: image and labels layers to a results folder, or one of them to TIFF.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
