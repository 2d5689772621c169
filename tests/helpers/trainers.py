"""The processes of `learn.worker` that run."""

from __future__ import annotations

import psutil

__all__ = ["trainers"]


def trainers() -> list[psutil.Process]:
    """Return the trainers that this process started and that have not ended."""

    def ours(one: psutil.Process) -> bool:
        try:
            return any(word.endswith("worker.child") for word in one.cmdline())
        except psutil.Error:  # it has just ended
            return False

    return [one for one in psutil.Process().children() if ours(one)]
