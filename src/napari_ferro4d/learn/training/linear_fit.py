"""Linear baselines: principal, non-negative and independent components of the patterns.

The quick first look, in seconds, and what the networks have to beat. They are fitted chunk by
chunk, the latter two by scikit-learn, so that any number of patterns can be taken and the work be
cancelled; what is fitted is a model like every other. Knows no torch until it is asked to fit.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Report, Steps
from napari_ferro4d.learn.compute import launched
from napari_ferro4d.learn.data import (
    Cache,
    compact_size,
    find_room,
    fit_preprocess,
    read_patterns,
    thinning,
)
from napari_ferro4d.learn.model_files import Model, scan_record, versions
from napari_ferro4d.scan import Scan

from .history import TERMS, History
from .training_state import TrainingState

LINEAR = ("pca", "nmf", "ica")
"""Presets that are fitted, not trained."""

Floats = npt.NDArray[np.floating[Any]]

BATCH = 256
"""Patterns at a time: a fraction of a second of work."""

PCA_ROUNDS = 10
"""Times that all patterns are gone over, each of which brings the axes nearer to the principal."""

SPARE = 32
"""Axes carried along besides those wanted."""

NMF_STEPS = 320
"""Batches that non-negative factors are fitted to, at least; a small scan is gone over again."""

ICA_STEPS = 200
"""Most iterations. Components of pure noise, all of which are as independent, never settle."""

ICA_SETTLED = 1e-4

ROUNDING = 1e-5
"""Share of the largest deviation below which a component is rounding of float32."""


def fit_linear(
    scans: tuple[Scan, ...],
    preset: str,
    embedding: int,
    *,
    seed: int = 0,
    report: Report | None = None,
) -> Model:
    """Fit a linear baseline to the patterns of scans; see `train`, which calls this.

    Parameters
    ----------
    scans : tuple of Scan
        Of one detector.
    preset : str
        One of `LINEAR`.
    embedding : int
        Most channels. There are fewer where the patterns have fewer components.
    seed : int
        Of the order of the patterns and of what the fit begins with.
    report : callable, optional
        Receives a `Progress` several times per second; may raise `Cancelled`.

    Returns
    -------
    Model
        Of kind ``"autoencoder"``; the channel that varies most comes first.

    Raises
    ------
    ScanError
        If all patterns are the same, or it is one of several processes.
    """
    if launched().count > 1:
        raise ScanError(f"preset {preset!r} is fitted in one process; start it without torchrun.")
    detector = scans[0].detector_shape
    how = fit_preprocess(detector, compact_size(detector))
    room = find_room()
    every = thinning(scans, how.size, room)
    cache = read_patterns(scans, how, report, every=every, room=room)
    flat = cache.patterns.reshape(len(cache.patterns), -1)
    _refuse_constant(flat, scans[0].where(), dark=cache.dark)
    weights = _FITS[preset](flat, min(embedding, *flat.shape), seed, report)
    header: dict[str, Any] = {
        "preset": preset,
        "network": {"embedding": len(weights["components"]), "size": how.size},
        "seed": seed,
        "preprocess": how.to_json(),
        "schedule_name": None,
        "automatic": False,
        "schedule": [],
        "every": every,
        "scans": [scan_record(scan) for scan in scans],
        "versions": _versions(),
    }
    return _measured(header, weights, flat, cache, report)


def refuse_training(preset: str, **given: Any) -> None:
    """Refuse, for a linear preset, the arguments of `train` that only a training has.

    Raises
    ------
    ScanError
        If one of them was `given`.
    """
    for name, value in given.items():
        if value:
            raise ScanError(
                f"preset {preset!r} is fitted, not trained, and takes no {name}; leave that out, "
                "or choose the preset 'compact'."
            )


# --- the fits: components [channel, pixel] and what else the network holds


def _pca(flat: Floats, count: int, seed: int, report: Report | None) -> dict[str, Floats]:
    mean, axes = _principal_axes(flat, count, seed, report)
    return {"mean": mean, "components": axes, "unmixing": axes}


def _ica(flat: Floats, count: int, seed: int, report: Report | None) -> dict[str, Floats]:
    """Turn the principal components until they are independent."""
    mean, axes = _principal_axes(flat, count, seed, report)
    scores = np.concatenate([(part - mean) @ axes.T for part in _batches(flat)]).astype(np.float64)
    spread = scores.std(axis=0)
    rotation = _independent(scores / spread, seed, report)
    sources = scores / spread @ rotation.T
    # The sign is free: what few positions show is bright.
    rotation *= np.where((sources**3).sum(axis=0) < 0, -1.0, 1.0)[:, None]
    mixing = rotation * spread @ axes
    length = np.linalg.norm(mixing, axis=1, keepdims=True)
    return {
        "mean": mean,
        "components": mixing / length,
        "unmixing": length * (rotation / spread @ axes),
    }


def _nmf(flat: Floats, count: int, seed: int, report: Report | None) -> dict[str, Floats]:
    from sklearn.decomposition import MiniBatchNMF

    fit = MiniBatchNMF(count, random_state=seed)
    rng = np.random.default_rng(seed)
    batches = max(1, len(flat) // max(BATCH, count))
    rounds = max(2, -(-NMF_STEPS // batches))
    steps = Steps(report, rounds * batches, "fitting non-negative components")
    for _ in range(rounds):
        for part in _batches(flat, batches, rng):
            fit.partial_fit(part)
            steps.add()
    components = fit.components_
    length = np.linalg.norm(components, axis=1)
    return {"components": (components / np.maximum(length, 1e-30)[:, None])[length > 0]}


_FITS: Mapping[str, Callable[[Floats, int, int, Report | None], dict[str, Floats]]] = {
    "pca": _pca,
    "nmf": _nmf,
    "ica": _ica,
}


def _principal_axes(
    flat: Floats, count: int, seed: int, report: Report | None
) -> tuple[Floats, Floats]:
    """Return the mean ``[pixel]`` and the axes ``[axis, pixel]`` of largest variance.

    By subspace iteration from a random start, with more axes than wanted: Halko, Martinsson and
    Tropp, SIAM Rev. 53, 217 (2011). Not by scikit-learn's IncrementalPCA, which took three times
    as long for 4096 patterns of 64 x 64, and whose 32 axes held 0.4 % less of what axes can hold.
    """
    parts = -(-len(flat) // BATCH)
    steps = Steps(report, PCA_ROUNDS * parts, "fitting principal components")
    mean = np.asarray(flat.mean(axis=0, dtype=np.float64), np.float32)
    start = np.random.default_rng(seed).standard_normal
    axes = start((flat.shape[1], min(count + SPARE, *flat.shape)), np.float32)
    for _ in range(PCA_ROUNDS):
        axes = np.linalg.qr(axes)[0]
        scatter = np.zeros_like(axes)
        for part in _batches(flat):
            about = part - mean
            scatter += about.T @ (about @ axes)
            steps.add()
        basis, axes = axes, scatter
    # Within the subspace, exactly.
    variances, turn = np.linalg.eigh((basis.T @ scatter).astype(np.float64))
    found: Floats = (basis @ turn[:, ::-1]).T[:count]
    varies = variances[::-1][:count] > ROUNDING**2 * variances[-1]
    # The sign is free: the pixel that a component is most about is bright in it.
    most = np.take_along_axis(found, np.abs(found).argmax(axis=1)[:, None], axis=1)
    axes = (found * np.sign(most))[varies].astype(np.float32)
    return mean, axes


def _independent(white: Floats, seed: int, report: Report | None) -> Floats:
    """Return the rotation ``[source, axis]`` of white scores that makes them independent."""
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    axes = white.shape[1]
    rotation = np.linalg.qr(np.random.default_rng(seed).standard_normal((axes, axes)))[0]
    steps = Steps(report, ICA_STEPS, "fitting independent components")
    for _ in range(ICA_STEPS):
        # One iteration at a time, each of which needs only the rotation before.
        fit = FastICA(whiten=False, w_init=rotation, max_iter=1, tol=ICA_SETTLED)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fit.fit(white)
        turned = np.abs(np.abs((fit.components_ * rotation).sum(axis=1)) - 1).max()
        rotation = fit.components_
        steps.add()
        if turned < ICA_SETTLED:
            break
    return rotation


def _batches(
    flat: Floats, count: int | None = None, rng: np.random.Generator | None = None
) -> Iterator[Floats]:
    """Yield all patterns in `count` copies of parts; in their order, or drawn by `rng`."""
    parts = -(-len(flat) // BATCH) if count is None else count
    order = np.arange(len(flat)) if rng is None else rng.permutation(len(flat))
    for part in np.array_split(order, parts):
        yield flat[np.sort(part)]


def _refuse_constant(flat: Floats, where: str, *, dark: bool) -> None:
    if dark:
        raise ScanError(f"{where}: every count is zero; there is nothing to learn from.")
    if all((part == flat[0]).all() for part in _batches(flat)):
        raise ScanError(
            f"{where}: all patterns are the same, so that there is nothing to tell apart; linear "
            "components need two different ones."
        )


# --- the model


def _measured(
    header: dict[str, Any],
    weights: dict[str, Floats],
    flat: Floats,
    cache: Cache,
    report: Report | None,
) -> Model:
    """Return the model, and in its header how well it tells the patterns."""
    import torch

    from napari_ferro4d.learn.model_files import load_network, network_arrays
    from napari_ferro4d.learn.networks import build_autoencoder

    from .channel_monitor import SIDE, active_in, thumbnails

    network = build_autoencoder(header)
    arrays = {name: np.asarray(value, np.float32) for name, value in weights.items()}
    load_network(network, {"scale": np.ones(1, np.float32), **arrays})
    steps = Steps(report, len(flat), "embedding patterns")
    channels, squares = [], 0.0
    with torch.inference_mode():
        for part in _batches(flat):
            inputs = torch.from_numpy(part).reshape(-1, 1, *cache.patterns.shape[1:])
            found = network.encode(inputs)
            squares += float((network.decode(found) - inputs).square().sum(dtype=torch.float64))
            channels.append(found.numpy())
            steps.add(len(part))
    values = np.concatenate(channels)
    order = np.argsort(-values.std(axis=0, dtype=np.float64), kind="stable")
    values = values[:, order]
    for name in {"components", "unmixing"} & arrays.keys():
        arrays[name] = arrays[name][order]
    load_network(network, {"scale": np.ones(1, np.float32), **arrays})
    maps = [np.where(place >= 0, values.T[:, place], np.float32(np.nan)) for place in cache.places]
    error = squares / flat.size
    history = History([error], _terms(error, values), [0.0], [len(active_in(maps))])
    rows, columns = (math.ceil(n / SIDE) for n in maps[0].shape[1:])
    pictures = thumbnails([maps[0][:, ::rows, ::columns]])
    state = TrainingState(
        1,
        1,
        (error,),
        (),
        {k: tuple(v) for k, v in history.terms.items()},
        (0.0,),
        tuple(history.active),
        pictures,
    )
    steps.add(0, partial=state)
    return Model("autoencoder", {**header, "history": history.to_json()}, network_arrays(network))


def _terms(error: float, values: Floats) -> dict[str, list[float]]:
    """Return the parts of a loss that this has: it is fitted to the reconstruction alone."""
    activity = float(np.abs(values).sum(axis=1, dtype=np.float64).mean())
    return {name: [0.0] for name in TERMS} | {"reconstruction": [error], "activity": [activity]}


def _versions() -> dict[str, str]:
    from sklearn import __version__

    return {**versions(), "scikit-learn": __version__}
