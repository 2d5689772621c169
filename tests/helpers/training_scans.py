"""Small scans to train on, what is trained on them, and how to compare what comes of it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from napari_ferro4d import Scan, train
from napari_ferro4d.jobs import Cancelled, Progress
from napari_ferro4d.learn import Model, TrainingState

__all__ = ["counts", "model_of_two_epochs", "same", "stop_after"]


def counts(ny: int = 8, nx: int = 10, side: int = 16, seed: int = 0) -> np.ndarray:
    """Return patterns of two domains that differ by one reflection."""
    ky, kx = np.indices((side, side)) - side / 2
    mean = 40 * np.exp(-(ky**2 + kx**2) / 8)
    left, right = (mean + 20 * np.exp(-((ky - s) ** 2 + kx**2) / 6) for s in (5, -5))
    means = np.where((np.arange(nx) < nx // 2)[None, :, None, None], left, right)
    rng = np.random.default_rng(seed)
    return rng.poisson(np.broadcast_to(means, (ny, nx, side, side))).astype(np.uint8)


@functools.cache
def model_of_two_epochs() -> Model:
    """Return a model of `counts`, made once however many files test with it."""
    return train(Scan.from_array(counts()), embedding=4, epochs=2, device="cpu")


def same(a: Model, b: Model) -> bool:
    return a.weights.keys() == b.weights.keys() and all(
        np.array_equal(a.weights[name], b.weights[name]) for name in a.weights
    )


def stop_after(epoch: int, checkpoint: Path | None = None) -> Callable[[Progress], None]:
    """Return a report that cancels after an epoch, once that is in the checkpoint if there is one.

    The first report after an epoch comes before the checkpoint of that is written, which matters
    where there is none yet.
    """

    def report(progress: Progress) -> None:
        state = progress.partial
        over = isinstance(state, TrainingState) and state.epoch == epoch
        if over and (checkpoint is None or checkpoint.exists()):
            raise Cancelled

    return report
