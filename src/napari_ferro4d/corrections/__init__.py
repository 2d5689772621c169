"""Detector corrections: dark, gain, bad pixels, crop and bin, applied to patterns as they are read.

Files, in reading order:

- `kernels`: Compiled inner loops of the detector corrections: one pattern at a time, inside the
  cache.
- `bad_pixel_search`: Which detector pixels are hot or dead, found in the counts of a scan.
- `block_steps`: The work on a block of patterns: what is needed of it, and what is made of that.
- `correct_scan`: Detector corrections on the fly: applied to every block as it is read, never to
  the file.
- `image_files`: Detector corrections as options: images from files, bad pixels as text, and a
  record of them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
