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
from napari_ferro4d.learn.data import Neighbourhood, Symmetry, check_label_image, check_labels
from napari_ferro4d.learn.few_labels import (
    Disagreement,
    HeldOut,
    areas,
    effective,
    evidence,
    learn_scan,
    map_scan,
    split,
    temperature,
    warning_of,
    why_too_few,
)
from napari_ferro4d.learn.few_labels import looks_at as fast_looks_at
from napari_ferro4d.learn.model_files import Model
from napari_ferro4d.scan import Scan

CLASSIFIERS = ("fast", "paper")

Colour = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Classification:
    """Class and probability of every probe position, and what is to be thought of them.

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
    held_out : HeldOut or None
        What labels say that were held out; None where they are too few, and for a prediction with
        a model trained before, which proves nothing of this scan.
    why_no_figure : str
        Why `held_out` is None, as a sentence; else empty.
    novelty : ndarray or None
        float32 ``[y, x]``: distance to the patterns that the model knows, in units of what is
        usual; above 1 a pattern is unlike them. None for the preset ``"paper"``.
    disagreements : tuple of Disagreement
        Labels that the model would call otherwise had it not seen them, the most surprising first.
    spatial_strength : float or None
        How much the neighbours say: 0 is nothing, 2 most. None for the preset ``"paper"``.
    warning : str
        That the scan is unlike what the model was trained on, and what to do; else empty.
    """

    prediction: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    probability: npt.NDArray[np.float32]
    classes: tuple[int, ...]
    model: Model
    held_out: HeldOut | None = None
    why_no_figure: str = ""
    novelty: npt.NDArray[np.float32] | None = None
    disagreements: tuple[Disagreement, ...] = ()
    spatial_strength: float | None = None
    warning: str = ""

    @property
    def validation_accuracy(self) -> float | None:
        """Share of the map that is right, as far as the labels held out tell; or None."""
        return None if self.held_out is None else self.held_out.accuracy

    @property
    def confidence(self) -> npt.NDArray[np.float32]:
        """Probability of the predicted class, float32 ``[y, x]``."""
        best: npt.NDArray[np.float32] = self.probability.max(axis=0)
        return best

    @property
    def history(self) -> dict[str, Any]:
        """Of the preset ``"paper"``: ``losses`` and ``validation``, one number per epoch."""
        return dict(self.model.header.get("history", {}))

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
    preset: str = "fast",
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
        ``"fast"`` (convex classifiers and a model of the neighbours: a second on a CPU) or
        ``"paper"`` (the paper's network on 128 x 128: a minute on a CPU).
    neighbourhood : int
        Radius of the square of probe positions whose patterns are reduced to one; 0 is none.
    neighbourhood_reduce : str
        ``"mean"`` or ``"max"``.
    epochs : int, optional
        Of the preset ``"paper"``: passes over the labels; None is the paper's number.
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
        return _predict(scan, model, device, report)
    assert labels is not None
    if preset not in CLASSIFIERS:
        raise ScanError(f"preset {preset!r} is unknown; choose one of {', '.join(CLASSIFIERS)}.")
    if epochs is not None and preset == "fast":
        raise ScanError("the preset fast knows no epochs; leave them out, or choose paper.")
    if epochs is not None and epochs < 1:
        raise ScanError(f"{epochs} epochs train nothing; ask for 1 or more.")
    around = Neighbourhood(neighbourhood, neighbourhood_reduce)
    checked, left_out = _usable(labels, scan)
    given = {
        "class_names": {str(n): str(name) for n, name in (classes or {}).items()},
        "class_colours": {str(n): [float(v) for v in c] for n, c in (colours or {}).items()},
    }
    if preset == "paper":
        found = _paper(scan, checked, given, around, symmetry, epochs, device, seed, report)
        return replace(found, warning=left_out)
    _check_device(device)
    model, learnt, mapped = learn_scan(
        scan, checked, around=around, symmetry=symmetry, seed=seed, report=report
    )
    model = replace(
        model,
        header={**model.header, **given, "validation_accuracy": _accuracy(learnt.held_out)},
    )
    found = _classification(scan, model, mapped.probability)
    return replace(
        found,
        held_out=learnt.held_out,
        why_no_figure=learnt.why_no_figure,
        novelty=mapped.novelty,
        disagreements=learnt.disagreements,
        spatial_strength=float(learnt.strength.number),
        warning=left_out,
    )


def _check_device(device: str) -> None:
    """Refuse a device that is not there, also where only the processor is used.

    The usual ones are there; to look for others imports torch, which takes seconds.
    """
    if device not in ("auto", "cpu"):
        from .compute import choose_device

        choose_device(device)


def _usable(labels: npt.ArrayLike, scan: Scan) -> tuple[npt.NDArray[np.int64], str]:
    """Return the labels of positions with a pattern, and what is to be said of the others."""
    array = check_label_image(labels, scan.scan_shape)
    if scan.missing is None:
        return check_labels(array, scan.scan_shape), ""
    lost = int(np.count_nonzero(array[scan.missing]))
    usable = check_labels(np.where(scan.missing, 0, array), scan.scan_shape)
    return usable, f"{lost} labels are on positions without a pattern; left out." if lost else ""


def looks_at(
    model: Model, *, device: str = "auto", report: Report | None = None
) -> npt.NDArray[np.float32]:
    """Return what a classifier looks at, for each class.

    Parameters
    ----------
    model : Model
        From `classify`.
    device : str
        Of the preset ``"paper"``.
    report : callable, optional
        Receives `Progress`; may raise `Cancelled`.

    Returns
    -------
    ndarray
        float32 ``[class, ky, kx]`` in the model's input pixels. Of ``"fast"`` the change of the
        log-odds by one standard deviation of counting noise in a pixel; of ``"paper"`` by how much
        the logit falls where a window is hidden. Positive speaks for the class.

    Raises
    ------
    ModelError
        If the model is no classifier.
    """
    if model.kind != "classifier":
        raise ModelError(f"the model is of kind {model.kind!r}, not 'classifier'.")
    if model.header.get("preset") == "fast":
        return fast_looks_at(model)
    from .occlusion import occlusion_of

    return occlusion_of(model, device=device, report=report)


def _paper(
    scan: Scan,
    labels: npt.NDArray[np.int64],
    given: Mapping[str, Any],
    around: Neighbourhood,
    symmetry: Symmetry | None,
    epochs: int | None,
    device: str,
    seed: int,
    report: Report | None,
) -> Classification:
    """Train the paper's network, with one fold of the labels of `fast` held out."""
    from .paper_preset import LabelUse, train_paper

    folds, apart = split(labels, seed, scan.missing)
    count = int(np.count_nonzero(labels))
    fold = max(folds, key=lambda one: one.test.sum(), default=None)
    train = np.ones(count, bool) if fold is None else fold.train
    test = np.zeros(count, bool) if fold is None else fold.test
    worth, stands = evidence(labels)[labels > 0], areas(labels, scan.missing)
    classes = np.unique(labels[labels > 0])
    targets = np.searchsorted(classes, labels[labels > 0])
    area = np.maximum(np.bincount(targets, stands, len(classes)), 1)
    model, logits = train_paper(
        scan,
        labels,
        LabelUse.of(labels, train, test, worth, area),
        around=around,
        symmetry=symmetry,
        epochs=epochs,
        device=device,
        seed=seed,
        report=report,
    )
    tested = np.flatnonzero(np.isfinite(logits[:, 0]))
    told, weights = logits[tested].astype(np.float64), stands[tested]
    header = {**model.header, **given}
    pieces = min(effective(weights), float(worth[tested].sum()))
    why = why_too_few(classes[targets[tested]], pieces, tuple(classes.tolist()))
    held_out = None
    weights = weights * pieces / max(float(weights.sum()), 1e-12)
    if weights.any():
        header["temperature"] = temperature(told, targets[tested], weights)
    if not why:
        said = softmax(told / header["temperature"], axis=1)
        held_out = HeldOut(
            np.argwhere(labels > 0)[tested],
            classes[targets[tested]],
            classes[said.argmax(axis=1)],
            said.astype(np.float32),
            weights,
            tuple(classes.tolist()),
            apart,
        )
    header["validation_accuracy"] = _accuracy(held_out)
    found = _predict(scan, replace(model, header=header), device, report)
    return replace(found, held_out=held_out, why_no_figure=why)


def _accuracy(held_out: HeldOut | None) -> float | None:
    return None if held_out is None else held_out.accuracy


def _predict(scan: Scan, model: Model, device: str, report: Report | None) -> Classification:
    if model.kind == "classifier" and model.header.get("preset") == "compact":
        raise ModelError(
            "the model is of the preset compact, which is no more; train it again with fast."
        )
    why = "the model was trained before, on other labels; it proves nothing of this scan."
    if model.header.get("preset") != "paper":
        _check_device(device)
        mapped = map_scan(scan, model, report)
        return replace(
            _classification(scan, model, mapped.probability),
            novelty=mapped.novelty,
            warning=warning_of(mapped.novelty),
            spatial_strength=float(model.header["spatial_strength"]),
            why_no_figure=why,
        )
    from .paper_preset import paper_logits

    logits = paper_logits(scan, model, device=device, report=report)
    try:
        warm = np.float32(model.header["temperature"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"the model's header is incomplete ({error!r}); train it again."
        ) from error
    return replace(_classification(scan, model, softmax(logits / warm, axis=0)), why_no_figure=why)


def _classification(
    scan: Scan, model: Model, probability: npt.NDArray[np.float32]
) -> Classification:
    try:
        classes = tuple(int(c) for c in model.header["classes"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"the model's header is incomplete ({error!r}); train it again."
        ) from error
    numbers = np.array(classes, np.uint8 if max(classes) < 256 else np.uint16)
    best = numbers[np.nan_to_num(probability).argmax(axis=0)]
    if scan.missing is not None:
        best[scan.missing] = 0
    return Classification(best, probability, classes, model)
