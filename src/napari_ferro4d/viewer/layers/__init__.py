"""The layers of the viewer: how they are made, found and named.

Files, in reading order:

- `pattern_space`: Where patterns have their zero.
- `scan_names`: How a scan whose detector was corrected is told from the one that was recorded.
- `layer_notes`: Our notes on layers: what a layer shows, of which scan, and how it is found again.
- `class_colours`: Names, colours and polarization directions of the classes in a labels layer.
- `layer_data`: What layers are made of: data, names, scale, units and notes, before they are in a
  viewer.
- `layer_list`: Layers into the viewer's list, and out of it: what is updated, what is new, and
  where it goes.
- `truth`: The known truth of a simulated scan as a labels layer, to compare predictions with.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
