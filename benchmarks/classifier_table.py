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
from typing import Any

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


def measure(name: str, folder: Path, seeds: int) -> list[dict[str, Any]]:
    """Return one row for each number of labels, sampler, classifier and seed."""
    path, truth = make(name, folder)
    scan, truth = open_scan(path), truth.astype(np.int64)
    values = components(scan)
    rows: list[dict[str, Any]] = []
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


def measure_paper(name: str, folder: Path) -> list[dict[str, Any]]:
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


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a Markdown table, in percent.

    Of each sampler the mean over the seeds and the worst of `fast`, and the mean of the baseline;
    of ours balanced accuracy, calibration error and what labels held out say, too.
    """
    lines = [
        "| specimen | labels | Algorithm 1 | random | ours | balanced | ECE | held out |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for specimen, count in dict.fromkeys((r["specimen"], r["labels"]) for r in rows):
        here = [r for r in rows if (r["specimen"], r["labels"]) == (specimen, count)]
        cells = []
        for sampler in SAMPLERS:
            mine = [r for r in here if r["sampler"] == sampler]
            fast = 100 * np.array([r["accuracy"] for r in mine if r["classifier"] != "baseline"])
            plain = 100 * np.array([r["accuracy"] for r in mine if r["classifier"] == "baseline"])
            told = f"{fast.mean():.1f} ({fast.min():.1f})" if len(fast) else ""
            cells.append(f"{told} / {plain.mean():.1f}" if len(plain) else told)
        ours = [r for r in here if r["sampler"] == "ours" and r["classifier"] == "fast"]
        if ours:
            held = [r["held_out"] for r in ours if "held_out" in r]
            cells += [
                f"{100 * np.mean([r['balanced'] for r in ours]):.1f}",
                f"{np.mean([r['ece'] for r in ours]):.3f}",
                f"{100 * np.mean(held):.0f}" if held else "none",
            ]
        lines.append(f"| {specimen} | {count} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--kept", action="store_true", help="the specimens kept apart")
    parser.add_argument("--paper", action="store_true", help="the paper's network")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="*", help="specimens")
    parser.add_argument("--json", type=Path, help="file for all rows, added to after each specimen")
    parser.add_argument("--table", type=Path, nargs="+", help="only print what these files hold")
    args = parser.parse_args()
    if args.table:
        print(table([row for one in args.table for row in json.loads(one.read_text())]))
        return
    args.folder.mkdir(parents=True, exist_ok=True)
    names = [*KEPT, *KEPT_GHOSTS] if args.kept else [*SEEN, *SEEN_GHOSTS]
    rows: list[dict[str, Any]] = []
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
