"""The training loop of the classifier: few labels, many small steps."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from napari_ferro4d.errors import ModelError
from napari_ferro4d.jobs import Report, Steps
from napari_ferro4d.learn.compute import call_between_layers
from napari_ferro4d.learn.data import Augment

from .training_state import TrainingState


@dataclass(frozen=True)
class Recipe:
    """How a preset is trained.

    Parameters
    ----------
    steps : int
        Optimiser steps unless the number of epochs is given.
    batch : int
        Labels per step.
    learning_rate, weight_decay : float
        Of AdamW.
    keep_best : bool
        True keeps the epoch with the lowest validation loss and lowers the learning rate when it
        stops falling; False lowers it along half a cosine and keeps the last epoch.
    """

    steps: int
    batch: int
    learning_rate: float
    weight_decay: float
    keep_best: bool


RECIPES = {
    # Hardy et al. (2025): AdamW 4e-4, decay 2e-3, plateau with patience 2 down to 3e-5; up to 400
    # epochs of 50 images.
    "paper": Recipe(800, 32, 4e-4, 2e-3, keep_best=True),
    "compact": Recipe(400, 256, 5e-3, 1e-1, keep_best=False),
}


@dataclass(frozen=True, eq=False)
class Task:
    """What to learn.

    Parameters
    ----------
    inputs : Tensor
        ``[n, 1, size, size]``.
    targets : Tensor
        ``[n]`` indices of classes.
    held : Tensor
        bool ``[member, n]``: labels that a member must not be trained on.
    classes : int
        Number of classes.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    held: torch.Tensor
    classes: int


@dataclass(frozen=True)
class Fit:
    """What a training leaves: mean loss per epoch on the labels trained on and held out."""

    losses: tuple[float, ...]
    validation: tuple[float, ...]


def fit(
    network: nn.Module,
    task: Task,
    recipe: Recipe,
    augment: Augment,
    epochs: int | None,
    report: Report | None,
) -> Fit:
    """Train `network`, which gives logits ``[member, n, class]``, in place.

    Raises
    ------
    ModelError
        If the loss, on the labels trained on or held out, is no longer finite.
    """
    device = task.inputs.device
    per_epoch = -(-len(task.targets) // recipe.batch)
    total = epochs if epochs is not None else max(1, round(recipe.steps / per_epoch))
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=2, min_lr=3e-5)
    keep_best = recipe.keep_best and bool(task.held.any())
    steps = Steps(report, total * per_epoch, "training")
    losses: list[float] = []
    validation: list[float] = []
    best: tuple[float, dict[str, torch.Tensor]] = (math.inf, {})

    def state() -> TrainingState:
        return TrainingState(len(losses), total, tuple(losses), tuple(validation))

    with call_between_layers(network, lambda: steps.add(0, partial=state()), device):
        for epoch in range(total):
            network.train()
            done = 0.0
            for step, chosen in enumerate(_batches(len(task.targets), recipe.batch, device)):
                if not recipe.keep_best:
                    share = (epoch + step / per_epoch) / total
                    for group in optimizer.param_groups:
                        group["lr"] = recipe.learning_rate * (1 + math.cos(math.pi * share)) / 2
                loss = _loss(network(augment(task.inputs[chosen])), task, chosen)
                value = _finite(float(loss.detach()))
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                done += value
                steps.add(1, f"epoch {epoch + 1} of {total}, loss {value:.4g}", state())
            losses.append(done / per_epoch)
            if keep_best:
                validation.append(_finite(_validation_loss(network, task)))
                plateau.step(validation[-1])
                if validation[-1] < best[0]:
                    best = validation[-1], copy.deepcopy(network.state_dict())
    if keep_best:
        network.load_state_dict(best[1])
    network.eval()
    return Fit(tuple(losses), tuple(validation))


def _finite(loss: float) -> float:
    if not math.isfinite(loss):
        raise ModelError("the loss is no longer finite; look for hot pixels.")
    return loss


def _batches(count: int, size: int, device: torch.device) -> list[torch.Tensor]:
    order = torch.randperm(count).to(device)
    return [order[i : i + size] for i in range(0, count, size)]


def _loss(logits: torch.Tensor, task: Task, chosen: torch.Tensor) -> torch.Tensor:
    """Cross entropy summed over members, each over the labels that it may see.

    Classes weigh the same, however many labels they have.
    """
    targets = task.targets[chosen]
    counts = torch.bincount(task.targets, minlength=task.classes)
    weight = (counts.sum() / (task.classes * counts))[targets]
    seen = (~task.held[:, chosen]) * weight
    each = _cross_entropy(logits, targets)
    return ((each * seen).sum(dim=1) / seen.sum(dim=1).clamp_min(1e-6)).sum()


def _cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    members, count, classes = logits.shape
    flat = F.cross_entropy(
        logits.reshape(-1, classes), targets.expand(members, -1).reshape(-1), reduction="none"
    )
    return flat.view(members, count)


def _validation_loss(network: nn.Module, task: Task) -> float:
    logits, targets = held_out_logits(network, task)
    return float(F.cross_entropy(logits, targets))


def held_out_logits(network: nn.Module, task: Task) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the logits ``[k, class]`` of the labels held out, and their classes ``[k]``.

    Those of a label are the mean over the members that have not seen it.
    """
    network.eval()
    with torch.no_grad():
        logits = torch.cat([network(x) for x in task.inputs.split(256)], dim=1)  # type: ignore[no-untyped-call]
    unseen = task.held.any(dim=0)
    share = task.held[:, unseen].float()
    mean = (logits[:, unseen] * share[:, :, None]).sum(dim=0) / share.sum(dim=0)[:, None]
    return mean, task.targets[unseen]


def temperature(logits: torch.Tensor, targets: torch.Tensor) -> float:
    """Return the temperature that makes a softmax of `logits` fit `targets` best.

    The targets are softened by one count per class (Platt's correction), so that a few labels, all
    of them right, do not claim certainty.

    References
    ----------
    Guo et al., "On calibration of modern neural networks", ICML 2017.
    """
    count, classes = logits.shape
    hard = F.one_hot(targets, classes).float()
    soft = (hard * count + 1) / (count + classes)
    candidates = torch.logspace(-1, 1, 81, device=logits.device)
    loss = [
        float(-(soft * F.log_softmax(logits / value, dim=1)).sum(dim=1).mean())
        for value in candidates
    ]
    return float(candidates[loss.index(min(loss))])
