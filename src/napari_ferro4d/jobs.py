"""Long work: progress and cancel as plain data; knows neither Qt nor terminals.

A long function takes ``report``, a callable that receives a `Progress` after every piece of work.
To cancel, the callable raises `Cancelled`; the function lets it pass, so whatever was complete
stays complete and nothing half-done is returned. Bars and buttons are somebody else's business.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Cancelled", "Progress", "Report", "Steps"]


class Cancelled(Exception):
    """Raised by a ``report`` callable to stop the work that called it."""


@dataclass(frozen=True)
class Progress:
    """How far a piece of work has come.

    Parameters
    ----------
    done, total : int
        Items done and items in all (probe positions, batches, epochs: see `message`).
    message : str
        What is being done, for example ``"epoch 3 of 20, loss 0.0123"``.
    seconds_left : float or None
        Estimate of the time left; None until there is something to estimate from.
    partial : object or None
        What can be shown already, for example the losses so far.
    """

    done: int
    total: int
    message: str = ""
    seconds_left: float | None = None
    partial: Any = None


Report = Callable[[Progress], None]


class Steps:
    """Count steps of known number and report each of them, with the time left.

    Parameters
    ----------
    report : callable or None
        Receives a `Progress` per step; may raise `Cancelled`. None reports to nobody.
    total : int
        Number of steps in all.
    message : str
        Said with every report, unless a step says something else.

    Examples
    --------
    >>> seen = []
    >>> steps = Steps(seen.append, 2, "reading rows")
    >>> steps.add(); steps.add()
    >>> [(p.done, p.total, p.message) for p in seen]
    [(0, 2, 'reading rows'), (1, 2, 'reading rows'), (2, 2, 'reading rows')]
    """

    def __init__(self, report: Report | None, total: int, message: str = "") -> None:
        self._report = report
        self._total = total
        self._message = message
        self._done = 0
        self._start = time.monotonic()
        self.add(0)

    @property
    def done(self) -> int:
        """Number of steps so far."""
        return self._done

    @property
    def total(self) -> int:
        """Number of steps in all; may be set where work turns out shorter or longer."""
        return self._total

    @total.setter
    def total(self, total: int) -> None:
        self._total = total

    def add(self, count: int = 1, message: str | None = None, partial: Any = None) -> None:
        """Count `count` more steps and report; ``add(0)`` only gives cancel a chance.

        Raises
        ------
        Cancelled
            If the report callable asks for the work to stop.
        """
        self._done += count
        if message is not None:
            self._message = message
        if self._report is None:
            return
        left = None
        if self._done:
            elapsed = time.monotonic() - self._start
            left = elapsed / self._done * (self._total - self._done)
        self._report(Progress(self._done, self._total, self._message, left, partial))
