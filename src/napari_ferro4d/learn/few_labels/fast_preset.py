"""The preset "fast" on a scan: learnt from its labels, and applied to it or to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from napari_ferro4d.errors import ModelError
from napari_ferro4d.jobs import Report, Steps
from napari_ferro4d.learn.data import (
    Neighbourhood,
    Symmetry,
    count_patterns,
    preprocess_of,
)
from napari_ferro4d.learn.model_files import Model, scan_record, versions
from napari_ferro4d.scan import Scan

from .cache import KnownScan, known_scan
from .fast_model import Copies
from .features import COMPONENTS, Basis, project, without_gaps
from .head import log_softmax, mean_log_probability
from .learner import HEADS_FITTED, Learnt, Task, learn
from .novelty import distances, known_patterns
from .scalings import Likeness, Scaling
from .spatial import STRENGTHS, Grid, edges, spread

Array = npt.NDArray[np.float64]

UNLIKE = 0.2
"""Share of a scan unlike the patterns of a model from which a warning is due."""


@dataclass(frozen=True, eq=False)
class Mapped:
    """What a model says of a scan.

    Parameters
    ----------
    probability : ndarray
        float32 ``[class, y, x]``; NaN where the file lacks a pattern.
    novelty : ndarray
        float32 ``[y, x]``: distance to the most alike pattern that the model knows, in units of
        what is usual; above 1 the pattern is unlike anything the model was sure of. NaN where the
        file lacks a pattern.
    """

    probability: npt.NDArray[np.float32]
    novelty: npt.NDArray[np.float32]


def prepare(
    scan: Scan,
    labels: npt.NDArray[np.int64],
    around: Neighbourhood,
    symmetry: Symmetry | None,
    report: Report | None,
) -> tuple[Task, KnownScan]:
    """Return what to learn from, reading the scan where its features are not known yet."""
    known = known_scan(scan, around, symmetry, report)
    copies = None
    if symmetry is not None and labels.any():
        copies = _copies(around.of(scan), labels, symmetry, known.basis, known.scalings)
    return Task(known.inputs, labels, known.alike, scan.missing, copies), known


def learn_scan(
    scan: Scan,
    labels: npt.NDArray[np.int64],
    *,
    around: Neighbourhood,
    symmetry: Symmetry | None = None,
    seed: int = 0,
    report: Report | None = None,
) -> tuple[Model, Learnt, Mapped]:
    """Learn from the labels of a scan.

    Raises
    ------
    LabelsError
        If the classes do not fit the symmetry.
    ScanError
        If counts are negative or not finite, or a file cannot be read.
    """
    if symmetry is not None:
        symmetry.check(np.unique(labels[labels > 0]).tolist(), scan.k_step)
    task, known = prepare(scan, labels, around, symmetry, report)
    basis, likeness = known.basis, known.likeness
    steps = Steps(report, HEADS_FITTED, "learning from the labels")
    learnt = learn(replace(task, check=lambda: steps.add(1)), seed)
    labelled = labels > 0
    reference, reach = known_patterns(known.alike, labelled, learnt.probability, scan.missing)
    novelty = distances(known.alike, reference) / reach
    probability = learnt.probability.astype(np.float32)
    mapped = Mapped(np.moveaxis(probability, -1, 0).copy(), novelty.astype(np.float32))
    if scan.missing is not None:
        mapped.probability[:, scan.missing] = np.nan
        mapped.novelty[scan.missing] = np.nan
    header = {
        "preset": "fast",
        "preprocess": {**basis.how.to_json(), "values": "principal components of counts"},
        "neighbourhood": around.to_json(),
        "classes": list(task.classes),
        "network": {
            "unit": basis.unit,
            "scalings": [one.name for one in known.scalings],
            "reach": reach,
            "rest": likeness.rest,
            "spread": likeness.spread,
        },
        "labels": int(np.count_nonzero(labels)),
        "seed": seed,
        "symmetry": [] if symmetry is None else symmetry.to_json(),
        "temperature": learnt.temperature,
        "spatial_strength": learnt.strength.number,
        "scans": [scan_record(scan)],
        "versions": versions("scikit-learn"),
        "history": {},
    }
    return Model("classifier", header, _arrays(known, learnt, reference)), learnt, mapped


def map_scan(scan: Scan, model: Model, report: Report | None = None) -> Mapped:
    """Apply a model to a scan.

    Raises
    ------
    ModelError
        If the model is no such classifier, or for another detector.
    ScanError
        If counts are negative or not finite, or a file cannot be read.
    """
    how = preprocess_of(model, "classifier", scan)
    try:
        network, weights = model.header["network"], model.weights
        means = {kind: np.asarray(weights[f"mean.{kind}"]) for kind in COMPONENTS}
        axes = {kind: np.asarray(weights[f"axes.{kind}"]) for kind in COMPONENTS}
        basis = Basis(how, float(network["unit"]), means, axes)
        names = [str(name) for name in network["scalings"]]
        heads = [(str(name), weights[f"head.{name}"], weights[f"bias.{name}"]) for name in names]
        rest = float(network["rest"]), float(network["spread"])
        likeness = Likeness(np.asarray(weights["calm"], np.float64), *rest)
        reference = weights["reference"]
        reach, warm = float(network["reach"]), float(model.header["temperature"])
        strength = STRENGTHS[int(model.header["spatial_strength"])]
        around = Neighbourhood.from_json(model.header["neighbourhood"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ModelError(
            f"the model's header is incomplete ({error!r}); train it again."
        ) from error
    values = without_gaps(project(around.of(scan), basis, report).values, scan.missing)
    logits = [values[_KINDS[name]].astype(np.float64) @ head + bias for name, head, bias in heads]
    log_probability = mean_log_probability(logits)
    grid = Grid(*edges(log_probability, scan.missing))
    said = spread(np.exp(log_probability), grid, strength)
    probability = np.exp(log_softmax(np.log(said) / warm)).astype(np.float32)
    novelty = distances(likeness.of(values), reference) / reach
    mapped = Mapped(np.moveaxis(probability, -1, 0).copy(), novelty.astype(np.float32))
    if scan.missing is not None:
        mapped.probability[:, scan.missing] = np.nan
        mapped.novelty[scan.missing] = np.nan
    return mapped


def warning_of(novelty: npt.NDArray[np.float32]) -> str:
    """Return a sentence where much of a scan is unlike what a model knows, else an empty text."""
    known = novelty[np.isfinite(novelty)]
    share = float(np.mean(known > 1)) if known.size else 0.0
    if share < UNLIKE:
        return ""
    return (
        f"{100 * share:.0f} % of the patterns are unlike all that the model was trained on: "
        "its classes and probabilities may mean nothing there; see the novelty map, label some "
        "positions of this scan and train on them."
    )


def looks_at(model: Model) -> npt.NDArray[np.float32]:
    """Return what one standard deviation of counting noise in a pixel does to each class.

    Returns
    -------
    ndarray
        float32 ``[class, ky, kx]``, in the model's input pixels: change of the log-odds at the
        mean pattern. Positive where more counts speak for the class.
    """
    names = model.header["network"]["scalings"]
    side = int(model.header["preprocess"]["size"])
    total = np.zeros((side**2, len(model.header["classes"])))
    for name in names:
        kind = _KINDS[name]
        mean = np.asarray(model.weights[f"mean.{kind}"], np.float64)
        head = np.asarray(model.weights[f"head.{name}"], np.float64)
        counts = np.expm1(mean) if kind == "logarithm" else (mean / 2) ** 2 - 0.375
        counts = np.maximum(counts, 0)
        slope = 1 / (1 + counts) if kind == "logarithm" else 1 / np.sqrt(counts + 0.375)
        per_pixel = model.weights[f"axes.{kind}"] @ head
        total += per_pixel * (slope * np.sqrt(counts))[:, None] / len(names)
    return total.astype(np.float32).T.reshape(-1, side, side)


_KINDS = {"plain": "stabilised", "calm": "stabilised", "relative": "logarithm"}


def _copies(
    scan: Scan,
    labels: npt.NDArray[np.int64],
    symmetry: Symmetry,
    basis: Basis,
    scalings: tuple[Scaling, ...],
) -> Copies:
    """Return turned copies of the labelled patterns, without the patterns themselves."""
    import dask

    positions = np.argwhere(labels > 0)
    # Together, so that a chunk which holds several of them is read once.
    patterns = dask.compute(*(scan.data[int(y), int(x)] for y, x in positions))
    counts = np.stack(
        [count_patterns(one, basis.how, scan.centre, scan.where()) for one in patterns]
    )
    beam = basis.how.beam(scan.centre)
    turned, classes = symmetry.copies(counts, labels[labels > 0], beam)
    n = len(positions)
    values = basis.of(turned[n:].reshape(len(turned) - n, -1))
    targets = np.searchsorted(np.unique(labels[labels > 0]), classes[n:])
    shape = (len(symmetry.operations) - 1, n)
    inputs = tuple(one.of(values).reshape(*shape, one.matrix.shape[1]) for one in scalings)
    return Copies(inputs, targets.reshape(shape), positions)


def _arrays(known: KnownScan, learnt: Learnt, reference: Array) -> Mapping[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {"reference": reference, "calm": known.likeness.matrix}
    for kind in COMPONENTS:
        arrays[f"mean.{kind}"] = known.basis.means[kind]
        arrays[f"axes.{kind}"] = known.basis.axes[kind]
    for scaling, head in zip(known.scalings, learnt.heads, strict=True):
        arrays[f"head.{scaling.name}"] = scaling.matrix @ head.coefficients
        arrays[f"bias.{scaling.name}"] = head.intercept
    return {name: np.ascontiguousarray(one, np.float32) for name, one in arrays.items()}
