"""How long a scan of 2 GB takes to open in every format, and how much memory.

    python benchmarks/opening.py [--folder FOLDER] [--layouts NAME,,NAME]

Writes one file or folder after the other (with the writers of ``tests/helpers``), measures and
removes it. Measured, each time in a new process: opening, the first pattern and the preview,
three times, the median; what is imported for it is imported before. The files come from the page
cache. On a busy machine the seconds of all cores say more than those of the clock. Compressed
pieces hold real noise; all of a file are copies of one, so that writing is fast.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from helpers.scan_containers import (
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
from helpers.scan_frames import (
    RAW_HINTS,
    write_blockfile,
    write_empad,
    write_gatan,
    write_gatan_detector_slow,
    write_mib,
    write_mib_series,
    write_mrc,
    write_npy,
    write_raw,
    write_raw_mib,
    write_tvips,
)

ROUNDS = 3
SECONDS, MEGABYTES = 0.5, 200.0

OPEN = """
import ast, os, sys, time
import dask.array, distributed, h5py, hdf5plugin, numpy, tifffile, zarr
import PIL.Image, PIL.PngImagePlugin, rsciio.digitalmicrograph._api
from napari_ferro4d import open_scan
from napari_ferro4d.reduce import preview
def rss():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
before, busy, start = rss(), time.process_time(), time.perf_counter()
scan = open_scan(sys.argv[1], **ast.literal_eval(sys.argv[2]))
scan.data[0, 0].compute()
preview(scan)
taken, busy = time.perf_counter() - start, time.process_time() - busy
print(taken, busy, (rss() - before) / 1e6, *scan.shape, scan.dtype)
"""


def noise(ny: int, nx: int, ky: int, kx: int, dtype: Any = np.uint16) -> np.ndarray:
    """Return counts ``[y, x, ky, kx]`` whose rows are one and the same array."""
    row = np.random.default_rng(0).poisson(3, (1, nx, ky, kx)).astype(dtype)
    return np.broadcast_to(row, (ny, nx, ky, kx))


def scan() -> np.ndarray:
    """Return a scan of 2.1 GB."""
    return noise(128, 128, 256, 256)


def mib(kind: str) -> Callable[[Path], Path]:
    """Return a writer of Merlin frames: of one chip or four, or a file for every row."""
    if kind == "four chips":
        return lambda folder: write_mib(folder, noise(64, 64, 512, 512), chips=4)
    if kind == "series":
        return lambda folder: write_mib_series(folder, scan())
    return lambda folder: write_mib(folder, scan())


def raw_mib(depth: int, side: int) -> Callable[[Path], Path]:
    """Return a writer of raw Merlin frames of four chips, `side` x `side` of them."""

    def write(folder: Path) -> Path:
        from helpers.scan_frames import mib_header, write_hdr

        bits = 1 if depth == 1 else 8
        rng = np.random.default_rng(0)
        packed = [rng.bytes(512 * 512 * bits // 8) for _ in range(16)]
        if depth == 6:
            packed = [bytes(b & 63 for b in frame) for frame in packed]
        path = folder / "raw.mib"
        with path.open("wb") as file:
            for number in range(side * side):
                file.write(mib_header(number, (256, 1024), "R64", depth, chips=4, row=side))
                file.write(packed[number % 16])
        write_hdr(path.with_suffix(".hdr"), side * side, side)
        return path

    return write


def of(write: Callable[..., Path], counts: Callable[[], np.ndarray] = scan, **more: Any) -> Any:
    """Return a writer of `counts`, which are made when it is called."""
    return lambda folder: write(folder, counts(), **more)


GZIP = {"compression": "gzip"}
STACK = {"scan_shape": (128, 128)}
FLOATS = partial(noise, 64, 128, 256, 256, np.float32)

LAYOUTS: dict[str, tuple[Callable[[Path], Path], dict[str, Any]]] = {
    "npy": (of(write_npy), {}),
    "raw, gap between patterns": (
        of(write_raw),
        {**RAW_HINTS, **STACK, "detector_shape": (256, 256)},
    ),
    "Merlin .mib, one chip, 12 bit": (mib("one chip"), {}),
    "Merlin .mib, four chips, 12 bit": (mib("four chips"), {}),
    "Merlin .mib, a file per row": (mib("series"), {}),
    "Merlin raw .mib, one chip, 12 bit": (of(write_raw_mib), {"scan_shape": (128, 128)}),
    "Merlin raw .mib, four chips, 1 bit": (raw_mib(1, 256), {}),
    "Merlin raw .mib, four chips, 6 bit": (raw_mib(6, 90), {}),
    "EMPAD": (of(write_empad, partial(noise, 180, 180, 128, 128, np.float32)), {}),
    "blockfile": (of(write_blockfile, partial(noise, 256, 128, 256, 256, np.uint8)), {}),
    "TVIPS, 3 files": (of(write_tvips, parts=3), STACK),
    "Direct Electron .mrc": (of(write_mrc), {}),
    "Gatan .dm4": (of(write_gatan), {}),
    "Gatan .dm4, detector axes slow": (
        of(write_gatan_detector_slow, partial(noise, 256, 256, 128, 128)),
        {},
    ),
    "Dectris, 29 files, bitshuffle-LZ4": (
        of(write_dectris, partial(noise, 170, 170, 192, 192), images=1000),
        {},
    ),
    "TopSpin .app5": (of(write_topspin), {}),
    "NeXus, gzip, 4 patterns a chunk": (of(write_nexus), {}),
    "py4DSTEM 0.14, contiguous": (of(write_emdfile, layout={}), {}),
    "py4DSTEM 0.14, gzip, 2 patterns a chunk": (of(write_emdfile), {}),
    "py4DSTEM 0.14, gzip, h5py's own chunks": (
        of(write_emdfile, layout={"chunks": (8, 8, 16, 32), **GZIP}),
        {},
    ),
    "py4DSTEM 0.9": (of(write_py4dstem_0_9), {}),
    "EMD (NCEM)": (of(write_emd), {}),
    "EMD as HyperSpy writes it, [kx, ky, x, y]": (
        of(write_ncem, partial(noise, 256, 256, 128, 128), chunks=(5, 6, 128, 128)),
        {},
    ),
    "Prismatic, float32": (of(write_prismatic, FLOATS), {}),
    "abTEM .zarr, float32, 8 x 8 patterns a chunk": (
        of(write_abtem_later, FLOATS, chunks=(8, 8, 256, 256)),
        {},
    ),
    "HyperSpy .hspy, gzip": (of(write_hspy), {}),
    "HyperSpy .zspy, 100 MB a chunk": (of(write_zspy, chunks=(27, 28, 256, 256)), {}),
    "zarr v2, 2 x 2 patterns a chunk": (of(write_zarr, zarr_format=2), {}),
    "zarr v3, 2 x 2 patterns a chunk": (of(write_zarr), {}),
    "zarr v3, shards of 16 x 16 patterns": (of(write_zarr, shards=(16, 16, 256, 256)), {}),
    "TIFF stack": (of(write_tiff), STACK),
    "TIFF stack, zlib": (
        of(write_packed_tiff, partial(noise, 32, 128, 256, 256)),
        {"scan_shape": (32, 128)},
    ),
    "folder of 16384 PNG, 64 x 64": (of(write_images, partial(noise, 128, 128, 64, 64)), {}),
}
"""For every layout the writer, and the hints that the file needs."""


def measured(path: Path, hints: dict[str, Any]) -> tuple[list[float], str]:
    """Return the median seconds, seconds of all cores and MB of opening `path`; and its shape."""
    runs = []
    for _ in range(ROUNDS):
        done = subprocess.run(
            [sys.executable, "-c", OPEN, path, repr(hints)], capture_output=True, text=True
        )
        if done.returncode:
            return [float("nan")] * 3, done.stderr.strip().splitlines()[-1]
        runs.append(done.stdout.split())
    median = [statistics.median(float(run[i]) for run in runs) for i in range(3)]
    return median, " x ".join(runs[0][3:7]) + " " + runs[0][7]


def size_of(folder: Path) -> float:
    """Return the GB of all files in `folder`."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e9


def main() -> int:
    """Print a markdown table; return 1 if something took too long or too much."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, help="where to write (a temporary one)")
    parser.add_argument("--layouts", default=",,".join(LAYOUTS), help="separated by ,,")
    args = parser.parse_args()
    print("| layout | scan | GB stored | seconds | seconds of all cores | MB |")
    print("|---|---|---|---|---|---|")
    missed = 0
    for name in args.layouts.split(",,"):
        write, hints = LAYOUTS[name]
        folder = Path(tempfile.mkdtemp(prefix="ferro4d-", dir=args.folder))
        try:
            path = write(folder)
            stored = size_of(folder)
            (seconds, busy, megabytes), what = measured(path, hints)
        finally:
            shutil.rmtree(folder)
        row = f"{name} | {what} | {stored:.1f} | {seconds:.2f} | {busy:.2f} | {megabytes:.0f}"
        print(f"| {row} |", flush=True)
        missed += not (seconds < SECONDS and megabytes < MEGABYTES)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
