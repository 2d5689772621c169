"""Files to raw scans, and safe writing: axes, units, scan geometry, lazy stacks.

Knows no Qt and no torch.

Files and rooms, in reading order:

- `stored`: What a file holds, before it is a scan, and what a file format is.
- `open_options`: What can be said about a scan file: how the beam went, how the bytes lie, what to
  correct.
- `formats`: The readers, one a vendor or kind of file, and their helpers.
- `units`: Units as files spell them, to nm and 1/angstrom.
- `axes`: Axes as files state them: scale, offset and unit, to steps, a centre and the order of
  axes.
- `stacks`: Runs of patterns that are read when asked for: joined from parts, and cut into scan
  rows.
- `scan_geometry`: From patterns in the order of their recording to a scan: rows, flyback, snakes,
  missing ends.
- `blocks`: One pass over a scan: every block of patterns is read once, by all cores, merged in
  order; progress and cancel between two.
- `memory_pages`: Pages of mapped files: looked at once, they count as this process's memory until
  let go.
- `atomic`: Writes that either happen or do not: a temporary neighbour, then one rename.
- `label_images`: Label images of any program: `.npy`, `.tif`, OME-Zarr.
- `results_mark`: The mark by which a results folder is known from other folders.
- `toml_types`: Values as TOML has them, against the types of dataclass fields.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
