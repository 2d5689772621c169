"""How long a map takes, from the file in the page cache to the mask.

    python benchmarks/classifier_speed.py FOLDER

Scans of random counts over 30 disks whose intensities follow three classes; what is in them does
not matter for the time. Three files are written to FOLDER (4.3 GB) unless they are there. Features
are cached in a folder that is thrown away, so that the first map reads the scan. For comparison the
plain baseline: PCA-20 of Anscombe counts and logistic regression, with scikit-learn.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

SCANS = {"4096 x 128": (64, 64, 128), "7004 x 128": (206, 34, 128), "7004 x 512": (206, 34, 512)}


def make(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Write a scan unless it is there; return its classes."""
    ny, nx, side = shape
    rng = np.random.default_rng(0)
    classes = 1 + (np.arange(nx) * 3 // nx + np.arange(ny)[:, None] * 4 // ny) % 3
    if path.exists():
        return classes
    places = rng.uniform(0.1, 0.9, (30, 2)) * side
    far = np.indices((side, side))[None] - places[:, :, None, None]
    disks = (np.hypot(far[:, 0], far[:, 1]) < side / 28).reshape(30, -1)
    of_class = rng.uniform(1, 3, (4, 30)) * 128**2 / side**2
    data = np.lib.format.open_memmap(path, "w+", np.uint16, (ny, nx, side, side))
    for y in range(ny):
        swing = 1 + 0.3 * np.sin(0.05 * y + np.arange(30))
        mean = 0.2 * 128**2 / side**2 + (of_class[classes[y]] * swing) @ disks
        data[y] = rng.poisson(mean).reshape(nx, side, side)
    return classes


def timed(function: Callable[[], object], times: int) -> float:
    """Return the median seconds of a call."""
    found = []
    for _ in range(times):
        begin = time.perf_counter()
        function()
        found.append(time.perf_counter() - begin)
    return float(np.median(found))


def plain(path: Path, labels: np.ndarray) -> np.ndarray:
    """Return the classes of the plain baseline."""
    counts = np.load(path, mmap_mode="r")
    flat = counts.reshape(labels.size, -1)
    values = 2 * np.sqrt(flat + np.float32(0.375), dtype=np.float32)
    found = PCA(20, whiten=True, svd_solver="randomized", random_state=0).fit_transform(values)
    known = labels.ravel() > 0
    fitted = LogisticRegression(max_iter=1000).fit(found[known], labels.ravel()[known])
    return fitted.predict(found)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, shape in SCANS.items():
        path = folder / f"{name.replace(' ', '')}.npy"
        truth = make(path, shape)
        np.load(path, mmap_mode="r").reshape(len(truth), -1).max(axis=1)  # into the page cache
        labels = np.zeros(truth.shape, np.int64)
        chosen = np.random.default_rng(1).choice(truth.size, 50, replace=False)
        labels.ravel()[chosen] = truth.ravel()[chosen]
        firsts, again, asked = [], [], []
        for _ in range(3):
            with tempfile.TemporaryDirectory() as cache:
                firsts.append(in_a_process(path, labels, cache))
        for begin in firsts:
            again.append(begin[1])
            asked.append(begin[2])
        first = float(np.median([begin[0] for begin in firsts]))
        line = (
            f"{name}: open and first map {first:.2f} s, correction to map "
            f"{np.median(again):.2f} s, suggest {np.median(asked):.2f} s"
        )
        if shape[2] <= 128:
            line += f", plain baseline {timed(lambda p=path, n=labels: plain(p, n), 3):.2f} s"
        print(line, flush=True)


def in_a_process(path: Path, labels: np.ndarray, cache: str) -> tuple[float, float, float]:
    """Return seconds of first map, second map and suggestion in a process of their own."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.environ["XDG_CACHE_HOME"] = cache
        from napari_ferro4d import classify, open_scan, suggest

        begin = time.perf_counter()
        scan = open_scan(path)
        classify(scan, labels)
        first = time.perf_counter() - begin
        corrected = labels.copy()
        corrected[0, 0] = 1
        again = timed(lambda: classify(scan, corrected), 5)
        asked = timed(lambda: suggest(scan, corrected), 5)
        os.write(writing, f"{first} {again} {asked}".encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        first, again, asked = (float(n) for n in told.read().split())
    return first, again, asked


if __name__ == "__main__":
    main()
