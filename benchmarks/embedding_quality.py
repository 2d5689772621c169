"""What single channels of an embedding tell of simulated scans whose truth is known.

    python benchmarks/embedding_quality.py FOLDER [--seeds 0 1 2] [--electrons 2e5] [--methods ...]
        [--specimens 0 1 2 3 4 5] [--epochs N]

For every preset of the autoencoder and every seed, on `ermno3-domains` and `ermno3-vortex` with
64 x 64 positions and 128 x 128 pixels: the area under the ROC curve of the best channel for the
sign of P, for walls, and among walls for head-to-head against tail-to-tail, with the seconds for
reading, training and embedding. "shuffled" is the compact preset on the same patterns in random
order: there nothing is abrupt, so that no channel is found before training.

With `--specimens`, other specimens than that of the preset, each with its own noise; a row for
each. What is found before training stays as it is, so that `--epochs 1` scores it in less time.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from embedding_specimens import SPECIMENS, other_specimen
from napari_ferro4d import Scan, open_scan
from napari_ferro4d.learn import embed, train
from napari_ferro4d.simulate import ScanTruth, preset, truth, write_scan

METHODS: dict[str, dict[str, Any]] = {
    "PCA": {"preset": "pca"},
    "NMF": {"preset": "nmf"},
    "ICA": {"preset": "ica"},
    "beta-VAE, shuffled": {"preset": "compact", "variational": True},
    "compact, shuffled": {"preset": "compact"},
    "compact": {"preset": "compact"},
}
SCANS = ("ermno3-domains", "ermno3-vortex")


def made(folder: Path, name: str, seed: int, electrons: float, specimen: int | None = None) -> Path:
    """Return the path of a scan, simulated unless it is there."""
    which = "" if specimen is None else f"-specimen{specimen}"
    path = folder / f"{name}-{electrons:.0e}-{seed}{which}.zarr"
    if not path.exists():
        spec = preset(f"{name}-small")
        if specimen is not None:
            spec = other_specimen(spec, *SPECIMENS[name][specimen])
        write_scan(replace(spec, seed=seed, scan=replace(spec.scan, electrons=electrons)), path)
    return path


def auc(values: np.ndarray, positive: np.ndarray) -> float:
    from scipy.stats import rankdata

    inside, outside = np.count_nonzero(positive), np.count_nonzero(~positive)
    ranks = rankdata(values)[positive].sum() - inside * (inside + 1) / 2
    return float(ranks / (inside * outside))


def best(channels: np.ndarray, positive: np.ndarray, among: np.ndarray) -> float:
    """Return the area of the channel that tells `positive` best; either sign of it counts."""
    areas = [auc(channel[among], positive[among]) for channel in channels]
    return max(max(area, 1 - area) for area in areas)


def scored(channels: np.ndarray, known: ScanTruth) -> list[float]:
    everywhere = np.ones(known.labels.shape, bool)
    head, tail = known.charge_class == 1, known.charge_class == 2
    found = [best(channels, known.labels == 2, everywhere), best(channels, known.wall, everywhere)]
    if head.any() and tail.any():
        found.append(best(channels, head, head | tail))
    return found


def run(
    scan: Scan, known: ScanTruth, seed: int, method: str, epochs: int | None
) -> tuple[list[float], float]:
    count = scan.shape[0] * scan.shape[1]
    order = np.arange(count)
    if method.endswith("shuffled"):
        order = np.random.default_rng(seed).permutation(count)
        patterns = np.asarray(scan.data).reshape(count, *scan.detector_shape)[order]
        scan = Scan.from_array(patterns.reshape(scan.shape), centre=scan.centre)
    begin = time.perf_counter()
    options = METHODS[method] if epochs is None else {**METHODS[method], "epochs": epochs}
    model = train(scan, seed=seed, device="cpu", **options)
    channels = embed(scan, model, device="cpu").channels
    seconds = time.perf_counter() - begin
    back = np.argsort(order)
    channels = channels.reshape(len(channels), -1)[:, back].reshape(channels.shape)
    return scored(channels, known), seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scans", nargs="+", default=list(SCANS), choices=SCANS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--electrons", type=float, default=2e5)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--specimens", nargs="+", type=int, choices=range(6), default=[None])
    parser.add_argument("--epochs", type=int)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    print("| method | scan | P | walls | head or tail | s |\n|---|---|---|---|---|---|")
    for method, specimen, name in product(args.methods, args.specimens, args.scans):
        rows, times = [], []
        for seed in args.seeds:
            path = made(args.folder, name, seed, args.electrons, specimen)
            areas, seconds = run(open_scan(path), truth(path), seed, method, args.epochs)
            rows.append(areas)
            times.append(seconds)
        cells = [f"{min(c):.3f} to {max(c):.3f}" for c in zip(*rows, strict=True)]
        cells += [""] * (3 - len(cells))
        which = name if specimen is None else f"{name}, specimen {specimen}"
        print(f"| {method} | {which} | {' | '.join(cells)} | {max(times):.0f} |", flush=True)


if __name__ == "__main__":
    main()
