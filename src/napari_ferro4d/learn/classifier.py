"""The few-label classifier: which class is every probe position, and how sure is that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ferro4d.corrections import not_negative
from napari_ferro4d.errors import LabelsError, ModelError, ScanError
from napari_ferro4d.jobs import Report
from napari_ferro4d.learn.compute import choose_device, import_torch, working_on
from napari_ferro4d.learn.data import (
    Neighbourhood,
    Samples,
    check_labels,
    compact_size,
    fit_preprocess,
    folds_of,
    held_out,
    preprocess_of,
    read_samples,
)
from napari_ferro4d.learn.model_files import Model, scan_record, versions
from napari_ferro4d.scan import Scan

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
    preset: str = "compact",
    neighbourhood: int = 0,
    neighbourhood_reduce: str = "mean",
    epochs: int | None = None,
    classes: Mapping[int, str] | None = None,
    colours: Mapping[int, Colour] | None = None,
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
        ``"compact"`` (seconds on a CPU) or ``"paper"`` (the paper's network on 128 x 128).
    neighbourhood : int
        Radius of the square of probe positions whose patterns are reduced to one; 0 is none.
    neighbourhood_reduce : str
        ``"mean"`` or ``"max"``.
    epochs : int, optional
        Passes over the labels; None is the preset's choice.
    classes, colours : mapping, optional
        Names, and colours (red, green, blue, alpha in 0..1), by class number; kept in the model.
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
    if preset not in ("compact", "paper"):
        raise ScanError(f"preset {preset!r} is unknown; choose one of compact, paper.")
    if epochs is not None and epochs < 1:
        raise ScanError(f"{epochs} epochs train nothing; ask for 1 or more.")
    around = Neighbourhood(neighbourhood, neighbourhood_reduce)
    if scan.missing is not None:
        labels = np.where(scan.missing, 0, labels)
    checked = check_labels(labels, scan.scan_shape)
    import_torch()
    choose_device(device)
    size = 128 if preset == "paper" else compact_size(scan.detector_shape)
    header = {
        "preset": preset,
        "preprocess": fit_preprocess(scan.detector_shape, size).to_json(),
        "neighbourhood": around.to_json(),
        "classes": [int(c) for c in np.unique(checked[checked > 0])],
        "class_names": {str(n): str(name) for n, name in (classes or {}).items()},
        "class_colours": {str(n): [float(v) for v in c] for n, c in (colours or {}).items()},
        "labels": int(np.count_nonzero(checked)),
        "seed": seed,
        "scans": [scan_record(scan)],
        "versions": versions(),
    }
    how = fit_preprocess(scan.detector_shape, size)
    samples = read_samples(around.of(scan), checked > 0, how, report)
    trained = _train(
        header, samples, checked, _shots(scan, checked, around), epochs, device, report
    )
    return _predict(scan, trained, device, report)


def _train(
    header: dict[str, Any],
    samples: Samples,
    labels: npt.NDArray[np.int64],
    shots: int,
    epochs: int | None,
    device: str,
    report: Report | None,
) -> Model:
    import torch

    from napari_ferro4d.learn.compute import single_thread
    from napari_ferro4d.learn.data import Augment
    from napari_ferro4d.learn.model_files import network_arrays, seeded
    from napari_ferro4d.learn.networks import CompactClassifier, build_classifier
    from napari_ferro4d.learn.training import RECIPES, Task, fit, held_out_logits, temperature

    where = choose_device(device)
    positions = np.argwhere(labels > 0)
    classes = np.array(header["classes"])
    targets = np.searchsorted(classes, labels[labels > 0])
    fold = folds_of(positions, labels.shape, FOLDS, header["seed"])
    held = held_out(fold, targets, FOLDS)
    augment = Augment(shots)
    header["network"] = {
        "classes": len(classes),
        "size": int(header["preprocess"]["size"]),
    }
    one = single_thread(header["preset"] == "compact")
    with working_on(where), seeded(header["seed"], where), one:
        network = build_classifier(header)
        network.start(torch.from_numpy(samples.sampled)[:, None])
        network.to(where)
        # Every fold has its members in the compact ensemble; the paper's one network has a fold.
        members = len(network.skip) if isinstance(network, CompactClassifier) else 1
        task = Task(
            torch.from_numpy(samples.labelled)[:, None].to(where),
            torch.from_numpy(targets).to(where),
            torch.from_numpy(held[np.arange(members) % FOLDS]).to(where),
            len(classes),
        )
        history = fit(network, task, RECIPES[header["preset"]], augment, epochs, report)
        logits, truth = held_out_logits(network, task)
    enough = len(truth) >= ENOUGH
    right = float((logits.argmax(dim=1) == truth).double().mean()) if enough else None
    header |= {
        "temperature": temperature(logits, truth) if enough else 1.0,
        "validation_accuracy": right,
        "history": {"losses": list(history.losses), "validation": list(history.validation)},
    }
    return Model("classifier", header, network_arrays(network))


def _shots(scan: Scan, labels: npt.NDArray[np.int64], around: Neighbourhood) -> int:
    """Return how many patterns a labelled one is the mean of; 0 if its noise is not Poisson's."""
    if around.radius and around.reduce == "max":
        return 0
    y, x = np.argwhere(labels > 0)[0]
    # Other than whole numbers are no counts: intensities in some unit, or already averaged.
    pattern = np.asarray(scan.data[int(y), int(x)])
    whole = pattern.dtype.kind in "ui" or bool(np.all(pattern == np.rint(pattern)))
    return int((2 * around.radius + 1) ** 2) if whole else 0


def _predict(scan: Scan, model: Model, device: str, report: Report | None) -> Classification:
    torch = import_torch()
    from napari_ferro4d.learn.compute import single_thread
    from napari_ferro4d.learn.model_files import load_network
    from napari_ferro4d.learn.networks import build_classifier

    from .inference import apply

    where = choose_device(device)
    how = preprocess_of(model, "classifier", scan)
    network = build_classifier(model.header)
    load_network(network, model.weights)
    try:
        classes = tuple(int(c) for c in model.header["classes"])
        temperature = float(model.header["temperature"])
        around = Neighbourhood.from_json(model.header["neighbourhood"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"the model's header is incomplete ({error!r}); train it again."
        ) from error

    def probabilities(x: Any) -> Any:
        return torch.softmax(network(x).mean(dim=0) / temperature, dim=1)

    with working_on(where), single_thread(model.header["preset"] == "compact"):
        network.to(where).eval()
        probability = apply(
            around.of(scan), how, probabilities, network, where, report, "classifying patterns"
        )
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
