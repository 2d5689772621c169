"""Simulated scans with known truth.

Files, in reading order:

- `spec`: What a simulated scan is made of: frozen dataclasses, and a TOML file that fills them in.
- `detector`: From expected electrons to counts: background, point spread, noise, read-out.
- `domain_geometry`: Domains of simulated specimens: which state is where, and how far away the
  next wall is.
- `specimen`: The simulated specimen, one scan row at a time: states under the probe, thickness,
  tilt.
- `scan_rows`: Simulated scans: any row of one at any time, or all of them in a file with the truth
  beside.
- `store`: Simulated scans as zarr stores: written chunk by chunk, the truth beside the counts.
- `preset_specs`: Specs that come with the package, and small scans of them kept ready.
- `demo_scan_file`: The scan that comes with the package: the preset ``demo``, kept as a HyperSpy
  file.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
