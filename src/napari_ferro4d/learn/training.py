"""The training loop of the autoencoder: batches, losses, checkpoints."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from napari_ferro4d.errors import ModelError
from napari_ferro4d.io.model import Model, save_model
from napari_ferro4d.jobs import Report, Steps

from .compact_autoencoder import CompactAutoencoder
from .losses import activity, divergence, similarity
from .networks import Autoencoder, build_autoencoder
from .precision import reduced_precision
from .progress import TrainingState
from .schedule import Phase, learning_rate, phase_at, total_epochs
from .watch import watched
from .weights import (
    load_network,
    load_optimizer,
    network_arrays,
    optimizer_arrays,
    seeded,
)

__all__ = ["Training", "backward"]

BATCH = {"paper": 32, "compact": 64}
"""Patterns per optimiser step."""

CPU_PART = {"paper": 1, "compact": 64}
"""Patterns at a time on a CPU: the paper's network needs 0.5 GB for the gradient of one pattern."""

START_PATTERNS = 8192
"""Most patterns from which the principal components of a compact network are taken."""


class Training:
    """One training, from the start or from a checkpoint.

    Parameters
    ----------
    header : mapping
        Of the model in the making; says all but the patterns.
    cache : ndarray
        Preprocessed patterns ``[n, size, size]``.
    device : torch.device
        Where to compute.
    start : Model or None
        Checkpoint to go on from.
    """

    def __init__(
        self,
        header: Mapping[str, Any],
        cache: npt.NDArray[np.float32],
        device: torch.device,
        start: Model | None = None,
    ) -> None:
        self._header = dict(header)
        self._device = device
        self._phases = [Phase.from_json(phase) for phase in header["schedule"]]
        self._losses: list[float] = list(header["history"]["losses"])
        self._patterns = torch.from_numpy(cache)[:, None]
        with seeded(int(header["seed"])):
            network = build_autoencoder(header)
            if start is not None:
                load_network(network, start.weights)
            elif isinstance(network, CompactAutoencoder):
                network.start(self._patterns[:: -(-len(cache) // START_PATTERNS)])
        self._network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimizer = torch.optim.Adam(network.parameters(), fused=True)
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
        size = BATCH[self._header["preset"]]
        return [torch.from_numpy(order[i : i + size]) for i in range(0, len(order), size)]

    def _state(self) -> TrainingState:
        losses = tuple(self._losses)
        return TrainingState(len(losses), total_epochs(self._phases), losses)

    def _model(self, extra: Mapping[str, np.ndarray]) -> Model:
        header = {**self._header, "history": {"losses": list(self._losses)}}
        return Model("autoencoder", header, {**network_arrays(self._network), **extra})


def backward(network: Autoencoder, batch: torch.Tensor, phase: Phase, part: int) -> float:
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
        embedding = network.encode(x).float()
        image = network.decode(embedding).float()
        # Divided by the network's unit, so that the lambdas mean the same on every scan.
        term = (image - x).square().mean() / network.scale**2
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
    network: Autoencoder, batch: torch.Tensor, phase: Phase, part: int
) -> tuple[torch.Tensor, float]:
    with torch.no_grad():
        parts = [network.encode(batch[i : i + part]).float() for i in range(0, len(batch), part)]
    embedding = torch.cat(parts).requires_grad_()
    term = phase.similarity * similarity(embedding)
    (gradient,) = torch.autograd.grad(term, embedding)
    return gradient, float(term.detach())
