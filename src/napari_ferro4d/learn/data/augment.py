"""Variations of labelled patterns: the same specimen at another dose, descan and orientation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from .symmetry import Symmetry


@dataclass(frozen=True)
class Augment:
    """Draw dose, intensity, position, orientation and counting noise of patterns anew.

    Parameters
    ----------
    classes : sequence of int
        Class numbers, in the order in which targets count them.
    shots : int
        Patterns that were averaged; 0 leaves dose and counting noise as they are, for values that
        are no counts.
    dose : float
        Lowest share of the dose: as if fewer of the electrons had come, each with the same chance.
    gain : float
        Standard deviation of the logarithm of the intensity.
    shift : float
        Largest shift in input pixels, in each direction, as of a descan that is not perfect.
    symmetry : Symmetry, optional
        Turns and mirrors, and what becomes of the classes; each pattern gets one of them.
    centre : tuple of float, optional
        Undiffracted beam ``(ky, kx)`` in input pixels, about which to turn; None is the middle.
    """

    classes: Sequence[int]
    shots: int = 1
    dose: float = 0.7
    gain: float = 0.1
    shift: float = 0.3
    symmetry: Symmetry | None = None
    centre: tuple[float, float] | None = None

    def __call__(
        self, inputs: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return variations of inputs ``[n, 1, size, size]``, log(1 + counts), and their targets.

        Targets are indices ``[n]`` of `classes`.
        """
        count, size, device = len(inputs), inputs.shape[-1], inputs.device
        counts = torch.expm1(inputs)
        if self.shots and self.dose < 1:
            share = self.dose ** torch.rand((count, 1, 1, 1), device=device)
            whole = (counts * self.shots).round()
            counts = torch.binomial(whole, share.expand_as(whole)) / self.shots
        counts = counts * torch.exp(self.gain * torch.randn((count, 1, 1, 1), device=device))
        shift = self.shift * (2 * torch.rand((count, 2), device=device) - 1)
        turns, becomes = self._operations(device)
        chosen = torch.randint(len(turns), (count,), device=device)
        counts = _turned(counts, turns[chosen], shift, self._off(size, device))
        if self.shots:
            counts = torch.poisson(counts * self.shots) / self.shots
        return torch.log1p(counts), becomes[chosen, targets]

    def mapped(self) -> np.ndarray:
        """Return what becomes of the targets: indices ``[operation, class]``."""
        numbers = list(self.classes)
        if self.symmetry is None:
            return np.arange(len(numbers))[None]
        self.symmetry.check(numbers)
        return np.array(
            [
                [numbers.index(operation.becomes[number]) for number in numbers]
                for operation in self.symmetry.operations
            ]
        )

    def _operations(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the matrices ``[operation, 2, 2]`` and what becomes of the targets."""
        turns = [((1, 0), (0, 1))]
        if self.symmetry is not None:
            turns = [operation.matrix for operation in self.symmetry.operations]
        return (
            torch.tensor(turns, dtype=torch.float32, device=device),
            torch.from_numpy(self.mapped()).to(device),
        )

    def _off(self, size: int, device: torch.device) -> torch.Tensor:
        """Return how far the beam is off the middle of a pattern."""
        middle = (size - 1) / 2
        ky, kx = self.centre or (middle, middle)
        return torch.tensor([ky - middle, kx - middle], device=device)


def _turned(
    counts: torch.Tensor, turns: torch.Tensor, shift: torch.Tensor, off: torch.Tensor
) -> torch.Tensor:
    """Turn patterns about the beam, then shift them, with linear interpolation.

    Parameters
    ----------
    counts : Tensor
        ``[n, 1, size, size]``.
    turns : Tensor
        ``[n, 2, 2]``: where a point ``(ky, kx)`` goes.
    shift : Tensor
        ``[n, 2]``, pixels along ky and kx.
    off : Tensor
        ``[2]``: how far the beam is off the middle, pixels.
    """
    size = counts.shape[-1]
    axis = torch.arange(size, device=counts.device) - (size - 1) / 2
    # Where each pixel comes from: the inverse, which of a turn is the transpose.
    back = turns.transpose(1, 2)
    start = off - (back @ (off + shift)[:, :, None])[:, :, 0]
    ky, kx = (
        back[:, row, 0, None, None] * axis[:, None]
        + back[:, row, 1, None, None] * axis
        + start[:, row, None, None]
        for row in (0, 1)
    )
    # torch counts x before y, and half the side as 1.
    grid = torch.stack([kx, ky], dim=-1) * (2 / size)
    # Beyond the edge it goes on as at the edge: there are counts there, too.
    return F.grid_sample(counts, grid, padding_mode="border", align_corners=False)
