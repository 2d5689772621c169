"""Results as files: the results folder (OME-Zarr), label images, TIFF, figures.

Files, in reading order:

- `folder`: Results as one OME-Zarr (0.5) folder: maps, label images and where they come from.
- `ome_images`: One map or label image as an OME-Zarr (0.5) group, there and back.
- `analysis_entries`: What each analysis writes to a results folder, under the names other tools
  rely on.
- `classification_maps`: Maps made of the probabilities of a classification: how sure, and all
  classes in colours.
- `embedding_parts`: What is read from an embedding as parts of a results folder, and back.
- `named_labels`: Label images with the names and colours of their classes, where the file has
  them.
- `tiff`: Single maps as TIFF files that ImageJ and napari read.
- `figures`: Figures of results: maps side by side, each with a scale bar and what it shows.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
