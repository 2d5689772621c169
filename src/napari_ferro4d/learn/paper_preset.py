"""The preset "paper" on a scan: its network trained on labelled positions, and applied to all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_ferro4d.errors import ModelError
from napari_ferro4d.jobs import Report
from napari_ferro4d.learn.compute import choose_device, import_torch, working_on
from napari_ferro4d.learn.data import (
    Neighbourhood,
    Symmetry,
    fit_preprocess,
    preprocess_of,
    read_samples,
)
from napari_ferro4d.learn.model_files import Model, scan_record, versions
from napari_ferro4d.scan import Scan

from .occlusion import example_arrays

SIZE = 128
"""Side of the network's input, as the paper's number of parameters implies."""


@dataclass(frozen=True, eq=False)
class LabelUse:
    """What each label is for, and what it is worth; labels in scan order.

    Parameters
    ----------
    part : ndarray
        int ``[n]``: 0 to learn from; 1 and 2 held out, in two halves, each of which chooses the
        epoch at which the other is judged; -1 neither, too near to one held out.
    evidence : ndarray
        float ``[n]``: how much a label counts among those of its class.
    areas : ndarray
        float ``[class]``: how much a class counts, whatever the number of its labels.
    """

    part: npt.NDArray[np.int64]
    evidence: npt.NDArray[np.float64]
    areas: npt.NDArray[np.float64]

    @classmethod
    def of(
        cls,
        labels: npt.NDArray[np.int64],
        train: npt.NDArray[np.bool_],
        test: npt.NDArray[np.bool_],
        evidence: npt.NDArray[np.float64] | None = None,
        areas: npt.NDArray[np.float64] | None = None,
    ) -> LabelUse:
        """Return the use of labels ``[y, x]`` of which some ``[n]`` are to train, some to test.

        Those to test are halved class by class, along the side on which they spread most, so that
        few of one half lie near one of the other. Without `evidence` ``[n]``, labels count alike;
        without `areas` ``[class]``, classes do.
        """
        positions = np.argwhere(labels > 0)
        classes, targets = np.unique(labels[labels > 0], return_inverse=True)
        part = np.where(train, 0, -1)
        along = int(np.ptp(positions, axis=0).argmax())
        for target in range(len(classes)):
            own = np.flatnonzero(test & (targets == target))
            own = own[np.argsort(positions[own, along], kind="stable")]
            part[own] = 1 + (np.arange(len(own)) >= len(own) // 2)
        return cls(
            part,
            np.ones(len(targets)) if evidence is None else evidence,
            np.ones(len(classes)) if areas is None else areas,
        )


def train_paper(
    scan: Scan,
    labels: npt.NDArray[np.int64],
    use: LabelUse,
    *,
    around: Neighbourhood,
    symmetry: Symmetry | None = None,
    epochs: int | None = None,
    device: str = "auto",
    seed: int = 0,
    report: Report | None = None,
) -> tuple[Model, npt.NDArray[np.float32]]:
    """Train the paper's network on the labelled positions of a scan.

    Parameters
    ----------
    scan : Scan
        ``[y, x, ky, kx]``, without negative counts.
    labels : ndarray
        int ``[y, x]``, from `check_labels`.
    use : LabelUse
        What each label is for.
    around : Neighbourhood
        Positions whose patterns are reduced to one.
    symmetry : Symmetry, optional
        What becomes of the classes when a pattern is turned or mirrored.
    epochs, device, seed, report
        As in `classify`.

    Returns
    -------
    model : Model
        With the temperature 1.
    logits : ndarray
        float32 ``[n, class]`` of the labels held out, in scan order; NaN for the others.

    Raises
    ------
    LabelsError
        If the classes do not fit the symmetry.
    ModelError, ScanError
        As in `classify`.
    """
    import_torch()
    from napari_ferro4d.learn.data import Augment
    from napari_ferro4d.learn.training import Lesson, train_classifier

    where = choose_device(device)
    how = fit_preprocess(scan.detector_shape, SIZE)
    classes = np.unique(labels[labels > 0])
    numbers = tuple(classes.tolist())
    if symmetry is not None:
        symmetry.check(numbers, scan.k_step)
    samples = read_samples(around.of(scan), labels > 0, how, report)
    targets = np.searchsorted(classes, labels[labels > 0])
    augment = Augment(
        numbers,
        shots=_shots(scan, labels, around),
        symmetry=symmetry,
        centre=how.beam(scan.centre),
    )
    lesson = Lesson(samples.labelled, targets, use.evidence, use.part, use.areas, samples.sampled)
    with working_on(where):
        trained = train_classifier(
            lesson, augment, epochs=epochs, seed=seed, device=where, report=report
        )
    header = {
        "preset": "paper",
        "preprocess": how.to_json(),
        "neighbourhood": around.to_json(),
        "classes": list(numbers),
        "network": {"classes": len(numbers), "size": how.size},
        "labels": len(targets),
        "seed": seed,
        "symmetry": [] if symmetry is None else symmetry.to_json(),
        "temperature": 1.0,
        "scans": [scan_record(scan)],
        "versions": versions(),
        "history": {"losses": list(trained.losses), "validation": list(trained.validation)},
    }
    examples = example_arrays(samples.labelled, targets, use.evidence)
    return Model("classifier", header, {**trained.weights, **examples}), trained.logits


def paper_logits(
    scan: Scan, model: Model, *, device: str = "auto", report: Report | None = None
) -> npt.NDArray[np.float32]:
    """Return the logits ``[class, y, x]`` of every position; NaN where the file lacks a pattern.

    Raises
    ------
    ModelError
        If the model is no such classifier, or for another detector.
    ScanError
        If counts are not finite, or the device is not there.
    """
    import_torch()
    from napari_ferro4d.learn.model_files import load_network
    from napari_ferro4d.learn.networks import build_classifier

    from .inference import apply

    where = choose_device(device)
    how = preprocess_of(model, "classifier", scan)
    network = build_classifier(model.header)
    load_network(network, model.weights)
    try:
        around = Neighbourhood.from_json(model.header["neighbourhood"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"the model's header is incomplete ({error!r}); train it again."
        ) from error
    with working_on(where):
        network.to(where).eval()
        return apply(around.of(scan), how, network, network, where, report, "classifying patterns")


def _shots(scan: Scan, labels: npt.NDArray[np.int64], around: Neighbourhood) -> int:
    """Return how many patterns a labelled one is the mean of; 0 if its noise is not Poisson's."""
    if around.radius and around.reduce == "max":
        return 0
    y, x = np.argwhere(labels > 0)[0]
    # Other than whole numbers are no counts: intensities in some unit, or already averaged.
    pattern = np.asarray(scan.data[int(y), int(x)])
    whole = pattern.dtype.kind in "ui" or bool(np.all(pattern == np.rint(pattern)))
    return int((2 * around.radius + 1) ** 2) if whole else 0
