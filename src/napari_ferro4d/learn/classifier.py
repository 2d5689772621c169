"""The few-label classifier: which class is every probe position, and how sure is that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from napari_ferro4d.corrections import not_negative
from napari_ferro4d.errors import LabelsError, ModelError, ScanError
from napari_ferro4d.jobs import Report
from napari_ferro4d.learn.compute import choose_device, import_torch
from napari_ferro4d.learn.data import (
    Neighbourhood,
    Symmetry,
    check_labels,
    folds_of,
    held_out,
)
from napari_ferro4d.learn.model_files import Model
from napari_ferro4d.scan import Scan

from .paper_preset import LabelUse, paper_logits, train_paper

FOLDS = 5
"""One fifth of the labels is held out at a time, as in the paper."""

ENOUGH = 20
"""Labels held out from which an accuracy and a temperature are worth stating."""


Colour = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Classification:
    """Class and probability of every probe position.

    Parameters
    ----------
    prediction : ndarray
        uint8 or uint16 ``[y, x]``: the most probable class, by the numbers used in the labels; 0
        where the file lacks a pattern.
    probability : ndarray
        float32 ``[class, y, x]``, in the order of `classes`; sums to 1 over the classes.
    classes : tuple of int
        Class numbers.
    model : Model
        To classify other scans of the same detector.
    validation_accuracy : float or None
        Share of the labels predicted right by networks that had not seen them, nor any label of the
        same block of the scan; None with fewer than 20 such labels, and for a prediction with a
        model trained before, which proves nothing of this scan.
    history : mapping
        ``losses`` and ``validation``: one number per epoch.
    """

    prediction: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    probability: npt.NDArray[np.float32]
    classes: tuple[int, ...]
    model: Model
    validation_accuracy: float | None
    history: Mapping[str, Any]

    @property
    def class_names(self) -> dict[int, str]:
        """Names by class number, as far as they were given."""
        return {int(n): str(name) for n, name in self.model.header.get("class_names", {}).items()}

    @property
    def class_colours(self) -> dict[int, Colour]:
        """Red, green, blue and alpha in 0..1 by class number, as far as they were given."""
        stored = self.model.header.get("class_colours", {})
        return {int(n): (c[0], c[1], c[2], c[3]) for n, c in stored.items()}


def classify(
    scan: Scan,
    labels: npt.ArrayLike | None = None,
    *,
    model: Model | None = None,
    preset: str = "paper",
    neighbourhood: int = 0,
    neighbourhood_reduce: str = "mean",
    epochs: int | None = None,
    classes: Mapping[int, str] | None = None,
    colours: Mapping[int, Colour] | None = None,
    symmetry: Symmetry | None = None,
    device: str = "auto",
    seed: int = 0,
    report: Report | None = None,
) -> Classification:
    """Classify every probe position, from a few labels or with a trained model.

    Parameters
    ----------
    scan : Scan
        ``[y, x, ky, kx]``.
    labels : array, optional
        Integers ``[y, x]``: 0 = unlabelled, other numbers are classes.
    model : Model, optional
        From an earlier `classify`. Exactly one of `labels` and `model` is given; with a model, all
        parameters but `device` and `report` are its own.
    preset : str
        ``"paper"`` (the paper's network on 128 x 128).
    neighbourhood : int
        Radius of the square of probe positions whose patterns are reduced to one; 0 is none.
    neighbourhood_reduce : str
        ``"mean"`` or ``"max"``.
    epochs : int, optional
        Passes over the labels; None is the preset's choice.
    classes, colours : mapping, optional
        Names, and colours (red, green, blue, alpha in 0..1), by class number; kept in the model.
    symmetry : Symmetry, optional
        What becomes of the classes when a pattern is turned or mirrored.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
    seed : int
        Of weights, order, variations and blocks held out.
    report : callable, optional
        Receives a `Progress` several times per second; may raise `Cancelled`.

    Returns
    -------
    Classification
        Prediction, probabilities and the model.

    Raises
    ------
    LabelsError
        If the labels do not fit the scan or cannot train a classifier.
    ModelError
        If the model is no classifier, or for another detector.
    ScanError
        If counts are negative or not finite, or the device is not there.

    References
    ----------
    Hardy et al. (2025), arXiv:2510.00693.
    """
    scan = not_negative(scan)
    if (labels is None) == (model is None):
        raise LabelsError("give either labels to learn from or a model, and not both.")
    if model is not None:
        return replace(_predict(scan, model, device, report), validation_accuracy=None)
    assert labels is not None
    if preset != "paper":
        raise ScanError(f"preset {preset!r} is unknown; choose paper.")
    if epochs is not None and epochs < 1:
        raise ScanError(f"{epochs} epochs train nothing; ask for 1 or more.")
    around = Neighbourhood(neighbourhood, neighbourhood_reduce)
    if scan.missing is not None:
        labels = np.where(scan.missing, 0, labels)
    checked = check_labels(labels, scan.scan_shape)
    import_torch()
    choose_device(device)
    trained, logits = train_paper(
        scan,
        checked,
        _use_of(checked, seed),
        around=around,
        symmetry=symmetry,
        epochs=epochs,
        device=device,
        seed=seed,
        report=report,
    )
    given = {
        "class_names": {str(n): str(name) for n, name in (classes or {}).items()},
        "class_colours": {str(n): [float(v) for v in c] for n, c in (colours or {}).items()},
    }
    trained = _judged(replace(trained, header={**trained.header, **given}), logits, checked)
    return _predict(scan, trained, device, report)


def _use_of(labels: npt.NDArray[np.int64], seed: int) -> LabelUse:
    """Hold a fifth of the labels out, in two halves of whole blocks of the scan."""
    positions = np.argwhere(labels > 0)
    targets = np.unique(labels[labels > 0], return_inverse=True)[1]
    held = held_out(folds_of(positions, labels.shape, FOLDS, seed), targets, FOLDS)[0]
    return LabelUse.of(labels, ~held, held)


def _judged(model: Model, logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> Model:
    """Return the model with what the labels held out tell."""
    import torch

    from napari_ferro4d.learn.training import temperature

    judged = np.isfinite(logits[:, 0])
    targets = np.searchsorted(model.header["classes"], labels[labels > 0])[judged]
    enough = len(targets) >= ENOUGH
    found: dict[str, Any] = {"validation_accuracy": None}
    if enough:
        right = logits[judged].argmax(axis=1) == targets
        scale = temperature(torch.from_numpy(logits[judged]), torch.from_numpy(targets))
        found = {"validation_accuracy": float(right.mean()), "temperature": scale}
    return replace(model, header={**model.header, **found})


def _predict(scan: Scan, model: Model, device: str, report: Report | None) -> Classification:
    logits = paper_logits(scan, model, device=device, report=report)
    try:
        classes = tuple(int(c) for c in model.header["classes"])
        temperature = float(model.header["temperature"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"the model's header is incomplete ({error!r}); train it again."
        ) from error
    probability = softmax(logits / np.float32(temperature), axis=0)
    numbers = np.array(classes, np.uint8 if max(classes) < 256 else np.uint16)
    return Classification(
        prediction=_most_probable(numbers, probability, scan.missing),
        probability=probability,
        classes=classes,
        model=model,
        validation_accuracy=model.header.get("validation_accuracy"),
        history=dict(model.header.get("history", {})),
    )


def _most_probable(
    numbers: npt.NDArray[Any],
    probability: npt.NDArray[np.float32],
    missing: np.ndarray | None,
) -> npt.NDArray[Any]:
    best: npt.NDArray[Any] = numbers[np.nan_to_num(probability).argmax(axis=0)]
    if missing is not None:
        best[missing] = 0
    return best
