"""What tests have a process of `learn.worker` do."""

from __future__ import annotations

import sys
import time

import numpy as np

from napari_ferro4d.jobs import Progress, Report
from napari_ferro4d.learn import TrainingState

__all__ = ["no_memory", "no_memory_for_the_answer", "states", "stuck", "talkative"]


def no_memory() -> None:
    """Ask for more memory than any machine has."""
    np.ones(2**50)


class Endless:
    """What cannot be packed for want of memory."""

    def __reduce__(self) -> str:
        raise MemoryError("too long")


def no_memory_for_the_answer() -> Endless:
    """Return what cannot be sent."""
    return Endless()


def stuck(report: Report) -> None:
    """Say something once and never ask whether to stop."""
    report(Progress(1, 2, "stuck"))
    while True:
        time.sleep(0.1)


def states(epochs: int, seconds: float, report: Report) -> int:
    """Report, as often as it goes, the state of a training; return how often that was."""
    losses = tuple(np.random.default_rng(0).random(epochs).tolist())
    pictures = np.ones((6, 32, 30), np.float32)
    state = TrainingState(
        epochs, epochs + 1, losses, (), {"activity": losses}, losses, (1, 2), pictures
    )
    begin, count = time.monotonic(), 0
    while time.monotonic() - begin < seconds:
        count += 1
        report(Progress(epochs, epochs + 1, "training", 1.5, state))
    return count


def talkative() -> str:
    """Print where answers might be looked for, and read where requests might."""
    print("hello", flush=True)
    return sys.stdin.read()
