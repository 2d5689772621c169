"""Which probe positions to label next: the face of the samplers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_ferro4d.corrections import not_negative
from napari_ferro4d.errors import LabelsError, ScanError
from napari_ferro4d.jobs import Report, Steps
from napari_ferro4d.learn.data import Neighbourhood, check_label_image
from napari_ferro4d.learn.few_labels import (
    at_boundaries,
    at_random,
    doubts,
    first_grid,
    most_informative,
    prepare,
    quick,
)
from napari_ferro4d.scan import Scan

METHODS = ("informed", "boundary", "boundary-iterated", "random")


@dataclass(frozen=True, eq=False)
class Suggestion:
    """Probe positions to label next.

    Parameters
    ----------
    positions : ndarray
        int ``[n, 2]``: y and x, best first.
    message : str
        Why there are fewer than asked for, or chosen otherwise; else empty.
    """

    positions: npt.NDArray[np.int64]
    message: str


def suggest(
    scan: Scan,
    labels: npt.ArrayLike | None = None,
    *,
    budget: int = 10,
    method: str = "informed",
    step: float = 1.0,
    seed: int = 0,
    report: Report | None = None,
) -> Suggestion:
    """Suggest which probe positions to label next.

    Parameters
    ----------
    scan : Scan
        ``[y, x, ky, kx]``.
    labels : array, optional
        Integers ``[y, x]``: 0 = unlabelled. Without any, the positions are a first grid: one for
        each kind of pattern and each part of the scan.
    budget : int
        How many positions; fewer are returned where there are no more.
    method : str
        ``"informed"``: where a label takes away most doubt: the model is unsure, or disagrees with
        the neighbours, over a large area. ``"boundary"``: halfway between labels of different
        classes, in a single pass (the paper's Algorithm 1), ``"boundary-iterated"``: the same
        with what it finds taken as known by the model, until the budget is spent. ``"random"``.
    step : float
        Algorithm 1 only: distance of the labels it starts from, in probe positions; labels up to
        sqrt(2) times as far apart are neighbours. Where it finds no boundary, it is doubled.
    seed : int
        Of what is drawn.
    report : callable, optional
        Receives `Progress`; may raise `Cancelled`.

    Raises
    ------
    LabelsError
        If the labels do not fit the scan.
    ScanError
        If the budget, the step or the method makes no sense, or the scan cannot be read.

    References
    ----------
    Hardy et al. (2025), arXiv:2510.00693, Algorithm 1.
    """
    scan = not_negative(scan)
    if method not in METHODS:
        raise ScanError(f"method {method!r} is unknown; choose one of {', '.join(METHODS)}.")
    if budget < 1:
        raise ScanError(f"a budget of {budget} suggests nothing; ask for 1 position or more.")
    if not (np.isfinite(step) and step > 0):
        raise ScanError(f"a step of {step} is none; give a number of probe positions above 0.")
    known = np.zeros(scan.scan_shape, np.int64)
    if labels is not None:
        known = check_label_image(labels, scan.scan_shape)
    there = np.ones(scan.scan_shape, bool) if scan.missing is None else ~scan.missing
    known = np.where(there, known, 0)
    free = there & (known == 0)
    if not free.any():
        raise LabelsError("every position with a pattern is labelled; there is nothing to suggest.")
    if method == "random":
        return _told(at_random(free, budget, seed), budget, "")
    if len(np.unique(known[known > 0])) < 2:
        return _first(scan, known, free, budget, seed, report)
    task, _ = prepare(scan, known, Neighbourhood(0), None, report)
    steps = Steps(report, budget, "looking for positions")
    if method.startswith("boundary"):
        found, message = at_boundaries(task, step, budget, iterated=method == "boundary-iterated")
        return _told(found, budget, message)
    fitted = quick(task)
    doubt = doubts(task, fitted.usual)
    found = most_informative(doubt, fitted.grid, ~free, budget, lambda: steps.add(1))
    message = ""
    if len(found) < min(budget, int(free.sum())):
        message = (
            f"nothing {'more ' if found else ''}is to be gained: the model doubts "
            f"{100 * float(doubt[there].mean()):.1f} % of the map on average, and one more label "
            "would hardly change that; look at labels with which it disagrees."
        )
    return _told(found, budget, message)


def _first(
    scan: Scan,
    known: npt.NDArray[np.int64],
    free: npt.NDArray[np.bool_],
    budget: int,
    seed: int,
    report: Report | None,
) -> Suggestion:
    """Suggest a first grid, or the next one where all labels so far are of one class."""
    task, _ = prepare(scan, np.zeros_like(known), Neighbourhood(0), None, report)
    labelled = int(np.count_nonzero(known))
    found = first_grid(task.inputs[-1], free, known > 0, budget, seed)
    message = ""
    if labelled:
        message = f"all {labelled} labels are of one class; these positions are unlike them."
    return _told(found, budget, message)


def _told(found: list[tuple[int, int]], budget: int, message: str) -> Suggestion:
    if len(found) < budget and not message:
        message = f"only {len(found)} positions are left to suggest."
    return Suggestion(np.array(found, np.int64).reshape(-1, 2), message)
