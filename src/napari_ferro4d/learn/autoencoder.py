"""The convolutional autoencoder: train it on scans, embed a scan with it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_ferro4d.corrections import not_negative
from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Report
from napari_ferro4d.learn.compute import choose_device, import_torch, working_on
from napari_ferro4d.learn.data import (
    Preprocess,
    find_room,
    preprocess_of,
    read_patterns,
    thinning,
)
from napari_ferro4d.learn.model_files import Model, load_model
from napari_ferro4d.learn.training import (
    EMBEDDING,
    LINEAR,
    Phase,
    TrainingOptions,
    continued,
    fit_linear,
    new_header,
    refuse_training,
)
from napari_ferro4d.scan import Scan

from .moran import active_channels

if TYPE_CHECKING:
    import torch

    from napari_ferro4d.learn.compute import Ranks
    from napari_ferro4d.learn.training import Training


@dataclass(frozen=True, eq=False)
class Embedding:
    """What the encoder says about every probe position.

    Parameters
    ----------
    channels : ndarray
        float32 ``[channel, y, x]``; NaN where the file lacks a pattern. Not negative, but for
        ``"pca"``, ``"ica"`` and the means of a beta-VAE.
    active : tuple of int
        The channels that show more than noise, the most structured first; see
        `structure.active_channels`.
    """

    channels: npt.NDArray[np.float32]
    active: tuple[int, ...]


def train(
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
) -> Model:
    """Train an autoencoder on the patterns of one or more scans.

    Every pattern is read and preprocessed once, and kept in memory while that takes at most half of
    what is free, else in a temporary file (in ``$TMPDIR``, else ``/var/tmp``) of up to 256 GiB and
    nine tenths of the free disk. Only of more than that, every n-th row and column is used, which
    the progress and the model's header (``every``) tell.

    Started by ``torchrun`` in several processes, all of them train one model: each reads its own
    part of the patterns, and every process returns the same model.

    Parameters
    ----------
    scans : Scan or sequence of Scan
        Scans ``[y, x, ky, kx]`` of the same detector.
    preset : str, optional
        ``"paper"`` (256 x 256, for GPUs) or ``"compact"`` (at most 64 x 64, for CPUs); or a linear
        baseline, which is fitted on the CPU in seconds: ``"pca"`` (principal components),
        ``"nmf"`` (non-negative factors) or ``"ica"`` (independent components, which come apart best
        where few are asked for). None is that of `start` or `resume`, else ``"compact"``.
    embedding : int, optional
        Channels of the embedding. None is as in `start` or `resume`, else 32. A linear baseline
        has fewer where the patterns have fewer components.
    epochs : int, optional
        Passes over the patterns; the phases of the schedule are stretched or shortened to it. None
        is the schedule as it is.
    schedule : str, path or sequence of Phase, optional
        One of `SCHEDULES`; a TOML file with a table ``[[phase]]`` for each `Phase`; phases; or
        ``"auto"``, which raises the sparsity until the number of active channels no longer falls,
        and stops when the maps no longer change. None is the preset's own, or that of `resume`.
    start : Model, optional
        A trained model to go on from with a new schedule: its network, weights and preprocessing.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
    seed : int
        Of the initial weights and the order of the patterns. On a CPU, the same seed, kind of
        processor, number of threads and versions give the same model, bit by bit.
    divergence : {"code", "text"}
        The divergence term as in the paper's code, or as in its text; see `losses.objective`.
    variational : bool
        Make it a beta-VAE, the paper's comparison; its weight beta is in the phases.
    resume : path, optional
        A checkpoint from which to go on. Preset, embedding, seed, divergence and scans must be
        those it was made with, and the schedule too if it is to be ``"auto"``; then the result is
        the one of an uninterrupted training.
    checkpoint : path, optional
        Written atomically after each epoch; it stays when the training is cancelled. It holds the
        last epoch, and the best of its phase; see `finished`.
    report : callable, optional
        Receives a `Progress` several times per second, with a `TrainingState` as its `partial`;
        may raise `Cancelled`.

    Returns
    -------
    Model
        Of kind ``"autoencoder"``, as it is after the last epoch.

    Raises
    ------
    ScanError
        If the scans differ in detector, hold negative or non-finite counts, the device is not
        there, what is asked for is unknown or contradicts itself, or a disk is full.
    ModelError
        If the checkpoint is of another training, `start` is for another detector, or there is not
        enough memory for a single pattern.

    References
    ----------
    Ludacka et al., npj Comput. Mater. 10, 106 (2024), doi:10.1038/s41524-024-01265-y.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> scan = Scan.from_array(rng.poisson(5.0, (4, 4, 16, 16)).astype(np.uint16))
    >>> train(scan, epochs=1, embedding=8, device="cpu").header["preset"]
    'compact'
    """
    given = dict(locals())  # by names that are those of the fields, too
    for name in ("scans", "resume", "checkpoint", "report"):
        del given[name]
    options = TrainingOptions(**given)
    return train_with_options(scans, options, resume=resume, checkpoint=checkpoint, report=report)


def train_with_options(
    scans: Scan | Sequence[Scan],
    options: TrainingOptions,
    *,
    resume: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    report: Report | None = None,
) -> Model:
    """Train an autoencoder as `train` does, whose options are one object here."""
    import_torch()
    from napari_ferro4d.learn.compute import joined, single_thread

    scans = tuple(map(not_negative, (scans,) if isinstance(scans, Scan) else scans))
    options.check()
    _of_one_detector(scans)
    where = choose_device(options.device)
    if options.preset in LINEAR:
        reading = None if options.divergence == "code" else options.divergence
        refuse_training(
            options.preset,
            epochs=options.epochs,
            schedule=options.schedule,
            start=options.start,
            resume=resume,
            divergence=reading,
            variational=options.variational,
        )
        channels = options.embedding or EMBEDDING
        return fit_linear(scans, options.preset, channels, seed=options.seed, report=report)
    if resume is not None and options.start is not None:
        raise ScanError("resume goes on with a training, start begins a new one; give one of them.")
    before = options.start if resume is None else load_model(resume)
    if before is not None and before.kind == "autoencoder":
        _check_model(before)
    if resume is None or before is None:
        header = new_header(scans, options)
    else:
        header = continued(scans, options, before, str(resume))
    one = single_thread(header["preset"] == "compact")
    with working_on(where), joined(where) as ranks, one:
        # Kept by no name, so that its memory is free when `working_on` gives that back.
        prepared = (scans, header, where, ranks, options.start, before, report)
        return _prepared(*prepared).run(checkpoint, report)


def _prepared(
    scans: tuple[Scan, ...],
    header: dict[str, Any],
    device: torch.device,
    ranks: Ranks,
    start: Model | None,
    before: Model | None,
    report: Report | None,
) -> Training:
    """Read the patterns, and return the training on them."""
    from napari_ferro4d.learn.training import Training

    how = Preprocess.from_json(header["preprocess"])
    room = find_room()
    if before is None or before is start:
        # The same in all processes, though each finds another room.
        header["every"] = ranks.largest(thinning(scans, how.size, room, ranks.count), device)
    problem: Exception | None = None
    cache = None
    try:
        part = (ranks.rank, ranks.count)
        every = header["every"]
        cache = read_patterns(scans, how, report, every=every, part=part, room=room)
    except ScanError as error:
        problem = error
    ranks.all_well(problem, device)
    assert cache is not None
    if ranks.all(cache.dark, device):
        raise ScanError(f"{scans[0].where()}: every count is zero; there is nothing to learn from.")
    resume = None if before is start else before
    return Training(header, cache, device, start=start, resume=resume, ranks=ranks)


def embed(
    scan: Scan, model: Model, *, device: str = "auto", report: Report | None = None
) -> Embedding:
    """Embed every pattern of a scan with a trained autoencoder.

    Parameters
    ----------
    scan : Scan
        ``[y, x, ky, kx]``, of the detector that the model was trained for; not necessarily a scan
        that it was trained on. It is read block by block.
    model : Model
        From `train` or `load_model`.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
    report : callable, optional
        Receives a `Progress` several times per second; may raise `Cancelled`.

    Returns
    -------
    Embedding
        All channels, and which of them are active.

    Raises
    ------
    ModelError
        If the model is no autoencoder, or for another detector.
    ScanError
        If counts are negative or not finite, or the device is not there.

    Notes
    -----
    The same on every run of one machine. Another kind of processor, or another number of threads,
    adds in another order: the embedding of the paper's network then differs by some 1e-6 of it.
    """
    import_torch()
    from napari_ferro4d.learn.compute import single_thread
    from napari_ferro4d.learn.model_files import load_network
    from napari_ferro4d.learn.networks import build_autoencoder

    from .inference import apply

    scan = not_negative(scan)
    where = choose_device(device)
    how = preprocess_of(model, "autoencoder", scan)
    _check_model(model)
    network = build_autoencoder(model.header)
    load_network(network, model.weights)
    with working_on(where), single_thread(model.header["preset"] == "compact"):
        network.to(where).eval()
        encode = network.frozen_encode()
        channels = apply(scan, how, encode, network, where, report, "embedding patterns")
    return Embedding(channels, active_channels(channels))


def _check_model(model: Model) -> None:
    from napari_ferro4d.learn.model_files import check_network

    check_network(model.header, model.weights)


def _of_one_detector(scans: tuple[Scan, ...]) -> None:
    if not scans:
        raise ScanError("no scan was given; training needs at least one.")
    first = scans[0]
    for scan in scans[1:]:
        if scan.detector_shape != first.detector_shape:
            raise ScanError(
                f"{scan.where()}: the detector has {_by(scan)} pixels, that of {first.where()} "
                f"{_by(first)}; train on scans of one detector."
            )


def _by(scan: Scan) -> str:
    return " x ".join(str(n) for n in scan.detector_shape)
