"""The main job on the embedded scan, scored against its known truth.

A person would paint the labels; here fifty positions are drawn at random and labelled from the
truth. Nothing else of the truth is used but for the scores.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._display import virtual_display
from .errors import ScanError
from .figure import Panel, draw_panels
from .jobs import Report

if TYPE_CHECKING:
    from .learn import Classification, Embedding
    from .reduce import ComMaps
    from .scan import Scan
    from .simulate import Truth

__all__ = ["draw_labels", "run_demo", "separation"]

LABELS = 50
CLASSES = {1: "+P", 2: "-P"}
COLOURS = {1: (0.90, 0.62, 0.0, 1.0), 2: (0.34, 0.71, 0.91, 1.0)}


def run_demo(
    folder: Path, *, headless: bool = False, device: str = "auto", report: Report | None = None
) -> dict[str, Any]:
    """Run centre of mass, autoencoder and classifier on the embedded scan and score them.

    Parameters
    ----------
    folder : Path
        Where to leave ``results.zarr``, the two models, ``labels.tif``, ``scores.json``,
        ``figure.png`` and ``screenshot.png``; of an earlier run they are replaced.
    headless : bool
        Open no window, so make no screenshot.
    device : str
        Where to train: ``auto``, ``cpu``, ``cuda`` or ``cuda:i``.
    report : callable, optional
        Receives `Progress`; may raise `Cancelled`.

    Returns
    -------
    dict
        The scores, the seconds each step took, and the files written.

    Raises
    ------
    ScanError
        If the folder cannot be written, or no window can be opened.
    """
    from .io import open_scan, provenance, save_model, write_results, write_tiff
    from .io.maps import classification_results, com_results, embedding_result
    from .learn import classify, embed, train
    from .reduce import com
    from .simulate import demo_scan_path, demo_truth

    if folder.is_file():
        raise ScanError(f"{folder}: is a file; choose a folder for the demo's results.")
    folder.mkdir(parents=True, exist_ok=True)
    scan, truth = open_scan(demo_scan_path()), demo_truth()
    clock = _Clock()

    maps = com(scan, report=report)
    clock.lap("com")
    model = train(scan, preset="compact", device=device, report=report)
    embedding = embed(scan, model, device=device, report=report)
    clock.lap("autoencoder")
    labels = draw_labels(truth.labels, LABELS)
    result = classify(scan, labels, classes=CLASSES, colours=COLOURS, device=device, report=report)
    clock.lap("classifier")

    best, channel_auc = _best_channel(embedding, truth)
    scores = {
        "com_auc": max(separation(m, truth.labels) for m in (maps.com_y, maps.com_x)),
        "autoencoder_best_channel": best,
        "autoencoder_auc": channel_auc,
        "classifier_labels": int(np.count_nonzero(labels)),
        "classifier_accuracy": _accuracy(result.prediction, labels, truth),
    }
    probability, images = classification_results(result, scan, labels)
    write_results(
        folder / "results.zarr",
        maps=[
            *com_results(maps, scan),
            embedding_result(embedding, scan),
            *probability,
        ],
        labels=images,
        provenance=[provenance("demo", {"labels": LABELS, "device": device}, scan)],
    )
    save_model(model, folder / "autoencoder.safetensors")
    save_model(result.model, folder / "classifier.safetensors")
    write_tiff(folder / "labels.tif", labels, scan.scan_step)
    (folder / "scores.json").write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    panels = _panels(maps, embedding.channels[best], best, result, truth, scores)
    draw_panels(panels, folder / "figure.png", scan.scan_step)
    clock.lap("files")
    files = ["results.zarr", "figure.png", "scores.json", "labels.tif"]
    files += ["autoencoder.safetensors", "classifier.safetensors"]
    if not headless:
        screenshot(folder / "results.zarr", scan, folder / "screenshot.png")
        files.append("screenshot.png")
        clock.lap("screenshot")
    return {**scores, **clock.seconds, "folder": str(folder), "files": files}


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.seconds[f"seconds_{name}"] = round(now - self._last, 1)
        self._last = now


def draw_labels(truth: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Label `count` random probe positions, as a person would who knows each pattern's class.

    Parameters
    ----------
    truth : array
        Class numbers ``[y, x]``.
    count : int
        How many positions to label.
    seed : int
        Of the random draw.

    Returns
    -------
    array
        uint8 ``[y, x]``, 0 where unlabelled.
    """
    chosen = np.random.default_rng(seed).choice(truth.size, count, replace=False)
    labels = np.zeros(truth.shape, np.uint8)
    labels.flat[chosen] = truth.flat[chosen]
    return labels


def separation(image: np.ndarray, truth: np.ndarray) -> float:
    """Return how well a map separates class 1 from class 2: ROC AUC, 0.5 to 1.

    The sign of a map means nothing here, so an AUC below 0.5 counts as its complement.
    """
    from sklearn.metrics import roc_auc_score

    known = np.isfinite(image) & (truth > 0)
    auc = float(roc_auc_score(truth[known] == 1, image[known]))
    return max(auc, 1 - auc)


def _best_channel(embedding: Embedding, truth: Truth) -> tuple[int, float]:
    scores = {
        int(channel): separation(embedding.channels[channel], truth.labels)
        for channel in embedding.active
    }
    if not scores:
        raise ScanError("the demo: the autoencoder has no active channel; this should not happen.")
    best = max(scores, key=lambda channel: scores[channel])
    return best, scores[best]


def _accuracy(prediction: np.ndarray, labels: np.ndarray, truth: Truth) -> float:
    # Positions it was trained on prove nothing.
    unseen = labels == 0
    return float((prediction[unseen] == truth.labels[unseen]).mean())


def _panels(
    maps: ComMaps,
    channel: np.ndarray,
    best: int,
    result: Classification,
    truth: Truth,
    scores: Mapping[str, float],
) -> list[Panel]:
    from .reduce import direction_colours

    classes = {number: (CLASSES[number], COLOURS[number]) for number in CLASSES}
    shift = float(np.nanpercentile(np.abs(maps.com_y), 99))
    return [
        Panel("counts", maps.sum, "counts", "gray"),
        Panel("centre of mass, down", maps.com_y, "px", "PiYG", (-shift, shift)),
        Panel("centre of mass, direction", direction_colours(maps.com_y, maps.com_x)),
        Panel(f"channel {best} (AUC {scores['autoencoder_auc']:.3f})", channel, "activation"),
        Panel(
            f"prediction (accuracy {scores['classifier_accuracy']:.3f})",
            result.prediction,
            classes=classes,
        ),
        Panel("probability of +P", result.probability[0], "", "viridis", (0.0, 1.0)),
        Panel("truth", truth.labels, classes=classes),
        Panel("truth: thickness", truth.thickness, "nm", "cividis"),
    ]


def screenshot(results: Path, scan: Scan, path: Path) -> None:
    """Show results in a real napari window and save a picture of it.

    The window lives in a process of its own: whatever a graphics driver does there, the results
    are safe.

    Raises
    ------
    ScanError
        If no window could be opened.
    """
    assert scan.source is not None
    command = [
        sys.executable,
        "-m",
        "napari_ferro4d.viewer.screenshot",
        str(results),
        scan.source.path,
        str(path),
    ]
    path.unlink(missing_ok=True)
    with virtual_display() as environment:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0 or not path.is_file():
        reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise ScanError(
            f"{path}: no window could be opened for the screenshot ({reason[0]}); "
            "everything else is done, use --headless to do without."
        )
