"""Measured patterns against simulated ones: compare, register, identify.

Files, in reading order:

- `comparison`: Two patterns, pixel by pixel, window by window and reflection by reflection.
- `correlation`: The normalised cross-correlation of two patterns, window by window.
- `reflections`: Reflections of a pattern: what is in each disk above its surroundings, and how
  sure that is.
- `registration`: Where a simulated pattern lies in a measured one, and how to bring one onto the
  other.
- `registration_search`: Lay a measured pattern onto a simulated one: shift, rotation, scale and,
  if asked, a mirror.
- `identification`: Which simulated state do the patterns of a domain fit, and how sure is the sign
  of P.
- `readings`: What identification takes and gives: candidates, and readings of classes and of
  pairs.
- `pattern_fit`: Fit one simulated pattern to counts: scale, background, and how far from Poisson
  it stays.
- `simulated_states`: Patterns of several simulated states, and where they lie on the detector of a
  scan.
- `state_map`: Which simulated state the pattern at each probe position is likest: proposals for
  labels.
- `difference_comparison`: A measured difference pattern beside the one that a simulation expects.
- `pattern_arrays`: Patterns as plain arrays: what is usable of them, where the middle is, how
  large a disk.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
