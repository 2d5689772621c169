"""The readers, one a vendor or kind of file, and their helpers.

Files, in reading order:

- `table`: The file formats, in one table.
- `merlin`: Quantum Detectors Merlin: `.mib`, frames with a text header each, and `.hdr` beside
  them.
- `merlin_series`: A Merlin acquisition in several files, ``name1.mib``, ``name2.mib``, ...
- `empad`: EMPAD: `.raw`, 130 rows of 128 float32 per pattern of which 128 are the image, and its
  `.xml`.
- `dectris`: Dectris detectors (Arina, Eiger, Quadro): `_master.h5`, which links to the files of
  the data.
- `tvips`: TVIPS recorder files, `name_000.tvips`, `name_001.tvips`, ...: frames with a header
  each.
- `gatan`: Gatan DigitalMicrograph, `.dm3` and `.dm4`: RosettaSciIO finds the arrays, which are
  mapped.
- `direct_electron`: MRC stacks, `.mrc`, and what Direct Electron's server writes beside them in
  `_info.txt`.
- `blockfile`: NanoMEGAS blockfiles, `.blo`: 8-bit patterns, each after six bytes.
- `topspin`: NanoMEGAS TopSpin, `.app5`: HDF5 with one dataset per pattern and XML that says where
  it was.
- `hdf5`: HDF5 files: py4DSTEM (both layouts), EMD, Prismatic, NeXus, HyperSpy's `.hspy`.
- `hdf5_chunks`: HDF5 datasets in chunks that are not compressed, read without the library.
- `hdf5_heaps`: A look at the heaps of an HDF5 file, in which it keeps text and names, before the
  library does.
- `zarr_store`: Zarr stores, version 2 or 3, folder or zip: HyperSpy's `.zspy`, abTEM, and ours.
- `blosc`: Zarr arrays whose chunks Blosc packed: looked at before Blosc sees them, and read in
  parts.
- `images`: Patterns as images: a TIFF stack, or a folder of images whose names say where they
  belong.
- `npy`: numpy's `.npy`.
- `raw`: Files without a header: the user says how the counts lie.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
