"""What the demo found, against the known truth: labels drawn from it, scores and a figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.results import Panel

if TYPE_CHECKING:
    from napari_ferro4d.jobs import Report
    from napari_ferro4d.learn import Classification, Embedding
    from napari_ferro4d.reduce import ComMaps
    from napari_ferro4d.scan import Scan
    from napari_ferro4d.simulate import ScanTruth

CLASSES = {1: "+P", 2: "-P"}
COLOURS = {1: (0.90, 0.62, 0.0, 1.0), 2: (0.34, 0.71, 0.91, 1.0)}


def asked_labels(
    scan: Scan, truth: np.ndarray, most: int, seed: int = 0, report: Report | None = None
) -> np.ndarray:
    """Label the probe positions that are suggested, as a person would who knows each class.

    Ten at a time, from a first grid on, until there are `most` or nothing more is to be gained.

    Parameters
    ----------
    scan : Scan
        The scan.
    truth : array
        Class numbers ``[y, x]``.
    most : int
        Labels at most.
    seed : int
        Of what is drawn.
    report : callable, optional
        Receives `Progress`; may raise `Cancelled`.

    Returns
    -------
    array
        uint8 ``[y, x]``, 0 where unlabelled.
    """
    from napari_ferro4d.learn import suggest

    labels = np.zeros(truth.shape, np.uint8)
    while (missing := most - int(np.count_nonzero(labels))) > 0:
        found = suggest(scan, labels, budget=min(10, missing), seed=seed, report=report).positions
        if not len(found):
            break
        labels[tuple(found.T)] = truth[tuple(found.T)]
    return labels


def separation(image: np.ndarray, truth: np.ndarray) -> float:
    """Return how well a map separates class 1 from class 2: ROC AUC, 0.5 to 1.

    The sign of a map means nothing here, so an AUC below 0.5 counts as its complement.
    """
    from sklearn.metrics import roc_auc_score

    known = np.isfinite(image) & (truth > 0)
    auc = float(roc_auc_score(truth[known] == 1, image[known]))
    return max(auc, 1 - auc)


def wall_distance(found: np.ndarray, truth: np.ndarray, step: tuple[float, float]) -> float | None:
    """Return how far walls lie from the true ones: the mean over their positions.

    Parameters
    ----------
    found, truth : array
        bool ``[y, x]``: on a wall.
    step : tuple of float
        Distance between probe positions ``(y, x)``, nm.

    Returns
    -------
    float or None
        nm; None where either has no wall.
    """
    from scipy.ndimage import distance_transform_edt

    if not (found.any() and truth.any()):
        return None
    return float(distance_transform_edt(~truth, sampling=step)[found].mean())


def best_channel(embedding: Embedding, truth: ScanTruth) -> tuple[int, float]:
    """Return the channel that separates the classes best, and its `separation`."""
    scores = {
        int(channel): separation(embedding.channels[channel], truth.labels)
        for channel in embedding.active
    }
    if not scores:
        raise ScanError("the demo: the autoencoder has no active channel; this should not happen.")
    best = max(scores, key=lambda channel: scores[channel])
    return best, scores[best]


def accuracy(prediction: np.ndarray, labels: np.ndarray, truth: ScanTruth) -> float:
    """Return the share of the positions without a label that got their class, 0 to 1."""
    # Positions it was trained on prove nothing.
    unseen = labels == 0
    return float((prediction[unseen] == truth.labels[unseen]).mean())


def panels(
    maps: ComMaps,
    channel: np.ndarray,
    labels: np.ndarray,
    result: Classification,
    truth: ScanTruth,
    scores: Mapping[str, Any],
) -> list[Panel]:
    """Return what the figure shows: two rows, what was found above what is true."""
    from napari_ferro4d.reduce import direction_colours

    classes = {number: (CLASSES[number], COLOURS[number]) for number in CLASSES}
    shift = float(np.nanpercentile(np.abs(maps.com_y), 99))
    bending = np.hypot(*truth.tilt)
    best, auc = scores["autoencoder_best_channel"], scores["autoencoder_auc"]
    accuracy, count = scores["classifier_accuracy"], scores["classifier_labels"]
    ky, kx = np.mgrid[-1:1:41j, -1:1:41j]
    wheel = np.where((np.hypot(ky, kx) <= 1)[..., None], direction_colours(ky, kx), 255)
    return [
        Panel("counts near the direct beam", maps.sum, "counts", "gray"),
        Panel("centre of mass, down", maps.com_y, "px", "PiYG", (-shift, shift)),
        Panel(
            "centre of mass, direction",
            direction_colours(maps.com_y, maps.com_x),
            key=wheel.astype(np.uint8),
        ),
        Panel(f"channel {best} (AUC {auc:.3f})", channel, "activation"),
        Panel("truth: thickness", truth.thickness, "nm", "cividis"),
        Panel(f"{count} labels", labels, classes=classes),
        Panel(f"prediction (accuracy {accuracy:.3f})", result.prediction, classes=classes),
        Panel("probability of +P", result.probability[0], "", "viridis", (0.0, 1.0)),
        Panel("truth: domains", truth.labels, classes=classes),
        Panel("truth: tilt", bending, "mrad", "cividis"),
    ]
