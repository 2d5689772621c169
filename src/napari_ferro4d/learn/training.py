"""The training loop of the autoencoder: batches, losses, checkpoints."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..errors import ModelError
from ..io.model import Model, save_model
from ..jobs import Report, Steps
from .losses import activity, divergence, similarity
from .precision import reduced_precision
from .progress import TrainingState
from .schedule import Phase, learning_rate, phase_at, total_epochs
from .watch import watched
from .weights import load_network, load_optimizer, network_arrays, optimizer_arrays

__all__ = ["Training", "backward"]

BATCH = {"paper": 32, "compact": 64}
"""Patterns per optimiser step."""

CPU_PART = {"paper": 1, "compact": 64}
"""Patterns at a time on a CPU: the paper's network needs 0.5 GB for the gradient of one pattern."""


class Training:
    """One training, from the start or from a checkpoint.

    Parameters
    ----------
    network : nn.Module
        With fresh weights, which `start` or the seed replaces.
    cache : ndarray
        Preprocessed patterns ``[n, size, size]``.
    header : mapping
        Of the model in the making: preset, seed, schedule and history are read from it.
    device : torch.device
        Where to compute.
    start : Model or None
        Checkpoint to go on from.
    """

    def __init__(
        self,
        network: nn.Module,
        cache: npt.NDArray[np.float32],
        header: Mapping[str, Any],
        device: torch.device,
        start: Model | None = None,
    ) -> None:
        self._header = dict(header)
        self._device = device
        self._phases = [Phase.from_json(phase) for phase in header["schedule"]]
        self._losses: list[float] = list(header["history"]["losses"])
        self._patterns = torch.from_numpy(cache)[:, None]
        self._network = network
        if start is None:
            _initialise(network, self._patterns, int(header["seed"]))
        else:
            load_network(network, start.weights)
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
        if start is not None and len(self._losses) < total_epochs(self._phases):
            load_optimizer(self._optimizer, start.weights)

    def run(self, checkpoint: str | os.PathLike[str] | None, report: Report | None) -> Model:
        """Train until the schedule is over and return the model.

        Raises
        ------
        ModelError
            If the loss is no longer finite.
        """
        epochs, batches = total_epochs(self._phases), len(self._batches(0))
        first = len(self._losses)
        steps = Steps(report, max(0, epochs - first) * batches, "training")

        def look() -> None:
            steps.add(0, partial=self._state())

        with watched(self._network, look, self._device):
            for epoch in range(first, epochs):
                self._losses.append(self._epoch(epoch, steps))
                if checkpoint is not None:
                    save_model(self._model(optimizer_arrays(self._optimizer)), checkpoint)
                look()
        return self._model({})

    def _epoch(self, epoch: int, steps: Steps) -> float:
        phase, number = phase_at(self._phases, epoch)
        batches = self._batches(epoch)
        preset = self._header["preset"]
        part = CPU_PART[preset] if self._device.type == "cpu" else BATCH[preset]
        total = 0.0
        self._network.train()
        for done, chosen in enumerate(batches):
            rate = learning_rate(phase, (number + done / len(batches)) / phase.epochs)
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            batch = self._patterns[chosen].to(self._device)
            self._optimizer.zero_grad()
            with reduced_precision(self._device, preset):
                loss = backward(self._network, batch, phase, part)
            if not math.isfinite(loss):
                raise ModelError(
                    f"the loss is no longer finite in epoch {epoch + 1}; the last checkpoint is "
                    "kept. Look for hot pixels in the scan."
                )
            self._optimizer.step()
            total += loss
            message = f"epoch {epoch + 1} of {total_epochs(self._phases)}, loss {loss:.4g}"
            steps.add(1, message, self._state())
        return total / len(batches)

    def _batches(self, epoch: int) -> list[torch.Tensor]:
        # The order depends on seed and epoch alone, so that a checkpoint needs no random state.
        order = np.random.default_rng([int(self._header["seed"]), epoch]).permutation(
            len(self._patterns)
        )
        return list(torch.from_numpy(order).split(BATCH[self._header["preset"]]))

    def _state(self) -> TrainingState:
        losses = tuple(self._losses)
        return TrainingState(len(losses), total_epochs(self._phases), losses)

    def _model(self, extra: Mapping[str, np.ndarray]) -> Model:
        header = {**self._header, "history": {"losses": list(self._losses)}}
        return Model("autoencoder", header, {**network_arrays(self._network), **extra})


def backward(network: nn.Module, batch: torch.Tensor, phase: Phase, part: int) -> float:
    """Add the gradients of the loss of one batch to the network's, `part` patterns at a time.

    Whatever `part` is, the result is that of the whole batch to rounding. All terms but one are
    means over the patterns, so that parts add up. The similarity couples all patterns: its gradient
    with respect to the embedding comes from an extra pass through the encoder alone.

    Returns
    -------
    float
        The loss.
    """
    n, coupling, loss = len(batch), None, 0.0
    if phase.similarity and part < n:
        coupling, loss = _coupling(network, batch, phase, part)
    for begin in range(0, n, part):
        x = batch[begin : begin + part]
        embedding = network.encode(x).float()  # type: ignore[operator]
        image = network.decode(embedding).float()  # type: ignore[operator]
        # Divided by the network's unit, so that the lambdas mean the same on every scan.
        term = (image - x).square().mean() / network.scale**2  # type: ignore[operator]
        term = term + phase.l1 * activity(embedding) - phase.divergence * divergence(embedding)
        term = term * (len(x) / n)
        if phase.similarity and coupling is None:
            term = term + phase.similarity * similarity(embedding)
        loss += float(term.detach())
        if coupling is not None:
            term = term + (embedding * coupling[begin : begin + part]).sum()
        term.backward()  # type: ignore[no-untyped-call]
    return loss


def _coupling(
    network: nn.Module, batch: torch.Tensor, phase: Phase, part: int
) -> tuple[torch.Tensor, float]:
    with torch.no_grad():
        parts = [network.encode(x).float() for x in batch.split(part)]  # type: ignore[operator,no-untyped-call]
    embedding = torch.cat(parts).requires_grad_()
    term = phase.similarity * similarity(embedding)
    (gradient,) = torch.autograd.grad(term, embedding)
    return gradient, float(term.detach())


def _initialise(network: nn.Module, patterns: torch.Tensor, seed: int) -> None:
    """Draw the weights from `seed`, and give a compact network the mean and spread of the data."""
    # Built before the seed is known to torch, so drawn again here, in the order of the layers.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in network.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    if isinstance(network.scale, torch.Tensor):
        # In parts: the mean of all patterns needs no second copy of the cache.
        network.mean.copy_(patterns.mean(dim=0))  # type: ignore[union-attr,operator,arg-type]
        squares = sum((p - network.mean).square().mean() * len(p) for p in patterns.split(1024))  # type: ignore[operator]
        spread = (squares / len(patterns)).sqrt()  # type: ignore[union-attr]
        network.scale.copy_(spread if spread > 0 else torch.ones(()))
