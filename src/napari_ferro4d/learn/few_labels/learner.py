"""From features and labels to a map, and to what is to be thought of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from . import fast_model
from .calibration import SHARPER, best_strength, temperature
from .fast_model import Copies, Fit
from .head import Head, log_softmax
from .held_out import HeldOut, areas, effective, split, why_too_few
from .label_weights import evidence
from .spatial import STRENGTHS, Strength

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

PARTS = 5
"""Of the labels, each judged by the others, to find wrong ones."""

WRONG = 0.1
"""First guess of the share of wrong labels."""

MOST_WRONG, LEAST_WRONG = 0.25, 0.02

HEADS_FITTED = (1 + PARTS) * (fast_model.ROUNDS + 1) + 2 * PARTS
"""Times that classifiers are fitted to tell of one map, at most."""


@dataclass(frozen=True)
class Disagreement:
    """A label that the model, not having seen it, would call otherwise.

    Parameters
    ----------
    y, x : int
        Probe position.
    label, predicted : int
        Class numbers.
    probability : float
        That the model gives to `predicted`.
    """

    y: int
    x: int
    label: int
    predicted: int
    probability: float


@dataclass(frozen=True, eq=False)
class Learnt:
    """What was learnt from the labels of a scan.

    Parameters
    ----------
    heads : tuple of Head
        One for each scaling.
    strength : Strength
        Of the spatial model.
    temperature : float
        By which log-probabilities are divided.
    probability : ndarray
        ``[y, x, class]``, calibrated.
    fit : Fit
        The model behind it.
    held_out : HeldOut or None
        None where too few labels are apart from each other.
    why_no_figure : str
        Why it is None, else empty.
    disagreements : tuple of Disagreement
        The most surprising first.
    """

    heads: tuple[Head, ...]
    strength: Strength
    temperature: float
    probability: Array
    fit: Fit
    held_out: HeldOut | None
    why_no_figure: str
    disagreements: tuple[Disagreement, ...]


@dataclass(frozen=True, eq=False)
class Task:
    """What to learn from.

    Parameters
    ----------
    inputs : sequence of ndarray
        ``[y, x, feature]`` in each scaling, without gaps.
    labels : ndarray
        ``[y, x]`` class numbers, 0 = none; at least two classes.
    alike : ndarray, optional
        ``[y, x, feature]``: in which patterns are alike or not.
    missing : ndarray, optional
        bool ``[y, x]``: positions without a pattern; they have no label.
    copies : Copies, optional
        Turned copies of the labelled patterns.
    check : callable
        Called between steps; may raise `Cancelled`.
    """

    inputs: Sequence[Array]
    labels: Labels
    alike: Array | None = None
    missing: npt.NDArray[np.bool_] | None = None
    copies: Copies | None = None
    check: Callable[[], None] | None = None

    @property
    def classes(self) -> tuple[int, ...]:
        """Class numbers."""
        return tuple(int(c) for c in np.unique(self.labels[self.labels > 0]))

    @property
    def positions(self) -> Labels:
        """Labelled positions ``[n, 2]``, in scan order."""
        return np.argwhere(self.labels > 0)

    @property
    def targets(self) -> Labels:
        """Index of the class ``[y, x]``, -1 where there is no label."""
        return np.where(self.labels > 0, np.searchsorted(self.classes, self.labels), -1)

    def fit(self, targets: Labels, weights: Array, rounds: int = fast_model.ROUNDS) -> Fit:
        """Fit the model to some of the labels."""
        return fast_model.fit(
            self.inputs,
            targets,
            weights,
            len(self.classes),
            missing=self.missing,
            copies=self.copies,
            rounds=rounds,
            check=self.check,
        )

    def fit_without(
        self, train: npt.NDArray[np.bool_], weights: Array, rounds: int = fast_model.ROUNDS
    ) -> Fit:
        """Fit the model to the labels ``[n]`` that `train` marks."""
        kept = np.full(self.labels.shape, -1)
        y, x = self.positions[train].T
        kept[y, x] = self.targets[y, x]
        return self.fit(kept, weights, rounds)

    def fit_blindly(self, train: npt.NDArray[np.bool_]) -> Fit:
        """Fit the model to some of the labels, weighed as if there were no others."""
        seen = np.zeros_like(self.labels)
        y, x = self.positions[train].T
        seen[y, x] = self.labels[y, x]
        return self.fit_without(train, evidence(seen))


def quick(task: Task) -> Fit:
    """Fit the model without asking how good it is: enough to say where to label next."""
    return task.fit(task.targets, evidence(task.labels))


def learn(task: Task, seed: int = 0) -> Learnt:
    """Learn from labels: the map, and what labels held out say of it.

    Parameters
    ----------
    task : Task
        Features and labels.
    seed : int
        Of the parts and blocks held out.
    """
    weights = evidence(task.labels)
    judged = _judge_labels(task, weights, seed)
    y, x = task.positions.T
    targets = task.targets[y, x]
    right = _chance_right(judged[np.arange(len(targets)), targets], len(task.classes))
    weights[y, x] *= right
    told, tested, apart = _held_out(task, seed)
    stands = areas(task.labels, task.missing)[tested]
    pieces = min(effective(stands), float(evidence(task.labels)[y, x][tested].sum()))
    worth = stands * pieces / max(float(stands.sum()), 1e-12)
    number, warm = STRENGTHS.index(fast_model.USUAL), 1.0
    if worth.any():
        # A wrong label has no neighbours that agree: it would speak against them.
        number = best_strength(told, targets[tested], worth * right[tested])
        warm = temperature(told[number], targets[tested], worth)
    whole = task.fit(task.targets, weights)
    probability = np.exp(log_softmax(np.log(whole.spread(STRENGTHS[number])) / (SHARPER * warm)))
    numbers = np.array(task.classes)
    labels = numbers[targets]
    why = why_too_few(labels[tested], pieces, task.classes)
    held_out = None
    if not why:
        said = np.exp(log_softmax(told[number] / warm))
        held_out = HeldOut(
            task.positions[tested],
            labels[tested],
            numbers[said.argmax(axis=1)],
            said.astype(np.float32),
            worth,
            task.classes,
            apart,
        )
    return Learnt(
        whole.heads,
        STRENGTHS[number],
        SHARPER * warm,
        probability,
        whole,
        held_out,
        why,
        _disagreements(task.positions, labels, judged, numbers),
    )


def _judge_labels(task: Task, weights: Array, seed: int) -> Array:
    """Return what models say of each label that have not seen it, ``[n, class]``.

    Neighbours are seen: they are what tells a slip of the hand.
    """
    y, x = task.positions.T
    targets = task.targets[y, x]
    classes = len(task.classes)
    rng = np.random.default_rng(seed)
    part = np.empty(len(targets), int)
    for target in range(classes):
        own = rng.permutation(np.flatnonzero(targets == target))
        # Nobody can judge the only label of a class.
        part[own] = np.arange(len(own)) % PARTS if len(own) > 1 else -1
    said = np.full((len(targets), classes), 1 / classes)
    for number in range(PARTS):
        test = part == number
        if test.any():
            fitted = task.fit_without(~test, weights, rounds=1)
            said[test] = fitted.usual[y[test], x[test]]
    return said


def _chance_right(probability: Array, classes: int) -> Array:
    """Return how likely each label is right, given what others say of its class, ``[n]``.

    A share of the labels is wrong; how many is found from the labels themselves.
    """
    share = WRONG
    for _ in range(10):
        right = (1 - share) * probability
        right = right / (right + share / classes)
        share = float(np.clip((1 - right).mean(), LEAST_WRONG, MOST_WRONG))
    return np.asarray(right)


def _held_out(task: Task, seed: int) -> tuple[list[Array], npt.NDArray[np.int64], float]:
    """Return log-probabilities ``[n, class]`` of tested labels at each strength, and which.

    Every label is tested at most once.
    """
    folds, apart = split(task.labels, seed, task.missing)
    y, x = task.positions.T
    told: list[list[Array]] = [[] for _ in STRENGTHS]
    tested = [np.empty(0, np.int64)]
    for fold in folds:
        if len(np.unique(task.targets[y[fold.train], x[fold.train]])) < len(task.classes):
            continue
        fitted = task.fit_blindly(fold.train)
        for number, strength in enumerate(STRENGTHS):
            spread = fitted.spread(strength)[y[fold.test], x[fold.test]]
            told[number].append(np.log(np.maximum(spread, 1e-9)))
        tested.append(np.flatnonzero(fold.test))
    nothing = np.empty((0, len(task.classes)))
    return [np.concatenate([nothing, *one]) for one in told], np.concatenate(tested), apart


def _disagreements(
    positions: Labels, labels: Labels, judged: Array, numbers: Labels
) -> tuple[Disagreement, ...]:
    predicted = numbers[judged.argmax(axis=1)]
    surprise = np.where(predicted != labels, judged.max(axis=1), 0)
    order = np.argsort(-surprise, kind="stable")[: np.count_nonzero(surprise)]
    return tuple(
        Disagreement(
            int(positions[i, 0]),
            int(positions[i, 1]),
            int(labels[i]),
            int(predicted[i]),
            float(surprise[i]),
        )
        for i in order
    )
