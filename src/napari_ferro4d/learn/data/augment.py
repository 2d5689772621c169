"""Variations of labelled patterns that leave their class as it is."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Augment:
    """Draw intensity, position and counting noise of patterns anew.

    Parameters
    ----------
    shots : int
        Patterns that were averaged; 0 leaves the counting noise out, for values that are no counts.
    gain : float
        Standard deviation of the logarithm of the intensity.
    shift : float
        Largest shift in input pixels, in each direction.
    """

    shots: int = 1
    gain: float = 0.1
    shift: float = 0.3

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return variations of inputs ``[n, 1, size, size]``, which are log(1 + counts)."""
        one_each = (len(inputs), 1, 1, 1)
        counts = torch.expm1(inputs)
        counts = counts * torch.exp(self.gain * torch.randn(one_each, device=inputs.device))
        for axis in (2, 3):
            by = self.shift * (2 * torch.rand(one_each, device=inputs.device) - 1)
            # Linear interpolation with the neighbour on the one side or the other.
            moved = torch.where(by > 0, counts.roll(1, axis), counts.roll(-1, axis))
            counts = counts + by.abs() * (moved - counts)
        if self.shots:
            counts = torch.poisson(counts * self.shots) / self.shots
        return torch.log1p(counts)
