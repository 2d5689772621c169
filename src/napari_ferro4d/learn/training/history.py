"""The course of a training, epoch by epoch, as it goes into the model's header. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

TERMS = ("reconstruction", "activity", "similarity", "divergence", "kl")
"""Parts of the loss, in the order of `losses.Terms` after its total."""


@dataclass
class History:
    """What each epoch brought.

    Parameters
    ----------
    losses : list of float
        Mean loss.
    terms : dict of str to list of float
        Mean of each term, without its weight.
    learning_rates : list of float
        At the end of the epoch.
    active : list of int
        Active channels.
    alike : list of float
        Likeness of the maps with those an epoch before; kept for the schedule "auto" only.
    """

    losses: list[float] = field(default_factory=list)
    terms: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in TERMS})
    learning_rates: list[float] = field(default_factory=list)
    active: list[int] = field(default_factory=list)
    alike: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.losses)

    def to_json(self) -> dict[str, Any]:
        """Return the history as JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, header: Mapping[str, Any]) -> History:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            If it is something else.
        """
        losses = [float(loss) for loss in header["losses"]]
        terms = {name: [float(v) for v in header["terms"][name]] for name in TERMS}
        rates = [float(rate) for rate in header["learning_rates"]]
        active = [int(count) for count in header["active"]]
        alike = [float(value) for value in header.get("alike", ())]
        lengths = {len(losses), len(rates), len(active), *map(len, terms.values())}
        if len(lengths) != 1 or len(alike) not in (0, len(losses)):
            raise ValueError("the epochs of its history do not agree")
        return cls(losses, terms, rates, active, alike)
