"""How ``torchrun`` tells a process which of several it is. Knows no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Launch:
    """Which process of a training this is.

    Parameters
    ----------
    rank, count : int
        Its number among all processes, from 0, and how many there are.
    local_rank, local_count : int
        The same among those on this machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1


def launched() -> Launch:
    """Return which process this is: the only one, unless ``torchrun`` has set the environment."""
    if not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys():
        return Launch()
    rank = _number("RANK", 0)
    return Launch(
        rank,
        max(1, _number("WORLD_SIZE", 1)),
        _number("LOCAL_RANK", rank),
        max(1, _number("LOCAL_WORLD_SIZE", 1)),
    )


def _number(name: str, otherwise: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else otherwise
