"""The training loop of the autoencoder: epochs, batches, checkpoints."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_ferro4d.errors import ModelError
from napari_ferro4d.jobs import Report, Steps
from napari_ferro4d.learn.compute import ALONE, BATCH, Ranks, call_between_layers
from napari_ferro4d.learn.data import (
    BatchLoader,
    Cache,
    batches,
    numbered_anew,
    sample_tiles,
    seed_of,
)
from napari_ferro4d.learn.model_files import (
    BEST,
    Model,
    finished,
    load_network,
    load_optimizer,
    network_arrays,
    optimizer_arrays,
    save_model,
    seeded,
    sweep,
)
from napari_ferro4d.learn.networks import build_autoencoder

from .automatic_schedule import AUTOMATIC, most_epochs, onward
from .channel_monitor import ChannelMonitor, active_in, likeness, thumbnails
from .gradient import Gradient, portion_for
from .history import TERMS, History
from .schedule import Phase, learning_rate, phase_at, total_epochs
from .training_state import TrainingState

START_PATTERNS = {"paper": 0, "compact": 8192}
"""Patterns from which a network is started, at most but for a tile of each scan. The paper's takes
nothing over from patterns, and so many of its would be 2 GB."""

THUMBNAILS_EVERY_S = 2.0
TELL_EVERY_S = 0.1
"""On a GPU, where asking for the loss means to wait for it."""


class Training:
    """One training, from the beginning or from a checkpoint.

    Parameters
    ----------
    header : mapping
        Of the model in the making; says all but the patterns.
    cache : Cache
        The patterns, or this process's part of them.
    device : torch.device
        Where to compute.
    start : Model or None
        Whose network to begin with.
    resume : Model or None
        Checkpoint to go on from.
    ranks : Ranks
        The processes that share the work.
    """

    def __init__(
        self,
        header: Mapping[str, Any],
        cache: Cache,
        device: torch.device,
        *,
        start: Model | None = None,
        resume: Model | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self._header = dict(header)
        self._device, self._ranks, self._cache = device, ranks, cache
        self._phases = tuple(Phase.from_json(phase) for phase in header["schedule"])
        self._how = AUTOMATIC[header["preset"]] if header["automatic"] else None
        self._history = History.from_json(header["history"]) if resume else History()
        if self._how is None:
            self._history.alike.clear()  # the schedule was "auto" until now
        with seeded(int(header["seed"])):
            network = build_autoencoder(header)
            before = resume or start
            if before is None:
                network.start(*self._sample())
            else:
                load_network(network, before.weights)
        self._network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        ranks.take_first(self._network)
        self._optimizer = torch.optim.Adam(network.parameters(), fused=True)
        if resume is not None and len(self._history) < total_epochs(self._phases):
            load_optimizer(self._optimizer, resume.weights)
        self._best = {} if resume is None else _kept(resume, len(self._history))
        self._loader = BatchLoader(cache.patterns, device, cache.on_disk)
        self._gradient = Gradient(network, header, portion_for(header, device), ranks, device)
        self._monitor = ChannelMonitor(cache, ranks, device)
        self._maps = self._look() if self._how is not None and resume is not None else None
        self._thumbnails: np.ndarray | None = None
        self._refreshed = -math.inf

    def run(self, checkpoint: str | os.PathLike[str] | None, report: Report | None) -> Model:
        """Train until the schedule is over and return the model.

        Raises
        ------
        ModelError
            If the loss is no longer finite, one pattern takes more memory than there is, or
            another process has ended.
        ScanError
            If the checkpoint cannot be written.
        """
        if checkpoint is not None and self._ranks.first:
            sweep(Path(checkpoint))
        self._steps = Steps(report, self._left() * self._per_epoch(), "training")

        def look() -> None:
            self._steps.add(0, partial=self._state())

        with call_between_layers(self._network, look, self._device):
            while len(self._history) < total_epochs(self._phases):
                self._epoch()
                if checkpoint is not None and self._ranks.first:
                    save_model(self._model(resumable=True), checkpoint)
                look()
        return self._model()

    def _epoch(self) -> None:
        epoch = len(self._history)
        phase, number = phase_at(self._phases, epoch)
        chosen = batches(
            self._cache.total, BATCH[self._header["preset"]], int(self._header["seed"]), epoch
        )
        own = [_own(batch, self._cache) for batch in chosen]
        loaded = self._loader.batches(
            [batch[rows] - self._cache.first for batch, rows in zip(chosen, own, strict=True)]
        )
        done = torch.zeros(1 + len(TERMS), dtype=torch.float64, device=self._device)
        told, loss = -math.inf, ""
        rate = phase.learning_rate
        self._network.train()
        for index, patterns in enumerate(loaded):
            rate = learning_rate(phase, (number + index / len(chosen)) / phase.epochs)
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            self._optimizer.zero_grad()
            noise = self._noise(epoch, index, len(chosen[index]), own[index])
            terms = self._gradient.add(patterns, phase, len(chosen[index]), noise)
            self._optimizer.step()
            done += terms
            if self._device.type == "cpu" or time.monotonic() - told > TELL_EVERY_S:
                told = time.monotonic()
                loss = f", loss {_finite(float(terms[0]), epoch):.4g}"
            message = f"epoch {epoch + 1} of {self._epochs()}{loss}{self._gradient.note}"
            self._steps.add(1, message, self._state())
        mean = (done / len(chosen)).tolist()
        # The loss of the last batch is that before its step.
        if not self._sound():
            raise _diverged("network", epoch)
        self._record(_finite(mean[0], epoch), dict(zip(TERMS, mean[1:], strict=True)), rate)

    def _sound(self) -> bool:
        """Return whether all numbers of network and optimiser are finite."""
        states = (values for state in self._optimizer.state.values() for values in state.values())
        numbers = (*self._network.parameters(), *states)
        finite = [one.detach().isfinite().all().to(self._device) for one in numbers]
        return bool(torch.stack(finite).all())

    def _noise(self, epoch: int, index: int, count: int, rows: np.ndarray) -> torch.Tensor | None:
        """Return what the patterns of a batch that are here are sampled with, if anything."""
        with seeded(seed_of(int(self._header["seed"]), epoch, index)):
            drawn = self._network.noise(count)
        return None if drawn is None else drawn[torch.from_numpy(rows).to(drawn.device)]

    def _record(self, loss: float, terms: dict[str, float], rate: float) -> None:
        history = self._history
        epoch = len(history)
        history.losses.append(loss)
        history.learning_rates.append(rate)
        for name, value in terms.items():
            history.terms[name].append(value)
        self._remember_best(epoch)
        if self._how is None and epoch % self._monitor.every and epoch + 1 < self._epochs():
            history.active.append(history.active[-1])
            return
        maps = self._look()
        history.active.append(len(active_in(maps)))
        if maps and time.monotonic() - self._refreshed > THUMBNAILS_EVERY_S:
            self._thumbnails, self._refreshed = thumbnails(maps), time.monotonic()
        if self._how is not None:
            history.alike.append(0.0 if self._maps is None else likeness(maps, self._maps))
            self._maps = maps
            self._phases = onward(self._how, self._phases, history.active, history.alike)
            self._header["schedule"] = [phase.to_json() for phase in self._phases]
            self._steps.total = self._steps.done + self._left() * self._per_epoch()

    def _look(self) -> list[np.ndarray]:
        channels = int(self._header["network"]["embedding"])
        return self._monitor.maps(self._network, channels, self._gradient.portion.patterns)

    def _remember_best(self, epoch: int) -> None:
        """Keep the network if this epoch is the best so far of its phase."""
        best = self._header.get("best")
        loss = self._history.losses[epoch]
        phase = phase_at(self._phases, epoch)[1]
        # The number within the phase tells how many epochs back the phase began.
        if best is None or best["epoch"] <= epoch - phase or loss <= best["loss"]:
            self._header["best"] = {"epoch": epoch + 1, "loss": loss}
            self._best = network_arrays(self._network)

    def _sample(self) -> tuple[torch.Tensor, tuple[np.ndarray, ...]]:
        """Return tiles of the scans, the same in every process: their patterns and places."""
        cache = self._cache
        places, numbers = numbered_anew(
            sample_tiles(cache.places, START_PATTERNS[self._header["preset"]])
        )
        if self._ranks.count == 1:
            return torch.from_numpy(cache.patterns[numbers])[:, None], places
        size = cache.patterns.shape[-1]
        sample = torch.zeros(len(numbers), 1, size, size, device=self._device)
        own = _own(numbers, cache)
        here = torch.from_numpy(cache.patterns[numbers[own] - cache.first])[:, None]
        sample[torch.from_numpy(own)] = here.to(self._device)
        self._ranks.sum(sample)
        return sample.cpu(), places

    def _epochs(self) -> int:
        return (
            total_epochs(self._phases)
            if self._how is None
            else most_epochs(self._how, self._phases)
        )

    def _left(self) -> int:
        over = len(self._history) >= total_epochs(self._phases)
        return 0 if over else self._epochs() - len(self._history)

    def _per_epoch(self) -> int:
        return -(-self._cache.total // BATCH[self._header["preset"]])

    def _state(self) -> TrainingState:
        history = self._history
        return TrainingState(
            len(history),
            len(history) + self._left(),
            tuple(history.losses),
            terms={name: tuple(values) for name, values in history.terms.items()},
            learning_rates=tuple(history.learning_rates),
            active=tuple(history.active),
            thumbnails=self._thumbnails,
        )

    def _model(self, *, resumable: bool = False) -> Model:
        header = {
            **self._header,
            "history": self._history.to_json(),
            "portion": self._gradient.portion_json(),
        }
        weights = network_arrays(self._network)
        if resumable:
            weights |= optimizer_arrays(self._optimizer)
            if self._header["best"]["epoch"] != len(self._history):
                weights |= {BEST + name: value for name, value in self._best.items()}
        return Model("autoencoder", header, weights)


def _own(batch: np.ndarray, cache: Cache) -> np.ndarray:
    """Return which patterns of a batch are in this process's part."""
    return np.flatnonzero((batch >= cache.first) & (batch < cache.first + len(cache.patterns)))


def _kept(resume: Model, epochs: int) -> dict[str, np.ndarray]:
    """Return the best network of a checkpoint, which is the last one where that is the best."""
    best = resume.header.get("best") or {}
    if best.get("epoch") == epochs:
        return dict(finished(resume).weights)
    return {k.removeprefix(BEST): v for k, v in resume.weights.items() if k.startswith(BEST)}


def _finite(loss: float, epoch: int) -> float:
    if not math.isfinite(loss):
        raise _diverged("loss", epoch)
    return loss


def _diverged(what: str, epoch: int) -> ModelError:
    return ModelError(
        f"the {what} is no longer finite in epoch {epoch + 1}; the last checkpoint is kept. Look "
        "for hot pixels in the scan, or train with a lower learning rate."
    )
