"""Read an embedding: which channels say something, what they show, and regions made of them.

Works on plain arrays ``[channel, y, x]``, whatever made them; knows neither torch nor Qt.

Files, in reading order:

- `ranking`: Which channels say something about the specimen's structure, best first.
- `proxy_maps`: Maps of what a channel may be about other than domains: thickness, tilt, shift of
  the pattern.
- `undiffracted_beam`: The undiffracted disk: where it is and how large, from a look at some of the
  patterns.
- `histograms`: The values of a channel: their histogram, and the probe positions in a part of it.
- `differences`: What distinguishes the patterns of a channel: mean patterns of its extremes, and
  their errors.
- `clusters`: Classes of probe positions that lie together in the space of the channels.
- `proposals`: Classes that maps and label images propose for probe positions.
- `taking`: Which proposed classes become labels: areas, regions, a few positions spread out over
  them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
