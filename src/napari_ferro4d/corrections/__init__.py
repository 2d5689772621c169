"""Detector corrections: dark, gain, bad pixels, crop and bin, applied to patterns as they are read.

Files, in reading order:

- `correct_scan`: Detector corrections on the fly: applied to every block as it is read, never to
  the file.
- `block_work`: The work on a block of patterns: what is needed of it, and what is made of that.
- `kernels`: Compiled inner loops: dark, gain, bad pixels, bin, of one pattern at a time, inside
  the cache.
- `image_files`: Detector corrections as options: images from files, bad pixels as text, and a
  record of them.
- `bad_pixel_search`: Which detector pixels are hot or dead, found in the counts of a scan.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
