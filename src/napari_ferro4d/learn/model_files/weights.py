"""Network state as plain named arrays, and back."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from napari_ferro4d.errors import ModelError
from napari_ferro4d.learn.networks import build_autoencoder

from .checkpoint import BEST, OPTIMIZER
from .model import EXAMPLES


def network_arrays(network: nn.Module) -> dict[str, np.ndarray]:
    """Return the parameters and buffers of a network by name."""
    return {name: _array(value) for name, value in network.state_dict().items()}


def optimizer_arrays(optimizer: torch.optim.Optimizer) -> dict[str, np.ndarray]:
    """Return the state of an optimiser by name, each with the prefix `OPTIMIZER`."""
    return {
        f"{OPTIMIZER}{number}.{name}": _array(value)
        for number, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def load_network(network: nn.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Put arrays into a network.

    Raises
    ------
    ModelError
        If they are not the arrays of such a network.
    """
    state = {
        name: torch.from_numpy(np.array(value))
        for name, value in weights.items()
        if not name.startswith((OPTIMIZER, BEST, EXAMPLES))
    }
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(
            "the model's weights do not fit the network its header describes; "
            "the file was changed. Train it again."
        ) from error
    if not all(torch.isfinite(value).all() for value in state.values()):
        raise ModelError("the model holds weights that are not finite; train it again.")


def check_network(header: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> None:
    """Refuse a model whose header describes another network than its weights are of.

    The network is built without memory for its numbers, so that a header that asks for a trillion
    of them is found out and not obeyed.

    Raises
    ------
    ModelError
        If it does, or if its patterns are prepared for another network.
    """
    lie = ModelError(
        "the model's header describes another network than its weights are of; the file was "
        "changed. Train it again."
    )
    network = header.get("network")
    if not isinstance(network, Mapping):
        raise lie
    for value in network.values():
        numbers = value if isinstance(value, list | tuple) else (value,)
        # No list longer than the arrays it makes, no size that no detector has.
        if len(numbers) > len(weights) or not all(_sensible(number) for number in numbers):
            raise lie
    if not _fits(header.get("preprocess"), network):
        raise lie
    try:
        with torch.device("meta"), warnings.catch_warnings(action="ignore"):
            empty = build_autoencoder(header)
    except ArithmeticError:
        raise lie from None
    wanted = {name: tuple(value.shape) for name, value in empty.state_dict().items()}
    given = {
        name: tuple(value.shape)
        for name, value in weights.items()
        if not name.startswith((OPTIMIZER, BEST))
    }
    if wanted != given or any(value.dtype.kind not in "bfiu" for value in weights.values()):
        raise ModelError(
            "the model's weights do not fit the network its header describes; "
            "the file was changed. Train it again."
        )


def _fits(preprocess: Any, network: Mapping[str, Any]) -> bool:
    """Return whether patterns are prepared as `network` takes them, and not far beyond it."""
    if not isinstance(preprocess, Mapping):
        return False
    try:
        size, binning = int(preprocess["size"]), int(preprocess["binning"])
        longest = max(int(length) for length in preprocess["detector"])
    except (KeyError, TypeError, ValueError):
        return False
    padded = binning > 1 and (binning - 1) * size > longest
    return network.get("size", size) == size and 0 < size <= 2**16 and binning > 0 and not padded


def _sensible(number: Any) -> bool:
    if isinstance(number, str | bool):
        return True
    return isinstance(number, int | float) and 0 < number <= 2**16


def load_optimizer(optimizer: torch.optim.Optimizer, weights: Mapping[str, np.ndarray]) -> None:
    """Put the optimiser's arrays of a checkpoint back into it.

    Raises
    ------
    ModelError
        If the model is not a checkpoint, but a finished model without these arrays, or if they are
        not those of this optimiser.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    stored = {k: v for k, v in weights.items() if k.startswith(OPTIMIZER)}
    if not stored:
        raise ModelError(
            "the model to resume from is finished, not a checkpoint; start a new training."
        )
    for number, parameter in enumerate(parameters):
        state[number] = {"step": torch.tensor(_taken(stored, number, "step", ()))}
        for key in ("exp_avg", "exp_avg_sq"):
            values = torch.from_numpy(_taken(stored, number, key, tuple(parameter.shape)))
            # In the memory format of its parameter: the fused Adam looks at nothing else.
            state[number][key] = torch.empty_like(parameter).copy_(values)
    if stored:
        raise _no_optimizer()
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _taken(
    stored: dict[str, np.ndarray], number: int, key: str, shape: tuple[int, ...]
) -> np.ndarray:
    """Take one array out of those `stored`, if it is what it should be."""
    values = stored.pop(f"{OPTIMIZER}{number}.{key}", None)
    if values is None or values.size != math.prod(shape) or not np.isfinite(values).all():
        raise _no_optimizer()
    if key != "step" and values.shape != shape:
        raise _no_optimizer()
    return np.array(values, np.float32).reshape(shape)


def _no_optimizer() -> ModelError:
    return ModelError(
        "the checkpoint's optimiser does not fit its network; the file was changed. Start a new "
        "training."
    )


def _array(value: torch.Tensor) -> np.ndarray:
    array: np.ndarray = value.detach().cpu().contiguous().numpy()
    return array.copy()


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Draw torch's random numbers from `seed` within the block, and leave no trace after it.

    Those of the CPU, and those of `device` where that is a GPU. Other GPUs are left alone: to ask
    one for its state starts CUDA, which takes seconds and memory, and fails where it is taken.
    """
    gpus = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus, device_type="cuda"):
        torch.default_generator.manual_seed(seed)
        for gpu in gpus:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(seed)
        yield
