"""The convolutional autoencoder: train it on scans, embed a scan with it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ferro4d.correction import not_negative
from napari_ferro4d.errors import ModelError, ScanError
from napari_ferro4d.io.model import Model, load_model
from napari_ferro4d.jobs import Report
from napari_ferro4d.scan import Scan

from .cache import read_patterns, thinned
from .device import choose_device, import_torch
from .preprocess import Preprocess, compact_size, fit_preprocess, preprocess_of
from .schedule import PRESETS, resize
from .structure import active_channels
from .versions import described, versions

__all__ = ["Embedding", "embed", "train"]


@dataclass(frozen=True, eq=False)
class Embedding:
    """What the encoder says about every probe position.

    Parameters
    ----------
    channels : ndarray
        float32 ``[channel, y, x]``, not negative; NaN where the file lacks a pattern.
    active : tuple of int
        The channels that show more than noise, the most structured first; see
        `structure.active_channels`.
    """

    channels: npt.NDArray[np.float32]
    active: tuple[int, ...]


def train(
    scans: Scan | Sequence[Scan],
    *,
    preset: str = "compact",
    embedding: int = 32,
    epochs: int | None = None,
    device: str = "auto",
    seed: int = 0,
    resume: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    report: Report | None = None,
) -> Model:
    """Train an autoencoder on the patterns of one or more scans.

    Parameters
    ----------
    scans : Scan or sequence of Scan
        Scans ``[y, x, ky, kx]`` of the same detector. If all their patterns would take more than
        2 GiB once preprocessed, every n-th row and column is used.
    preset : str
        ``"paper"`` (256 x 256, for GPUs) or ``"compact"`` (at most 64 x 64, for CPUs).
    embedding : int
        Channels of the embedding.
    epochs : int, optional
        Passes over the patterns; the preset's phases are stretched or shortened to it. None is
        the preset's own schedule, or that of the checkpoint to resume.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
    seed : int
        Of the initial weights and the order of the patterns. On a CPU, the same seed, number of
        threads and versions give the same model, bit by bit.
    resume : path, optional
        A checkpoint from which to go on. Preset, embedding, seed and scans must be those it was
        made with; then the result is the one of an uninterrupted training.
    checkpoint : path, optional
        Written atomically after each epoch; it stays when the training is cancelled.
    report : callable, optional
        Receives a `Progress` several times per second, with a `TrainingState` as its `partial`;
        may raise `Cancelled`.

    Returns
    -------
    Model
        Of kind ``"autoencoder"``.

    Raises
    ------
    ScanError
        If the scans differ in detector, hold negative or non-finite counts, or the device is not
        there.
    ModelError
        If the checkpoint is of another training.

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
    import_torch()
    from .threads import single_thread
    from .training import Training

    scans = tuple(map(not_negative, (scans,) if isinstance(scans, Scan) else scans))
    _check(scans, preset, embedding, epochs)
    where = choose_device(device)
    header = _header(scans, preset, embedding, epochs, seed)
    start = None
    if resume is not None:
        start = load_model(resume)
        header = _continued(header, start, epochs, str(resume))
    how = Preprocess.from_json(header["preprocess"])
    cache = read_patterns(thinned(scans, how.size), how, report)
    with single_thread(preset == "compact"):
        return Training(header, cache, where, start).run(checkpoint, report)


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
    """
    import_torch()
    from .inference import apply
    from .networks import build_autoencoder
    from .threads import single_thread
    from .weights import load_network

    scan = not_negative(scan)
    where = choose_device(device)
    how = preprocess_of(model, "autoencoder", scan)
    network = build_autoencoder(model.header)
    load_network(network, model.weights)
    network.to(where).eval()
    with single_thread(model.header["preset"] == "compact"):
        channels = apply(scan, how, network.encode, network, where, report, "embedding patterns")
    return Embedding(channels, active_channels(channels))


def _check(scans: tuple[Scan, ...], preset: str, embedding: int, epochs: int | None) -> None:
    if not scans:
        raise ScanError("no scan was given; training needs at least one.")
    first = scans[0]
    for scan in scans[1:]:
        if scan.detector_shape != first.detector_shape:
            raise ScanError(
                f"{scan.where()}: the detector has {_by(scan)} pixels, that of {first.where()} "
                f"{_by(first)}; train on scans of one detector."
            )
    if preset not in PRESETS:
        raise ScanError(f"preset {preset!r} is unknown; choose one of {', '.join(PRESETS)}.")
    if embedding < 1:
        raise ScanError(f"an embedding of {embedding} channels is empty; ask for 1 or more.")
    if epochs is not None and epochs < 1:
        raise ScanError(f"{epochs} epochs train nothing; ask for 1 or more.")


def _by(scan: Scan) -> str:
    return " x ".join(str(n) for n in scan.detector_shape)


def _header(
    scans: tuple[Scan, ...], preset: str, embedding: int, epochs: int | None, seed: int
) -> dict[str, Any]:
    detector = scans[0].detector_shape
    how = fit_preprocess(detector, 256 if preset == "paper" else compact_size(detector))
    phases = PRESETS[preset] if epochs is None else resize(PRESETS[preset], epochs)
    return {
        "preset": preset,
        "network": {"embedding": embedding, "size": how.size},
        "seed": seed,
        "preprocess": how.to_json(),
        "schedule": [phase.to_json() for phase in phases],
        "scans": [described(scan) for scan in scans],
        "history": {"losses": []},
        "versions": versions(),
    }


def _continued(
    header: dict[str, Any], start: Model, epochs: int | None, path: str
) -> dict[str, Any]:
    """Return the header of `start`, if it is of the training that `header` describes."""
    if start.kind != "autoencoder":
        raise ModelError(f"{path}: holds a {start.kind}, which `train` cannot go on with.")
    then = start.header
    for what, was, now in (
        ("other scans", _signatures(then), _signatures(header)),
        ("the preset", then.get("preset"), header["preset"]),
        ("an embedding of", _channels(then), _channels(header)),
        ("the seed", then.get("seed"), header["seed"]),
        ("another preparation of the patterns", then.get("preprocess"), header["preprocess"]),
    ):
        if was != now:
            plain = isinstance(now, str | int)
            said = f"{what} {was}, not {now}" if plain else what
            raise ModelError(
                f"{path}: this training began with {said}; resume with the same, or start anew "
                "without resuming."
            )
    schedule = header["schedule"] if epochs is not None else start.header["schedule"]
    return {**start.header, "schedule": schedule}


def _signatures(header: Mapping[str, Any]) -> list[str]:
    # The counts decide, not the name: a scan may have moved, or changed its format.
    return [str(scan.get("signature")) for scan in header.get("scans", ())]


def _channels(header: Mapping[str, Any]) -> int:
    return int(header.get("network", {}).get("embedding", 0))
