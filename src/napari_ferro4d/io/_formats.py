"""The file formats, in one table."""

from __future__ import annotations

from ._blockfile import read_blockfile
from ._containers import hdf5_axes, read_hdf5, read_zarr, rosetta, zarr_axes
from ._empad import empad_axes, read_empad
from ._merlin import read_mib
from ._mrc import mrc_axes, read_mrc
from ._raw import raw_axes, read_raw
from ._stored import Format, scan_axes
from ._tvips import read_tvips, tvips_axes
from ._uncompressed import npy_axes, read_npy

FORMATS: tuple[Format, ...] = (
    Format("npy", (".npy",), npy_axes, read_npy),
    Format("mib", (".mib",), scan_axes, read_mib, only_scans=True),
    Format("blockfile", (".blo",), scan_axes, read_blockfile, only_scans=True),
    Format("empad", (".raw", ".xml"), empad_axes, read_empad),
    Format("tvips", (".tvips",), tvips_axes, read_tvips, only_scans=True),
    Format("mrc", (".mrc",), mrc_axes, read_mrc),
    Format("raw", (".bin",), raw_axes, read_raw),
    rosetta("hspy", ".hspy", "hspy"),
    Format("zspy", (".zspy",), zarr_axes, read_zarr, only_scans=True),
    Format("hdf5", (".h5", ".hdf5", ".emd"), hdf5_axes, read_hdf5),
    Format("zarr", (".zarr",), zarr_axes, read_zarr),
)
