"""Patterns to network input, and batches of them.

Files, in reading order:

- `preprocess`: Counts to network input: crop or pad about the beam, bin, log(1 + counts). Knows no
  torch.
- `neighbourhood`: Patterns reduced over neighbouring probe positions, lazily. Knows no torch.
- `pattern_cache`: The patterns to learn from: read once, preprocessed, kept in memory or in a
  file. Knows no torch.
- `tiles`: A sample of scans that keeps neighbours together. Knows no torch.
- `batch_order`: In which order the patterns are learnt. Knows no torch.
- `batch_loader`: Batches of patterns on the device, ready when they are wanted.
- `label_checks`: Labels to learn from: what is acceptable. Knows no torch.
- `turns`: Turning and mirroring a pattern about the undiffracted beam. Knows no torch.
- `symmetry`: What becomes of the classes when a pattern is turned or mirrored, as the user declares
  it. Knows no torch.
- `augment`: Variations of labelled patterns: the same specimen at another dose, descan and
  orientation.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
