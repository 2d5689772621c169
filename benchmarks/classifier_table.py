"""Table 1 of Hardy et al. (2025) rebuilt: labels x sampler x classifier, on many specimens.

    python benchmarks/classifier_table.py FOLDER [--kept] [--paper] [--seeds 5] [--json FILE]

Specimens are simulated into FOLDER once (0.25 GB each). Labels are the truth at the positions that
a sampler asks for, ten at a time up to 50 and then 25. Figures are on truth, at positions at least
two away from every label. The baseline is PCA-20 of Anscombe counts, each component to unit
variance, and logistic regression, written here with scikit-learn alone. `--paper` trains the
paper's network from 50 random labels (a minute each) instead of all the rest.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from classifier_specimens import KEPT, KEPT_GHOSTS, SEEN, SEEN_GHOSTS, make
from napari_ferro4d import Scan, classify, open_scan, suggest

PRESETS = ("boracite-small", "ermno3-vortex-small")
COUNTS = (20, 50, 100, 250)
SAMPLERS = {"Algorithm 1": "boundary", "random": "random", "ours": "informed"}
STEP, LATER_STEP = 10, 25
AWAY = 2.0


def labelled(scan: Scan, truth: np.ndarray, method: str, seed: int) -> dict[int, np.ndarray]:
    """Return the labels that a sampler leads to, by their number."""
    labels = np.zeros(truth.shape, np.int64)
    found = {}
    while (count := int(np.count_nonzero(labels))) < COUNTS[-1]:
        # The paper's algorithm starts from labels, too: the same first ones as ours.
        first = count == 0 and method != "random"
        step = STEP if count < 50 else LATER_STEP
        wanted = min(step, min(n for n in COUNTS if n > count) - count)
        now = suggest(
            scan,
            labels,
            budget=wanted,
            method="informed" if first else method,
            step=max(truth.shape) / 16,
            seed=1000 * seed + count,
        ).positions
        if not len(now):  # nothing is to be gained: the map is what it is
            for n in COUNTS:
                found.setdefault(n, labels.copy())
            return found
        labels[tuple(now.T)] = truth[tuple(now.T)]
        if (count := int(np.count_nonzero(labels))) in COUNTS:
            found[count] = labels.copy()
    return found


def components(scan: Scan) -> np.ndarray:
    """Return 20 principal components of Anscombe counts, each to unit variance."""
    counts = np.asarray(scan.data).reshape(np.prod(scan.scan_shape), -1).astype(np.float32)
    stabilised = 2 * np.sqrt(counts + np.float32(0.375))
    return PCA(20, whiten=True, svd_solver="randomized", random_state=0).fit_transform(stabilised)


def baseline(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the classes that logistic regression gives all positions."""
    known = labels.ravel() > 0
    fitted = LogisticRegression(max_iter=1000).fit(values[known], labels.ravel()[known])
    return fitted.predict(values).reshape(labels.shape)


def scores(
    prediction: np.ndarray, truth: np.ndarray, labels: np.ndarray, sure: np.ndarray | None = None
) -> dict[str, float]:
    """Return accuracy, balanced accuracy and calibration error away from the labels."""
    away = distance_transform_edt(labels == 0) >= AWAY
    right = (prediction == truth)[away]
    each = [right[truth[away] == c].mean() for c in np.unique(truth)]
    found = {"accuracy": float(right.mean()), "balanced": float(np.mean(each))}
    if sure is not None:
        place = np.minimum((sure[away] * 10).astype(int), 9)
        found["ece"] = float(
            sum(
                abs(sure[away][place == b].mean() - right[place == b].mean()) * (place == b).mean()
                for b in np.unique(place)
            )
        )
    return found


def measure(name: str, folder: Path, seeds: int) -> list[dict[str, object]]:
    """Return one row for each number of labels, sampler, classifier and seed."""
    path, truth = make(name, folder)
    scan, truth = open_scan(path), truth.astype(np.int64)
    values = components(scan)
    rows: list[dict[str, object]] = []
    for seed in range(seeds):
        for sampler, method in SAMPLERS.items():
            for count, labels in labelled(scan, truth, method, seed).items():
                if len(np.unique(labels[labels > 0])) < 2:
                    continue
                key = {"specimen": name, "seed": seed, "sampler": sampler, "labels": count}
                begin = time.perf_counter()
                result = classify(scan, labels, seed=seed)
                found = scores(result.prediction, truth, labels, result.confidence)
                found["seconds"] = time.perf_counter() - begin
                if result.validation_accuracy is not None:
                    found["held_out"] = result.validation_accuracy
                rows.append({**key, "classifier": "fast", **found})
                plain = scores(baseline(values, labels), truth, labels)
                rows.append({**key, "classifier": "baseline", **plain})
    return rows


def measure_paper(name: str, folder: Path) -> list[dict[str, object]]:
    """Return the row of the paper's network, from 50 random labels."""
    path, truth = make(name, folder)
    scan, truth = open_scan(path), truth.astype(np.int64)
    labels = np.zeros(truth.shape, np.int64)
    now = suggest(scan, budget=50, method="random", seed=0).positions
    labels[tuple(now.T)] = truth[tuple(now.T)]
    begin = time.perf_counter()
    result = classify(scan, labels, preset="paper")
    found = scores(result.prediction, truth, labels, result.confidence)
    found["seconds"] = time.perf_counter() - begin
    key = {"specimen": name, "seed": 0, "sampler": "random", "labels": 50}
    return [{**key, "classifier": "paper", **found}]


def table(rows: list[dict[str, object]]) -> str:
    """Return the rows as a Markdown table: mean and worst over the seeds, in percent."""
    lines = [
        "| specimen | labels | sampler | fast: mean ± spread (worst) | balanced | ECE | baseline |",
        "|---|---|---|---|---|---|---|",
    ]
    keys = dict.fromkeys((r["specimen"], r["labels"], r["sampler"]) for r in rows)
    for specimen, count, sampler in keys:
        here = [
            r
            for r in rows
            if (r["specimen"], r["labels"], r["sampler"]) == (specimen, count, sampler)
        ]
        fast = [r for r in here if r["classifier"] != "baseline"]
        plain = [r["accuracy"] for r in here if r["classifier"] == "baseline"]
        told = np.array([[r["accuracy"], r["balanced"], r["ece"]] for r in fast])
        mean, spread, worst = told.mean(axis=0), told.std(axis=0), told.min(axis=0)
        other = f"{100 * np.mean(plain):.1f}" if plain else ""
        lines.append(
            f"| {specimen} | {count} | {sampler} | {100 * mean[0]:.1f} ± {100 * spread[0]:.1f} "
            f"({100 * worst[0]:.1f}) | {100 * mean[1]:.1f} | {mean[2]:.3f} | {other} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kept", action="store_true", help="the specimens kept apart")
    parser.add_argument("--paper", action="store_true", help="the paper's network")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="*", help="specimens")
    parser.add_argument("--json", type=Path, help="file for all rows, added to after each specimen")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    names = [*KEPT, *KEPT_GHOSTS] if args.kept else [*SEEN, *SEEN_GHOSTS]
    rows: list[dict[str, object]] = []
    for name in args.only or [*PRESETS, *names]:
        now = (
            measure_paper(name, args.folder)
            if args.paper
            else measure(name, args.folder, args.seeds)
        )
        rows += now
        print(table(now), flush=True)
        if args.json:
            args.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
