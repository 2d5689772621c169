"""Models trained with the paper's own code: its checkpoint files, converted.

That code (PyPI ``m3_learning``, ``nn/STEM_AE``) saves with ``torch.save``: as a pickle, which can
run any program when it is read the usual way. `convert` has ``torch.load(weights_only=True)`` read
it: an interpreter of the few pickle instructions that numbers and dictionaries take, which calls
nothing but the functions that rebuild tensors. A reader of our own would do the same again, and
would have to follow each version of the format; torch's is the one that others look at, nothing
outside switches it off where it is asked for by name, and the hole it had (CVE-2025-32434) was
closed in torch 2.6, the oldest version that this package accepts.

What it leaves open is closed here: the older format that is no archive, compressed archives, which
could unfold to any size, and tensors that claim more numbers than the file holds.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ferro4d.errors import ModelError, ScanError
from napari_ferro4d.learn.compute import import_torch
from napari_ferro4d.learn.data import fit_preprocess
from napari_ferro4d.learn.model_files import Model, versions

if TYPE_CHECKING:
    import torch

_LARGEST = 2**16
"""Pixels on a side that no detector has."""


def convert(path: str | os.PathLike[str], *, detector: tuple[int, int] = (256, 256)) -> Model:
    """Convert a checkpoint of the paper's own code to a model. No code in the file is run.

    Parameters
    ----------
    path : path
        The ``.pkl`` file, of its autoencoder or of its beta-VAE.
    detector : tuple of int
        Shape ``(ky, kx)`` of the patterns that the model is to be used on, which the file does not
        say: the paper brings patterns to 256 x 256 beforehand, here the model does that itself.

    Returns
    -------
    Model
        For `embed`, `traverse`, or to go on training with. The state of the optimiser is left
        behind.

    Raises
    ------
    ModelError
        If the file is no such checkpoint, is damaged, or holds more than numbers.
    ScanError
        If there is no detector of that shape.
    """
    if not all(1 <= side <= _LARGEST for side in detector):
        raise ScanError(f"{detector[0]} x {detector[1]} pixels are no detector; give KY,KX.")
    source = Path(path)
    content = _read(source)
    try:
        network, weights = _translated(content["net"])
    except (
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RuntimeError,
        ModelError,
    ) as error:
        raise ModelError(
            f"{source}: holds no autoencoder of the paper's code ({_line(error)}); give a .pkl "
            "file that it saved."
        ) from error
    if not all(np.isfinite(w).all() for w in weights.values()):
        raise ModelError(
            f"{source}: holds weights that are not finite; convert another checkpoint."
        )
    said = {key: content[key] for key in ("epoch", "beta", "loss") if _is_number(content.get(key))}
    header = {
        "preset": "paper",
        "network": network,
        "seed": 0,
        "preprocess": fit_preprocess(detector, network["size"]).to_json(),
        "schedule": [],
        "scans": [],
        "history": {"losses": []},
        "versions": versions(),
        "converted": {"from": "m3_learning", "file": source.name, **said},
    }
    return Model("autoencoder", header, weights)


def _read(source: Path) -> dict[str, Any]:
    if not os.path.isfile(source):
        raise ModelError(f"{source}: there is no such checkpoint file.")
    torch = import_torch()
    try:
        with zipfile.ZipFile(source) as archive:
            compressed = any(i.compress_type != zipfile.ZIP_STORED for i in archive.infolist())
        content = None if compressed else torch.load(source, "cpu", weights_only=True)
    except Exception as error:  # whatever a parser makes of a damaged file, it is damaged
        raise ModelError(
            f"{source}: is no complete checkpoint of torch that holds numbers alone "
            f"({_line(error)}); nothing else in it was run."
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("net"), dict):
        raise ModelError(
            f"{source}: is no checkpoint of the paper's code, which has an entry 'net'; give a "
            ".pkl file that it saved."
        )
    tensors = [value for value in content["net"].values() if isinstance(value, torch.Tensor)]
    if sum(t.numel() * t.element_size() for t in tensors) > source.stat().st_size:
        raise ModelError(f"{source}: claims more numbers than it holds; the file was changed.")
    return content


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:100]


def _translated(
    net: Mapping[str, torch.Tensor],
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the arguments of our network and its arrays."""
    blocks = sum(f"enc.block_layer.{3 * k}.norm_3.weight" in net for k in range(len(net)))
    sides = [net[f"enc.block_layer.{3 * k}.norm_3.weight"].shape[0] for k in range(blocks)]
    embedding, pixels = net["enc.dense.weight"].shape
    sides.append(math.isqrt(pixels))
    pooling = [larger // smaller for larger, smaller in pairwise(sides)]
    arguments: dict[str, Any] = {"embedding": embedding, "size": sides[0]}
    filters = net["enc.cov2d.weight"].shape[0]
    if (filters, pooling) != (128, [4, 4, 2]):
        arguments.update(filters=filters, pooling=pooling)
    if "enc.set_mean.weight" in net:
        arguments["variational"] = True
    from napari_ferro4d.learn.networks import build_autoencoder

    # A network without memory: its names and shapes are all that is wanted.
    with import_torch().device("meta"):
        ours = build_autoencoder({"preset": "paper", "network": arguments})
    weights = {name: np.ones(buffer.shape, np.float32) for name, buffer in ours.named_buffers()}
    theirs = list(_names(blocks, bool(arguments.get("variational"))))
    for (name, parameter), there in zip(ours.named_parameters(), theirs, strict=True):
        if net[there].shape != parameter.shape or not net[there].is_floating_point():
            raise ValueError(f"{there} is {net[there].dtype} of shape {tuple(net[there].shape)}")
        weights[name] = net[there].detach().float().numpy()
    if len(theirs) != len(net):
        raise ValueError(f"it has {len(net)} arrays, not {len(theirs)}")
    return arguments, weights


def _names(blocks: int, variational: bool) -> Iterator[str]:
    """Yield the names of the reference's parameters in the order in which ours are used."""

    def layer(name: str) -> Iterator[str]:
        yield f"{name}.weight"
        yield f"{name}.bias"

    def pair(name: str, number: int) -> Iterator[str]:
        for one in ("cov1d_1", "cov1d_2", "cov1d_3", "norm_3"):
            yield from layer(f"{name}.block_layer.{number}.{one}")
        for one in ("cov1d_1", "norm_1"):
            yield from layer(f"{name}.block_layer.{number + 1}.{one}")

    yield from layer("enc.cov2d")
    for k in range(blocks):
        yield from pair("enc", 3 * k)
    yield from layer("enc.cov2d_1")
    yield from layer("enc.dense")
    yield from layer("dec.dense")
    yield from layer("dec.cov2d")
    for k in range(blocks + 1):
        yield from pair("dec", 3 * k)
    yield from layer("dec.cov2d_1")
    if variational:
        yield from layer("enc.set_mean")
        yield from layer("enc.set_std")
