"""Few labels and many patterns: the preset "fast", held-out figures, what to label next.

Files, in reading order:

- `features`: What every pattern is, in a few dozen numbers that need no label. Knows no torch.
- `cache`: Features of scans, kept: in memory for the next correction, on disk for the next day.
- `scalings`: In which units the features of a scan are compared: three answers, none of which
  always holds.
- `head`: The classifiers themselves: one convex one for each scaling of the features, and their
  mean.
- `spatial`: What the neighbours say: probabilities spread along the scan grid, and stop where it
  changes.
- `fast_model`: The `fast` model: convex classifiers, what the neighbours say, and the same again
  with both.
- `label_weights`: How much labels tell: a brush stroke is one observation, and not one per
  position.
- `held_out`: What labels say that a model has not seen, nor any label near them.
- `calibration`: How sure is sure: a temperature for the probabilities, and a strength for the
  spatial model.
- `learner`: From features and labels to a map, and to what is to be thought of it.
- `novelty`: Which patterns are unlike all that is labelled.
- `suggest`: Which probe positions to label next.
- `fast_preset`: The preset "fast" on a scan: learnt from its labels, and applied to it or to
  another.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
