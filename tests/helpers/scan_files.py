"""One scan in every file format, written as the instruments write it.

Used by the tests of the formats, by the mutator (``test_mutations.py`` and
``benchmarks/mutate_files.py``), and by ``benchmarks/opening.py``, which has large ones written.
Every writer takes a folder, and the counts ``[y, x, ky, kx]``, and returns the path to open. Counts
whose rows are all the same array (``np.broadcast_to``) are written without filling the memory.
"""

from __future__ import annotations

from functools import partial

from helpers.scan_containers import (
    write_abtem,
    write_abtem_later,
    write_dectris,
    write_emd,
    write_emdfile,
    write_hspy,
    write_images,
    write_ncem,
    write_nexus,
    write_packed_tiff,
    write_prismatic,
    write_py4dstem_0_9,
    write_tiff,
    write_topspin,
    write_zarr,
    write_zspy,
)
from helpers.scan_counts import CENTRE, COUNTS, K_STEP, SCAN_STEP, SHAPE
from helpers.scan_frames import (
    EMPAD_COUNTS,
    EMPAD_XML,
    RAW_HINTS,
    write_blockfile,
    write_empad,
    write_gatan,
    write_gatan_3,
    write_gatan_detector_slow,
    write_mib,
    write_mib_series,
    write_mrc,
    write_npy,
    write_raw,
    write_raw_mib,
    write_tvips,
)

__all__ = [
    "CENTRE",
    "COUNTS",
    "EMPAD_COUNTS",
    "EMPAD_XML",
    "K_STEP",
    "SCAN_STEP",
    "SHAPE",
    "WRITERS",
]

STACK = {"scan_shape": (3, 4)}
WRITERS = {
    "npy": (write_npy, {}),
    "mib": (write_mib, {}),
    "mib raw": (write_raw_mib, {}),
    "mib series": (write_mib_series, {}),
    "blo": (write_blockfile, {}),
    "tvips": (write_tvips, STACK),
    "mrc": (write_mrc, {}),
    "empad": (write_empad, {}),
    "raw": (write_raw, {**STACK, **RAW_HINTS}),
    "emdfile": (write_emdfile, {}),
    "py4DSTEM 0.9": (write_py4dstem_0_9, {}),
    "Prismatic": (write_prismatic, {}),
    "EMD-NCEM": (write_ncem, {}),
    "EMD-NCEM, chunks": (partial(write_ncem, chunks=(5, 6, 4, 3)), {}),
    "EMD-NCEM, scan first": (write_emd, {}),
    "NeXus": (write_nexus, {}),
    "hspy": (write_hspy, {}),
    "zspy": (write_zspy, {}),
    "zarr": (write_zarr, {}),
    "zarr, version 2": (partial(write_zarr, zarr_format=2), {}),
    "zarr, shards": (partial(write_zarr, shards=(2, 4, 16, 16)), {}),
    "abTEM": (write_abtem, {}),
    "abTEM, later": (write_abtem_later, {}),
    "dectris": (write_dectris, {}),
    "topspin": (write_topspin, {}),
    "gatan": (write_gatan, {}),
    "gatan, version 3": (write_gatan_3, {}),
    "gatan, detector slow": (write_gatan_detector_slow, {}),
    "tiff": (write_tiff, STACK),
    "tiff, packed": (write_packed_tiff, STACK),
    "images": (write_images, {}),
}
"""For every format the writer, and the hints that the file needs."""
