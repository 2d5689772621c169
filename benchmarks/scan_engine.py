"""Speed of opening and reducing scans, as ratios to peers and limits in one run.

    python benchmarks/scan_engine.py [FOLDER]

Writes files of 2 GB to FOLDER (a temporary one by default) and reads them from the page cache.
LiberTEM is compared where it is installed (`pip install libertem`). Runs alternate between the
contestants and the median is kept, so that a busy machine slows all of them.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numba
import numpy as np

from napari_ferro4d import com, open_scan, virtual
from napari_ferro4d.io import over_blocks
from napari_ferro4d.reduce import (
    Disk,
    centre_of_mass,
    reduce_scan,
    region_means,
    virtual_images,
)

SHAPE = (128, 128, 256, 256)
ROUNDS = 5


@numba.njit(nogil=True)
def bare_sum(block: np.ndarray) -> int:
    """Add up all counts and do nothing else: the least a pass over the data can do."""
    total = np.uint64(0)
    for y in range(block.shape[0]):
        for x in range(block.shape[1]):
            for ky in range(block.shape[2]):
                row = block[y, x, ky]
                part = np.uint32(0)
                for i in range(len(row)):
                    part += np.uint32(row[i])
                total += part
    return total


def median_seconds(contestants: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Time each contestant in turn, `ROUNDS` times after one warm-up."""
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for round_ in range(ROUNDS + 1):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            if round_:
                taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in taken.items()}


def write_npy(path: Path) -> None:
    rng = np.random.default_rng(0)
    block = rng.poisson(3, SHAPE[1:]).astype(np.uint16)
    array = np.lib.format.open_memmap(path, "w+", np.uint16, SHAPE)
    for y in range(SHAPE[0]):
        array[y] = np.roll(block, y, axis=0)
    array.flush()


def write_mib(path: Path, npy: Path) -> None:
    counts = np.load(npy, mmap_mode="r").reshape(-1, *SHAPE[2:])
    with path.open("wb") as file:
        for number, frame in enumerate(counts):
            head = (
                f"MQ1,{number + 1:06d},00384,01,{SHAPE[3]:04d},{SHAPE[2]:04d},U16,   1x1,01,"
                "2020-01-01 12:00:00.000000,0.001000,0,0,0,1.2E+2,"
                "MQ1A,2020-01-01T12:00:00.000000000Z,1000000ns,12"
            )
            file.write(head.ljust(384).encode())
            file.write(frame.astype(">u2").tobytes())
    path.with_suffix(".hdr").write_text(
        f"HDR,\t\nFrames in Acquisition (Number):\t{SHAPE[0] * SHAPE[1]}\n"
        f"Frames per Trigger (Number):\t{SHAPE[1]}\nEnd\t\n"
    )


OPEN = """
import os, resource, sys, time
import napari_ferro4d, numpy, dask.array
from napari_ferro4d.reduce import preview
from napari_ferro4d import open_scan
def rss():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
before, start = rss(), time.perf_counter()
scan = open_scan(sys.argv[1])
scan.data[0, 0].compute()
preview(scan)
print(time.perf_counter() - start, (rss() - before) / 1e6)
"""


def opening(path: Path) -> tuple[float, float]:
    """Seconds and MB of opening a scan, its first pattern and its preview, in a new process."""
    runs = [
        subprocess.run(
            [sys.executable, "-c", OPEN, path], capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(3)
    ]
    return tuple(statistics.median(float(run[i]) for run in runs) for i in range(2))


def libertem_com(kind: str, path: Path, **options: object) -> Callable[[], object] | None:
    try:
        from libertem.api import Context
    except ImportError:
        return None
    context = Context.make_with("inline") if os.cpu_count() == 1 else Context(executor=None)
    dataset = context.load(kind, path=str(path), **options)
    analysis = context.create_com_analysis(dataset=dataset, cx=127.5, cy=127.5, mask_radius=None)
    return lambda: context.run(analysis)


def write_compressed(folder: Path, npy: Path) -> dict[str, Path]:
    """Write a quarter of the scan compressed, eight patterns to a chunk."""
    import h5py
    import hdf5plugin
    import zarr

    counts = np.load(npy, mmap_mode="r")[: SHAPE[0] // 4]
    chunks = (1, 8, *SHAPE[2:])
    ways = {"HDF5 gzip": {"compression": "gzip"}, "HDF5 bitshuffle lz4": hdf5plugin.Bitshuffle()}
    paths = {}
    for name, options in ways.items():
        paths[name] = folder / f"{name.replace(' ', '-')}.h5"
        if not paths[name].exists():
            with h5py.File(paths[name], "w") as file:
                file.create_dataset("scan/data", data=counts, chunks=chunks, **options)
    paths["zarr blosc"] = folder / "blosc.zarr"
    if not paths["zarr blosc"].exists():
        codec = zarr.codecs.BloscCodec(cname="lz4", shuffle="bitshuffle")
        zarr.create_array(paths["zarr blosc"], data=counts, chunks=chunks, compressors=codec)
    return paths


def compressed(folder: Path, npy: Path) -> list[tuple[str, str]]:
    """Compare centre of mass with decoding the same blocks by the same threads and no more."""
    rows = []
    for name, path in write_compressed(folder, npy).items():
        scan = open_scan(path)
        seconds = median_seconds(
            {
                "decode": lambda scan=scan: [
                    None for _ in over_blocks(scan, lambda block, place: None)
                ],
                "com": lambda scan=scan: com(scan, centre=(127.5, 127.5)),
            }
        )
        rows.append((f"{name}, com", f"{seconds['com'] / seconds['decode']:.2f} x decoding alone"))
    return rows


LARGER = """
import os, sys, threading, time
from napari_ferro4d import com, open_scan
def rss():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
most, done = [rss()], threading.Event()
def watch():
    while not done.wait(0.02):
        most[0] = max(most[0], rss())
threading.Thread(target=watch).start()
start = time.perf_counter()
com(open_scan(sys.argv[1]), centre=(127.5, 127.5))
taken = time.perf_counter() - start
done.set()
print(taken, most[0])
"""


def larger_than_memory(folder: Path) -> tuple[str, str]:
    """Reduce a sparse file half as large again as the memory, and watch the process."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    rows = int(1.5 * memory / (256 * 256 * 256 * 2))
    path = folder / "larger.npy"
    np.lib.format.open_memmap(path, "w+", np.uint16, (rows, 256, 256, 256)).flush()
    size = path.stat().st_size / 1e9
    output = subprocess.run(
        [sys.executable, "-c", LARGER, path], capture_output=True, text=True, check=True
    ).stdout.split()
    path.unlink()
    taken, most = float(output[0]), float(output[1])
    return f"sparse file of {size:.0f} GB, com", f"{taken:.0f} s, at most {most:.0f} MB in memory"


def cluster(path: Path) -> tuple[str, str]:
    """Compare one worker of one thread with two."""
    from distributed import Client, LocalCluster

    scan, seconds = open_scan(path), {}
    for workers in (1, 2):
        with (
            LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=":0", silence_logs=50
            ) as local,
            Client(local, set_as_default=False) as client,
        ):
            run = {"com": lambda client=client: com(scan, centre=(127.5, 127.5), client=client)}
            seconds[workers] = median_seconds(run)["com"]
    ratio = seconds[1] / seconds[2]
    name = f"two local workers, {path.name}"
    return name, f"{ratio:.2f} x as fast as one ({seconds[2]:.2f} s)"


def agreement(npy: Path) -> tuple[str, str]:
    """Compare our centre of mass with LiberTEM's."""
    theirs = libertem_com("npy", npy, sig_dims=2)()  # type: ignore[misc]
    maps = com(open_scan(npy), centre=(127.5, 127.5))
    apart = max(
        float(np.abs(ours - peer.raw_data).max())
        for ours, peer in ((maps.com_x, theirs.x), (maps.com_y, theirs.y))
    )
    return "largest difference to LiberTEM's centre of mass", f"{apart:.1e} pixels"


def report(rows: list[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:{width}}  {value}", flush=True)


def main(folder: Path) -> None:
    npy, mib = folder / "scan.npy", folder / "scan.mib"
    if not npy.exists():
        write_npy(npy)
    if not mib.exists():
        write_mib(mib, npy)
    gigabytes = np.prod(SHAPE) * 2 / 1e9
    versions = ", ".join(
        f"{name} {metadata.version(name)}"
        for name in ("napari-ferro4d", "numpy", "numba", "libertem")
        if name != "libertem" or libertem_installed()
    )
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; {versions}")

    scan, big_endian = open_scan(npy), open_scan(mib)  # the peers have opened theirs, too
    middle = (127.5, 127.5)
    centre = centre_of_mass(scan, centre=middle)
    disks = virtual_images(scan, [Disk(20)] * 8, [(40 + 20 * i, 100) for i in range(8)])
    mean = region_means(scan, np.ones(SHAPE[:2], int))
    contestants: dict[str, Callable[[], object]] = {
        "bare": lambda: [None for _ in over_blocks(scan, lambda block, place: bare_sum(block))],
        "com": lambda: com(scan, centre=middle),
        "all": lambda: reduce_scan(scan, [centre, disks, mean]),
        "disk": lambda: virtual(scan, Disk(20), centre=middle),
        "mib": lambda: com(big_endian, centre=middle),
    }
    peers = {
        "libertem": libertem_com("npy", npy, sig_dims=2),
        "libertem mib": libertem_com("mib", mib, nav_shape=SHAPE[:2]),
    }
    contestants |= {name: run for name, run in peers.items() if run is not None}
    seconds = median_seconds(contestants)
    rows = [
        ("bare sum of all counts", f"{gigabytes / seconds['bare']:.1f} GB/s"),
        ("centre of mass + sum", f"{gigabytes / seconds['com']:.1f} GB/s"),
        ("  of the bare sum's rate", f"{100 * seconds['bare'] / seconds['com']:.0f} %"),
        ("8 detectors + com + mean", f"{seconds['all'] / seconds['com']:.2f} x the time of com"),
        ("virtual disk, radius 20", f"{1e3 * seconds['disk']:.0f} ms"),
        ("com of big-endian .mib", f"{gigabytes / seconds['mib']:.1f} GB/s"),
    ]
    for ours, peer in (("com", "libertem"), ("mib", "libertem mib")):
        if peer in seconds:
            rows.append((f"{peer}, com", f"{gigabytes / seconds[peer]:.2f} GB/s"))
            rows.append(("  ours is faster by", f"{seconds[peer] / seconds[ours]:.1f} x"))
    for path in (npy, mib):
        taken, memory = opening(path)
        rows.append((f"opening {path.suffix} with preview", f"{taken:.2f} s, {memory:.0f} MB"))
    rows += compressed(folder, npy)
    rows += [cluster(path) for path in (npy, folder / "HDF5-gzip.h5")]
    if libertem_installed():
        rows.append(agreement(npy))
    rows.append(larger_than_memory(folder))
    report(rows)


def libertem_installed() -> bool:
    try:
        metadata.version("libertem")
    except metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(Path(folder))
