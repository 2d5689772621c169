"""What the paper's classifier looks at: where a pattern must not be covered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ferro4d.errors import ModelError
from napari_ferro4d.jobs import Report, Steps
from napari_ferro4d.learn.compute import InChunks, choose_device, import_torch, working_on
from napari_ferro4d.learn.model_files import EXAMPLES, Model

PER_CLASS = 2
"""Mean patterns of each class that a model keeps."""


def example_arrays(
    patterns: npt.NDArray[np.float32],
    targets: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float64] | None = None,
) -> dict[str, npt.NDArray[Any]]:
    """Return a few mean patterns of each class, as arrays for a model's file.

    Each is the mean of a part of the labels of its class, so that they differ and yet have little
    noise.

    Parameters
    ----------
    patterns : ndarray
        float32 ``[n, size, size]``: log(1 + counts) of the labelled positions.
    targets : ndarray
        ``[n]`` indices of classes.
    weights : ndarray, optional
        ``[n]``: how much each label counts.
    """
    weights = np.ones(len(targets)) if weights is None else weights
    means, of = [], []
    for target in np.unique(targets):
        own = np.flatnonzero(targets == target)
        for part in np.array_split(own, min(PER_CLASS, len(own))):
            counts = np.average(np.expm1(patterns[part]), axis=0, weights=weights[part])
            means.append(np.log1p(counts))
            of.append(target)
    return {
        EXAMPLES + "patterns": np.array(means, np.float16),
        EXAMPLES + "targets": np.array(of, np.int64),
    }


def occlusion_of(
    model: Model, *, device: str = "auto", report: Report | None = None
) -> npt.NDArray[np.float32]:
    """Return the occlusion map of a model of the preset ``"paper"``, from its own examples.

    Parameters
    ----------
    model : Model
        From `classify`.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
    report : callable, optional
        Receives a `Progress` several times per second; may raise `Cancelled`.

    Returns
    -------
    ndarray
        See `occlusion_map`.

    Raises
    ------
    ModelError
        If the model is another one, or of a version that kept no examples.
    """
    import_torch()
    from napari_ferro4d.learn.model_files import load_network
    from napari_ferro4d.learn.networks import build_classifier

    patterns, targets = _examples(model.weights)
    network = build_classifier(model.header)
    load_network(network, model.weights)
    where = choose_device(device)
    with working_on(where):
        return occlusion_map(network.to(where), patterns, targets, report=report)


def occlusion_map(
    network: Any,
    patterns: npt.NDArray[np.float32],
    targets: npt.NDArray[np.int64],
    window: int | None = None,
    stride: int | None = None,
    *,
    report: Report | None = None,
) -> npt.NDArray[np.float32]:
    """Return by how much covering a place of a pattern makes its class less certain.

    A square window of the pattern is replaced by that of the mean over the classes, and what the
    logit of the class (above the mean logit of all classes) loses is noted for its pixels. A pixel
    has the mean over all windows that cover it, and over the patterns of the class.

    Parameters
    ----------
    network : Module
        Gives logits ``[n, class]`` of ``[n, 1, size, size]``, on the device where it is.
    patterns : ndarray
        float32 ``[n, size, size]``: log(1 + counts).
    targets : ndarray
        ``[n]`` indices of their classes.
    window, stride : int, optional
        Side of the window, and from one to the next, in pixels; None is a tenth of the pattern,
        and half the window.
    report : callable, optional
        Receives a `Progress` several times per second; may raise `Cancelled`.

    Returns
    -------
    ndarray
        float32 ``[class, ky, kx]``; 0 for a class without pattern.

    References
    ----------
    Zeiler & Fergus, "Visualizing and understanding convolutional networks", ECCV 2014.
    """
    torch = import_torch()

    device = next(network.parameters()).device
    size = patterns.shape[-1]
    window = max(1, size // 10) if window is None else min(window, size)
    stride = max(1, window // 2) if stride is None else stride
    begins = sorted({*range(0, size - window + 1, stride), size - window})
    squares = [np.s_[..., y : y + window, x : x + window] for y in begins for x in begins]
    present = np.unique(targets)
    mean = np.mean([patterns[targets == target].mean(axis=0) for target in present], axis=0)

    def logits(inputs: Any) -> Any:
        found = network(inputs)
        return found - found.mean(dim=1, keepdim=True)

    most = max(1, 2 ** (19 if device.type == "cpu" else 22) // size**2)
    in_chunks = InChunks(logits, device, most)
    steps = Steps(report, len(patterns) * (len(squares) + 1), "covering parts of patterns")
    covered_by = np.zeros((size, size), np.float32)
    for square in squares:
        covered_by[square] += 1
    network.eval()
    maps: npt.NDArray[np.float32] | None = None
    with torch.inference_mode():
        for pattern, target in zip(patterns, targets.tolist(), strict=True):
            covered = np.repeat(pattern[None], len(squares) + 1, axis=0)
            for number, square in enumerate(squares):
                covered[number][square] = mean[square]
            found = in_chunks(torch.from_numpy(covered)[:, None], steps.add).numpy()
            if maps is None:
                maps = np.zeros((found.shape[1], size, size), np.float32)
            share = np.count_nonzero(targets == target) * covered_by
            for loss, square in zip((found[-1] - found)[:-1, target], squares, strict=True):
                maps[target][square] += loss / share[square]
    assert maps is not None, "there is at least one pattern"
    return maps


def _examples(
    weights: Mapping[str, np.ndarray],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    try:
        patterns, targets = weights[EXAMPLES + "patterns"], weights[EXAMPLES + "targets"]
    except KeyError as error:
        raise ModelError(
            "the model keeps no example patterns to tell what it looks at; train it again."
        ) from error
    return patterns.astype(np.float32), targets.astype(np.int64)
