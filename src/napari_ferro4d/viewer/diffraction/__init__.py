"""Dock "Diffraction": the pattern at the probe, and virtual detectors drawn on it.

Files, in reading order:

- `detector_shapes`: A virtual detector on the pattern: what it looks like, and what dragging a
  part of it does.
- `detector_tool`: The virtual detector that the user draws on the pattern, drags and resizes.
- `live_image`: Virtual images made while the user drags the detector, off the GUI thread.
- `detector_panel`: Choose a virtual detector in the diffraction dock; its image is a layer of the
  main viewer.
- `pattern_reader`: Read one diffraction pattern at a time, off the GUI thread, always the latest
  one wanted.
- `dock`: Dock widget "Diffraction": the pattern at the probe, in a canvas of its own, in
  1/angstrom.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
