"""What a channel means to the decoder: patterns along it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from napari_ferro4d.errors import ModelError, ScanError
from napari_ferro4d.jobs import Report, Steps
from napari_ferro4d.learn.compute import import_torch
from napari_ferro4d.learn.model_files import Model


def traverse(
    model: Model,
    channel: int,
    values: Sequence[float] | npt.NDArray[np.floating],
    at: Sequence[float] | npt.NDArray[np.floating] | None = None,
    report: Report | None = None,
) -> npt.NDArray[np.float32]:
    """Decode patterns along one channel of an autoencoder, the other channels held still.

    Parameters
    ----------
    model : Model
        From `train` or `load_model`.
    channel : int
        The channel to vary, from 0.
    values : array_like
        Its values ``[n]``.
    at : array_like, optional
        The embedding ``[channel]`` at which the others are held, for example that of a position or
        the mean of a map. None holds them at 0: off, in a sparse embedding.
    report : callable, optional
        Receives a `Progress` for each pattern; may raise `Cancelled`.

    Returns
    -------
    ndarray
        float32 ``[n, size, size]``: the patterns in counts, on the model's input pixels (cropped
        and binned as the model does it). They are the decoder's, which knows nothing of counting:
        where it sees none, they may lie a little below 0.

    Raises
    ------
    ModelError
        If the model is no autoencoder, or was changed.
    ScanError
        If there is no such channel, `at` is of another length, or a value is not finite.

    References
    ----------
    Ludacka et al., npj Comput. Mater. 10, 106 (2024), doi:10.1038/s41524-024-01265-y,
    ``generate_spectra`` in its code.

    Examples
    --------
    >>> from napari_ferro4d import Scan, train
    >>> scan = Scan.from_array(np.random.default_rng(0).poisson(5.0, (4, 4, 16, 16)))
    >>> model = train(scan, epochs=1, embedding=8, device="cpu")
    >>> traverse(model, 0, [0.0, 0.5, 1.0]).shape
    (3, 16, 16)
    """
    torch = import_torch()
    from napari_ferro4d.learn.compute import single_thread
    from napari_ferro4d.learn.model_files import check_network, load_network
    from napari_ferro4d.learn.networks import build_autoencoder

    if model.kind != "autoencoder":
        raise ModelError(f"the model is a {model.kind}, which decodes nothing; load another.")
    check_network(model.header, model.weights)
    embeddings = _along(int(model.header["network"]["embedding"]), channel, values, at)
    network = build_autoencoder(model.header)
    load_network(network, model.weights)
    network.eval()
    with torch.inference_mode(), single_thread(model.header["preset"] == "compact"):
        steps, found = Steps(report, len(embeddings), "decoding"), []
        # One at a time: the paper's network takes 0.3 GB for each.
        for one in torch.from_numpy(embeddings).split(1):
            found.append(network.decode(one)[0, 0])
            steps.add()
        patterns: npt.NDArray[np.float32] = torch.expm1(torch.stack(found)).float().numpy()
    return patterns


def _along(
    channels: int,
    channel: int,
    values: Sequence[float] | npt.NDArray[np.floating],
    at: Sequence[float] | npt.NDArray[np.floating] | None,
) -> npt.NDArray[np.float32]:
    """Return the embeddings ``[n, channel]`` to decode."""
    if not 0 <= channel < channels:
        raise ScanError(f"the model has no channel {channel}; choose one from 0 to {channels - 1}.")
    wanted = np.asarray(values, np.float32)
    held = np.zeros(channels, np.float32) if at is None else np.asarray(at, np.float32)
    if wanted.ndim != 1 or not wanted.size:
        raise ScanError(f"the values of channel {channel} must be a list of one or more numbers.")
    if held.shape != (channels,):
        raise ScanError(
            f"the embedding to hold the other channels at has the shape {held.shape}; it must have "
            f"{channels} numbers, one for each channel of the model."
        )
    if not (np.isfinite(wanted).all() and np.isfinite(held).all()):
        raise ScanError("values to decode must be finite; leave out positions without a pattern.")
    embeddings = np.tile(held, (len(wanted), 1))
    embeddings[:, channel] = wanted
    return embeddings
