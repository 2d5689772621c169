"""One pass over a scan gives real-space maps; knows neither Qt nor napari.

Files, in reading order:

- `reductions`: What a reduction is: what a block of patterns gives, how parts merge, what result
  comes out.
- `engine`: Run reductions: one pass over the scan for all of them.
- `block_sums`: What one block of patterns gives for several reductions at once.
- `flat_patterns`: Patterns as the compiled loops read them: one flat array, and the steps between
  rows.
- `kernels`: Compiled inner loops: each pattern is read once, sums of integers stay integers.
- `pixel_kernels`: Compiled inner loops over single detector pixels and rings of them; see
  `kernels`.
- `intrinsics`: Machine instructions, and promises to the compiler, that numba has no name for.
- `dask_cluster`: Run reductions on a dask.distributed cluster: workers open the source themselves.
- `mean_patterns`: Mean patterns, and the beam centre found in them.
- `com_maps`: Centre of mass of every pattern: where the beam went.
- `cleaning`: Mask, background and threshold of the centre of mass, as a user types them.
- `colours`: Vector fields as colour: hue is the direction, brightness the magnitude.
- `detectors`: Virtual detectors: which detector pixels count.
- `segments`: Virtual detectors cut into the rectangles that the compiled loops add up.
- `virtual_detector`: Virtual images: the counts in a part of the detector, per probe position.
- `saturation`: How many detector pixels are saturated in every pattern, counted in a pass that
  others need.
- `saturation_kernel`: Compiled inner loop: how many counts of a pattern reach a level.
- `scan_preview`: A first look at a scan in real space, without reading it all.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
