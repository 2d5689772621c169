"""Trained models as `.safetensors` files: arrays and a JSON header, never code."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_ferro4d.errors import ModelError
from napari_ferro4d.io import atomic_file

_KEY = "ferro4d"
_KINDS = ("autoencoder", "classifier")

EXAMPLES = "examples."
"""Prefix of the patterns that a classifier keeps, to tell what it looks at."""


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network as plain data.

    Parameters
    ----------
    kind : str
        ``"autoencoder"`` or ``"classifier"``.
    header : mapping
        What is needed to build and feed the network, and where it comes from: preset, network,
        preprocessing, schedule, scan signature, versions. JSON types only.
    weights : mapping of str to array
        The learnt arrays by name.
    """

    kind: str
    header: Mapping[str, Any]
    weights: Mapping[str, np.ndarray]


def digest(model: Model) -> str:
    """Return 16 hexadecimal digits by which the weights of a model are known again (SHA-256).

    Examples
    --------
    >>> one = Model("autoencoder", {}, {"a": np.ones(2, np.float32)})
    >>> digest(one) == digest(Model("autoencoder", {}, {"a": np.zeros(2, np.float32)}))
    False
    """
    found = hashlib.sha256()
    for name in sorted(model.weights):
        values = np.ascontiguousarray(model.weights[name])
        found.update(f"{name} {values.dtype.str} {values.shape}".encode())
        found.update(values.tobytes())
    return found.hexdigest()[:16]


def model_record(model: Model) -> dict[str, Any]:
    """Return what a provenance entry says of a model: its header but the course of training.

    Added is ``weights``, the `digest` of the model's weights.
    """
    header = {key: value for key, value in model.header.items() if key != "history"}
    return {"kind": model.kind, **header, "weights": digest(model)}


def save_model(model: Model, path: str | os.PathLike[str]) -> Path:
    """Write a model to a `.safetensors` file, atomically.

    Parameters
    ----------
    model : Model
        What `napari_ferro4d.train` or `napari_ferro4d.classify` returned.
    path : path
        The file to write; an existing one is replaced only once the new one is complete.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ModelError
        If the name does not end in ``.safetensors``.
    ScanError
        If the file cannot be written.
    """
    from safetensors.numpy import save

    target = check_model_target(path)
    header = json.dumps({"kind": model.kind, **model.header})
    tensors = {name: np.ascontiguousarray(value) for name, value in model.weights.items()}
    with atomic_file(target) as temporary:
        # Written here and not by `save_file`, whose error for a full disk is one of its own.
        temporary.write_bytes(save(tensors, metadata={_KEY: header}))
    return target


def check_model_target(path: str | os.PathLike[str]) -> Path:
    """Refuse a place where a model cannot be saved, before hours of training.

    Raises
    ------
    ModelError
        If the name does not end in ``.safetensors`` or the folder cannot be written to.
    """
    target = Path(path)
    if target.suffix != ".safetensors" or os.path.isdir(target):
        raise ModelError(f"{target}: a model file ends in .safetensors; choose such a name.")
    try:
        target.exists()
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise ModelError(
            f"{target}: cannot be written to ({error.strerror}); choose another place."
        ) from error
    parent = next(p for p in target.absolute().parents if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ModelError(f"{target}: {parent} cannot be written to; choose another place.")
    return target


def load_model(path: str | os.PathLike[str]) -> Model:
    """Read a model from a `.safetensors` file.

    Raises
    ------
    ModelError
        If the file is missing, is no complete safetensors file, or was not written by
        napari-ferro4d.
    """
    from safetensors import SafetensorError, safe_open

    source = Path(path)
    if not os.path.isfile(source):
        raise ModelError(f"{source}: there is no such model file; train one with `ferro4d train`.")
    try:
        with safe_open(source, framework="np") as tensors:
            metadata = tensors.metadata() or {}
            weights = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise ModelError(
            f"{source}: not a complete .safetensors file ({error}); train or copy it again."
        ) from error
    try:
        header = json.loads(metadata[_KEY])
        kind = header.pop("kind")
    except (KeyError, ValueError, AttributeError, TypeError) as error:
        raise ModelError(
            f"{source}: has no readable napari-ferro4d header; it holds another program's model."
        ) from error
    if kind not in _KINDS:
        raise ModelError(f"{source}: holds a {kind!r} model; this version knows {_KINDS}.")
    return Model(kind=kind, header=header, weights=weights)
