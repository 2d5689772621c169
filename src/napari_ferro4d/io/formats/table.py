"""The file formats, in one table."""

from __future__ import annotations

from napari_ferro4d.io.stored import Format, scan_axes

from .blockfile import read_blockfile
from .dectris import dectris_axes, read_dectris
from .direct_electron import mrc_axes, read_mrc
from .empad import empad_axes, read_empad
from .gatan import gatan_axes, read_gatan
from .hdf5 import hdf5_axes, read_hdf5
from .images import images_axes, read_images, read_tiff, tiff_axes
from .merlin import mib_axes, read_mib
from .npy import npy_axes, read_npy
from .raw import raw_axes, read_raw
from .topspin import read_topspin, topspin_axes
from .tvips import read_tvips, tvips_axes
from .zarr_store import read_zarr, zarr_axes

FORMATS: tuple[Format, ...] = (
    Format("npy", (".npy",), npy_axes, read_npy),
    Format("mib", (".mib", ".hdr"), mib_axes, read_mib, only_scans=True),
    Format("blo", (".blo",), scan_axes, read_blockfile, only_scans=True),
    Format("empad", (".raw", ".xml"), empad_axes, read_empad),
    Format("tvips", (".tvips",), tvips_axes, read_tvips, only_scans=True),
    Format("mrc", (".mrc",), mrc_axes, read_mrc),
    Format("raw", (".bin",), raw_axes, read_raw),
    Format("gatan", (".dm3", ".dm4"), gatan_axes, read_gatan),
    Format("hspy", (".hspy",), hdf5_axes, read_hdf5, only_scans=True),
    Format("zspy", (".zspy",), zarr_axes, read_zarr, only_scans=True),
    Format("dectris", ("_master.h5",), dectris_axes, read_dectris),
    Format("topspin", (".app5",), topspin_axes, read_topspin),
    Format("hdf5", (".h5", ".hdf5", ".hdf", ".emd", ".nxs"), hdf5_axes, read_hdf5),
    Format("zarr", (".zarr",), zarr_axes, read_zarr),
    Format("tiff", (".tif", ".tiff"), tiff_axes, read_tiff),
    Format("images", (), images_axes, read_images),
)
"""Every format that can be read. Of two endings that fit a name the longer decides."""
