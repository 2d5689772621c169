"""Train, embed and decode in a Python process of their own, with which one talks through pipes.

The process that asks stays responsive: it imports no torch and computes nothing. Its memory and
that of the GPU are free once the other process has ended, and a crash there is an error here. What
goes through the pipes is JSON, arrays go through files; nothing is pickled.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_ferro4d.jobs import Report
from napari_ferro4d.learn.model_files import Model, load_model, save_model
from napari_ferro4d.scan import Scan

from .child import Trainer
from .messages import give_scan

if TYPE_CHECKING:
    from napari_ferro4d.learn.autoencoder import Embedding
    from napari_ferro4d.learn.training import Phase

__all__ = ["Trainer", "embed_in_process", "train_in_process", "traverse_in_process"]


def train_in_process(
    scans: Scan | Sequence[Scan],
    *,
    preset: str | None = None,
    embedding: int | None = None,
    epochs: int | None = None,
    schedule: str | os.PathLike[str] | Sequence[Phase] | None = None,
    start: Model | None = None,
    device: str = "auto",
    seed: int = 0,
    divergence: str = "code",
    variational: bool = False,
    resume: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    report: Report | None = None,
    trainer: Trainer | None = None,
) -> Model:
    """Train an autoencoder as `train` does, with the same result, in a process of its own.

    Parameters
    ----------
    scans, preset, embedding, epochs, schedule, start, device, seed, divergence, variational
        See `train`. Files are opened again by the process; a scan in memory goes through a
        temporary file of its size.
    resume, checkpoint : path, optional
        See `train`. The checkpoint is that of the last epoch finished, however the process ended.
    report : callable, optional
        Receives a `Progress` several times per second, from the start of the process on; may
        raise `Cancelled`, which comes back within half a second.
    trainer : Trainer, optional
        The process to use, for several jobs one after the other. None is one for this job only.

    Returns
    -------
    Model
        Of kind ``"autoencoder"``.

    Raises
    ------
    ScanError, ModelError
        What `train` raises; `ModelError` also if the process crashed or was killed.

    Examples
    --------
    >>> from napari_ferro4d.simulate import demo_scan
    >>> with Trainer() as trainer:
    ...     options = {"embedding": 4, "epochs": 1, "device": "cpu", "trainer": trainer}
    ...     model = train_in_process(demo_scan(), **options)
    >>> len(model.header["history"]["losses"])
    1
    """
    several = [scans] if isinstance(scans, Scan) else list(scans)
    options: dict[str, Any] = {
        "preset": preset,
        "embedding": embedding,
        "epochs": epochs,
        "schedule": _phases(schedule),
        "device": device,
        "seed": seed,
        "divergence": divergence,
        "variational": variational,
        "resume": None if resume is None else os.path.abspath(resume),
        "checkpoint": None if checkpoint is None else os.path.abspath(checkpoint),
    }
    with _answered(trainer, "train", several, start, options, report) as answer:
        return load_model(answer["model"])


def embed_in_process(
    scan: Scan,
    model: Model,
    *,
    device: str = "auto",
    report: Report | None = None,
    trainer: Trainer | None = None,
) -> Embedding:
    """Embed a scan as `embed` does, with the same result, in a process of its own.

    Parameters
    ----------
    scan, model, device
        See `embed`.
    report, trainer
        See `train_in_process`.

    Returns
    -------
    Embedding
        All channels, and which of them are active.

    Raises
    ------
    ScanError, ModelError
        What `embed` raises; `ModelError` also if the process crashed or was killed.
    """
    from napari_ferro4d.learn.autoencoder import Embedding

    with _answered(trainer, "embed", [scan], model, {"device": device}, report) as answer:
        return Embedding(np.load(answer["channels"]), tuple(answer["active"]))


def traverse_in_process(
    model: Model,
    channel: int,
    values: Sequence[float] | npt.NDArray[np.floating],
    at: Sequence[float] | npt.NDArray[np.floating] | None = None,
    *,
    report: Report | None = None,
    trainer: Trainer | None = None,
) -> npt.NDArray[np.float32]:
    """Decode patterns as `traverse` does, with the same result, in a process of its own.

    Parameters
    ----------
    model, channel, values, at
        See `traverse`.
    report, trainer
        See `train_in_process`.

    Returns
    -------
    ndarray
        float32 ``[n, size, size]``: the patterns in counts.

    Raises
    ------
    ScanError, ModelError
        What `traverse` raises; `ModelError` also if the process crashed or was killed.
    """
    options = {
        "channel": channel,
        "values": np.asarray(values).tolist(),
        "at": None if at is None else np.asarray(at).tolist(),
    }
    with _answered(trainer, "traverse", [], model, options, report) as answer:
        patterns: npt.NDArray[np.float32] = np.load(answer["patterns"])
        return patterns


@contextmanager
def _answered(
    trainer: Trainer | None,
    what: str,
    scans: Sequence[Scan],
    model: Model | None,
    options: dict[str, Any],
    report: Report | None,
) -> Iterator[dict[str, Any]]:
    """Have a job done and give the answer; files that it names are there within the block."""
    with nullcontext(trainer) if trainer else Trainer() as used, used.job() as folder:
        given = [give_scan(scan, folder, number, report) for number, scan in enumerate(scans)]
        file = None if model is None else str(save_model(model, folder / "given.safetensors"))
        job = {"do": what, "folder": str(folder), "scans": given, "model": file, "options": options}
        yield used.ask(job, report)


def _phases(schedule: Any) -> Any:
    if schedule is None or isinstance(schedule, str | os.PathLike):
        return schedule
    return [phase.to_json() for phase in schedule]
