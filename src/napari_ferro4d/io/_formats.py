"""The file formats, in one table."""

from __future__ import annotations

from ._containers import hdf5_axes, read_hdf5, read_zarr, rosetta, zarr_axes
from ._merlin import read_mib
from ._stored import Format, scan_axes
from ._uncompressed import npy_axes, read_npy

FORMATS: tuple[Format, ...] = (
    Format("npy", (".npy",), npy_axes, read_npy),
    Format("mib", (".mib",), scan_axes, read_mib, only_scans=True),
    rosetta("hspy", ".hspy", "hspy"),
    Format("zspy", (".zspy",), zarr_axes, read_zarr, only_scans=True),
    Format("hdf5", (".h5", ".hdf5", ".emd"), hdf5_axes, read_hdf5),
    rosetta("blockfile", ".blo", "blo"),
    Format("zarr", (".zarr",), zarr_axes, read_zarr),
)
