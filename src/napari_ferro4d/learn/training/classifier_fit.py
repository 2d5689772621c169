"""The training loop of the paper's classifier: few labels, many small steps."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from napari_ferro4d.errors import ModelError
from napari_ferro4d.jobs import Report, Steps
from napari_ferro4d.learn.compute import call_between_layers
from napari_ferro4d.learn.data import Augment
from napari_ferro4d.learn.model_files import network_arrays, seeded
from napari_ferro4d.learn.networks import PaperClassifier

from .training_state import TrainingState

# Hardy et al. (2025): AdamW, decay 2e-3, plateau with patience 2 down to 3e-5; up to 400 epochs of
# 50 images.
STEPS = 800
BATCH = 32
LEARNING_RATE = 4e-4
LOWEST_RATE = 3e-5
WEIGHT_DECAY = 2e-3

LEARN, FIRST_HALF, SECOND_HALF, NEITHER = 0, 1, 2, -1
"""What a label is for: to learn from, to be held out (in two halves), or for neither because it
lies too near to one held out."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """What to learn.

    Parameters
    ----------
    patterns : ndarray
        float32 ``[n, size, size]``: log(1 + counts) of the labelled positions.
    targets : ndarray
        ``[n]`` indices of classes.
    evidence : ndarray
        ``[n]``: how much each label counts among those of its class.
    part : ndarray
        ``[n]``: `LEARN`, `FIRST_HALF`, `SECOND_HALF` or `NEITHER`.
    areas : ndarray
        ``[class]``: how much each class counts, whatever the number of its labels.
    sample : ndarray
        float32 ``[m, size, size]``: patterns of the scan, for the range of its values.
    """

    patterns: npt.NDArray[np.float32]
    targets: npt.NDArray[np.int64]
    evidence: npt.NDArray[np.float64]
    part: npt.NDArray[np.int64]
    areas: npt.NDArray[np.float64]
    sample: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class TrainedClassifier:
    """What a training leaves.

    Parameters
    ----------
    weights : mapping of str to array
        The network of the epoch with the lowest loss on all labels held out; of the last epoch
        where none is held out.
    logits : ndarray
        float32 ``[n, class]`` of the labels held out, each by the network of the epoch that is
        best for the other half of them; NaN for all others, and where the other half is empty.
    losses, validation : tuple of float
        Per epoch: mean loss on the labels learnt from, and loss on those held out.
    """

    weights: Mapping[str, np.ndarray]
    logits: npt.NDArray[np.float32]
    losses: tuple[float, ...]
    validation: tuple[float, ...]


def train_classifier(
    lesson: Lesson,
    augment: Augment,
    *,
    epochs: int | None = None,
    seed: int = 0,
    device: torch.device,
    report: Report | None = None,
) -> TrainedClassifier:
    """Train the paper's network on labels, with variations of their patterns.

    As in the paper, the epoch with the lowest loss on the labels held out is kept. Judged by the
    same labels it would look better than it is, the more the fewer there are; so each half of them
    is judged at the epoch that the other half chooses.

    Parameters
    ----------
    lesson : Lesson
        What to learn.
    augment : Augment
        How patterns vary.
    epochs : int, optional
        Passes over the labels; None is the paper's number.
    seed : int
        Of weights, order and variations.
    device : torch.device
        Where to compute.
    report : callable, optional
        Receives a `Progress` several times per second, with a `TrainingState` as its `partial`;
        may raise `Cancelled`.

    Raises
    ------
    ModelError
        If the loss, on the labels learnt from or held out, is no longer finite.

    References
    ----------
    Hardy et al. (2025), arXiv:2510.00693, "Model Training".
    """
    with seeded(seed, device):
        return _trained(lesson, augment, epochs, device, report)


def _trained(
    lesson: Lesson,
    augment: Augment,
    epochs: int | None,
    device: torch.device,
    report: Report | None,
) -> TrainedClassifier:
    network = PaperClassifier(len(lesson.areas), lesson.patterns.shape[-1])
    network.start(torch.from_numpy(lesson.sample)[:, None])
    network.to(device)
    inputs = torch.from_numpy(lesson.patterns)[:, None].to(device)
    targets = torch.from_numpy(lesson.targets).to(device)
    evidence = torch.from_numpy(lesson.evidence).float().to(device)
    per_class = torch.from_numpy(_weight_per_class(lesson, augment.mapped())).float().to(device)
    learnt = torch.from_numpy(np.flatnonzero(lesson.part == LEARN)).to(device)
    judges = _Judges(lesson, inputs, targets, evidence * per_class[targets])

    per_epoch = -(-len(learnt) // BATCH)
    total = epochs if epochs is not None else max(1, round(STEPS / per_epoch))
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True
    )
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=2, min_lr=LOWEST_RATE)
    steps = Steps(report, total * per_epoch, "training")
    losses: list[float] = []

    def state() -> TrainingState:
        return TrainingState(len(losses), total, tuple(losses), tuple(judges.losses))

    with call_between_layers(network, lambda: steps.add(0, partial=state()), device):
        while len(losses) < total:
            network.train()
            done = 0.0
            shuffled = learnt[torch.randperm(len(learnt)).to(device)]
            for chosen in shuffled.tensor_split(per_epoch):
                varied, becomes = augment(inputs[chosen], targets[chosen])
                weights = evidence[chosen] * per_class[becomes]
                loss = _weighted_loss(network(varied), becomes, weights)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                value = _finite(float(loss.detach()))
                done += value
                steps.add(1, f"epoch {len(losses) + 1} of {total}, loss {value:.4g}", state())
            losses.append(done / per_epoch)
            if judges.any:
                plateau.step(judges.judge(network))
    if judges.any:
        network.load_state_dict(judges.best)
    return TrainedClassifier(
        network_arrays(network), judges.logits, tuple(losses), tuple(judges.losses)
    )


class _Judges:
    """The labels held out: all choose the epoch to keep, each half that at which to judge others.

    Parameters
    ----------
    inputs, targets, weights : Tensor
        Of all labels: ``[n, 1, size, size]``, ``[n]``, ``[n]``.
    """

    def __init__(
        self,
        lesson: Lesson,
        inputs: torch.Tensor,
        targets: torch.Tensor,
        weights: torch.Tensor,
    ) -> None:
        places = np.flatnonzero((lesson.part == FIRST_HALF) | (lesson.part == SECOND_HALF))
        held = torch.from_numpy(places).to(inputs.device)
        first = lesson.part[places] == FIRST_HALF
        self.any = len(places) > 0
        self.losses: list[float] = []
        self.best: dict[str, torch.Tensor] = {}
        self.logits = np.full((len(lesson.targets), len(lesson.areas)), np.nan, np.float32)
        self._inputs, self._targets, self._weights = inputs[held], targets[held], weights[held]
        self._places = places
        self._halves = [half for half in (first, ~first) if half.any()]
        self._lowest = [math.inf] * len(self._halves)

    def judge(self, network: PaperClassifier) -> float:
        """Take note of an epoch, and return the loss of all labels held out."""
        network.eval()
        with torch.no_grad():
            logits = torch.cat([network(x) for x in torch.split(self._inputs, BATCH)])
        for number, half in enumerate(self._halves):
            loss = self._loss(logits, half)
            if loss < self._lowest[number]:
                self._lowest[number] = loss
                self.logits[self._places[~half]] = logits.cpu().numpy()[~half]
        loss = self._loss(logits, np.ones(len(self._places), bool))
        if loss < min(self.losses, default=math.inf):
            self.best = copy.deepcopy(network.state_dict())
        self.losses.append(loss)
        return loss

    def _loss(self, logits: torch.Tensor, chosen: npt.NDArray[np.bool_]) -> float:
        which = torch.from_numpy(chosen).to(logits.device)
        weights = self._weights[which]
        return _finite(float(_weighted_loss(logits[which], self._targets[which], weights)))


def _weight_per_class(lesson: Lesson, mapped: np.ndarray) -> npt.NDArray[np.float64]:
    """Return what evidence is multiplied by so that every class counts as its area.

    The evidence for a class is that of the labels learnt from which are, or are turned into, it.
    """
    learnt = lesson.part == LEARN
    count = len(lesson.areas)
    own = np.bincount(lesson.targets[learnt], lesson.evidence[learnt], minlength=count)
    found = np.zeros(count)
    for becomes in mapped:
        found[becomes] += own / len(mapped)
    return np.divide(lesson.areas, found, out=np.zeros(count), where=found > 0)


def _weighted_loss(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    each = F.cross_entropy(logits, targets, reduction="none")
    return (each * weights).sum() / weights.sum().clamp_min(1e-12)


def _finite(loss: float) -> float:
    if not math.isfinite(loss):
        raise ModelError("the loss is no longer finite; look for hot pixels.")
    return loss
