"""The gradient of a batch: in parts that fit into memory, over one process or several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch

from napari_ferro4d.errors import ModelError
from napari_ferro4d.learn.compute import (
    Portion,
    Ranks,
    available_memory,
    fitting,
    is_out_of_memory,
    launched,
    recomputed,
    smaller,
    training_precision,
)
from napari_ferro4d.learn.networks import Autoencoder

from .history import TERMS
from .losses import Reading, Whole, objective, survey
from .schedule import Phase

T = TypeVar("T")


def portion_for(header: Mapping[str, Any], device: torch.device) -> Portion:
    """Return how much to compute at a time: as before in this training, or as memory allows."""
    stored = header.get("portion")
    if stored is not None and stored["device"] == device.type:
        return Portion(int(stored["patterns"]), bool(stored["recompute"]))
    if device.type == "cuda":
        return fitting(header, torch.cuda.mem_get_info(device)[0], cpu=False)
    return fitting(header, available_memory() // launched().local_count, cpu=True)


class Gradient:
    """Adds the gradients of batches to those of a network.

    Parameters
    ----------
    network : Autoencoder
        The network, on `device`.
    header : mapping
        Of its model.
    portion : Portion
        How much to compute at a time. It is halved whenever memory runs out.
    ranks : Ranks
        The processes that share each batch.
    device : torch.device
        Where to compute.
    precision : torch.dtype, optional
        Of the convolutions, float32 or bfloat16. None is the faster one on this machine; then the
        same training gives other weights on another.
    """

    def __init__(
        self,
        network: Autoencoder,
        header: Mapping[str, Any],
        portion: Portion,
        ranks: Ranks,
        device: torch.device,
        precision: torch.dtype | None = None,
    ) -> None:
        self.portion = portion
        self.note = f"; {portion}" if portion.recompute else ""
        """What to tell the user about it: nothing unless memory is short."""
        self._network, self._ranks, self._device = network, ranks, device
        self._preset: str = header["preset"]
        self._precision = precision or training_precision(device, self._preset)
        self._reading: Reading = header["divergence"]
        self._channels = int(header["network"]["embedding"])

    def add(
        self, patterns: torch.Tensor, phase: Phase, count: int, noise: torch.Tensor | None
    ) -> torch.Tensor:
        """Add the gradient of the loss of a batch; return the loss and its terms.

        Parameters
        ----------
        patterns : Tensor
            Those of the batch that are here, ``[n, 1, size, size]``, n may be 0.
        phase : Phase
            The weights of the terms.
        count : int
            Patterns in the whole batch, over all processes.
        noise : Tensor or None
            What a variational network samples with, for each of `patterns`.

        Returns
        -------
        Tensor
            float64, on the device: the loss and the `history.TERMS` of the whole batch.

        Raises
        ------
        ModelError
            If there is not enough memory for one pattern, or another process has ended.
        """
        direction = self._direction(patterns, phase, noise)

        def work() -> torch.Tensor:
            nonlocal direction
            if direction is None:
                # Memory may have run out since: a batch that was whole is now in parts.
                direction = self._direction(patterns, phase, noise)
            return self._parts(patterns, phase, Whole(count, direction), noise)

        terms = self._retried(work)
        if not phase.similarity:
            # Without a weight every part counts its own pairs alone: a number that says nothing.
            terms[1 + TERMS.index("similarity")] = 0.0
        self._ranks.sum(terms)
        self._ranks.sum_gradients(self._network.parameters())
        return terms

    def portion_json(self) -> dict[str, Any]:
        """Return the portion for the header, so that a resumed training takes the same."""
        return {
            "device": self._device.type,
            "patterns": self.portion.patterns,
            "recompute": self.portion.recompute,
        }

    def _direction(
        self, patterns: torch.Tensor, phase: Phase, noise: torch.Tensor | None
    ) -> torch.Tensor | None:
        """Return what the similarity has to know of the whole batch; see `losses.survey`."""
        alone = self._ranks.count == 1
        if not phase.similarity or (alone and len(patterns) <= self.portion.patterns):
            return None

        def work() -> torch.Tensor | None:
            with self._autocast():
                return survey(
                    self._network, patterns, phase, self.portion.patterns, noise
                ).direction

        direction = self._retried(work) if len(patterns) else None
        if direction is None:
            direction = torch.zeros(self._channels, device=self._device)
        self._ranks.sum(direction)
        return direction

    def _parts(
        self, patterns: torch.Tensor, phase: Phase, whole: Whole, noise: torch.Tensor | None
    ) -> torch.Tensor:
        done = torch.zeros(1 + len(TERMS), dtype=torch.float64, device=self._device)
        size = self.portion.patterns
        with recomputed(self._network, self.portion.recompute):
            for begin in range(0, len(patterns), size):
                here = slice(begin, begin + size)
                drawn = None if noise is None else noise[here]
                with self._autocast():
                    terms = objective(
                        self._network,
                        patterns[here],
                        phase,
                        self._reading,
                        noise=drawn,
                        whole=whole,
                    )
                terms.total.backward()  # type: ignore[no-untyped-call]
                parts = (terms.total, *(getattr(terms, name) for name in TERMS))
                done += torch.stack([part.detach().double() for part in parts])
        return done

    def _autocast(self) -> torch.autocast:
        reduced = self._precision != torch.float32
        return torch.autocast(self._device.type, torch.bfloat16, enabled=reduced)

    def _retried(self, work: Callable[[], T]) -> T:
        """Do `work`, in smaller portions if memory runs out."""
        while True:
            try:
                return work()
            except (RuntimeError, MemoryError) as error:
                less = smaller(self.portion, self._preset)
                if not is_out_of_memory(error):
                    raise
                if less is None:
                    raise ModelError(
                        "there is not enough memory to learn from one pattern at a time; close "
                        "other programs, or train the compact preset."
                    ) from error
            # Here, where the error and with it all that the failed attempt kept is gone.
            self.portion, self.note = less, f"; memory is short: {less}"
            self._network.zero_grad()
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
