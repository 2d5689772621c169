"""Network state as plain named arrays, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from napari_ferro4d.errors import ModelError

from .checkpoint import OPTIMIZER

__all__ = [
    "load_network",
    "load_optimizer",
    "network_arrays",
    "optimizer_arrays",
    "seeded",
]


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
        if not name.startswith(OPTIMIZER)
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


def load_optimizer(optimizer: torch.optim.Optimizer, weights: Mapping[str, np.ndarray]) -> None:
    """Put the optimiser's arrays of a checkpoint back into it.

    Raises
    ------
    ModelError
        If the model is not a checkpoint, but a finished model without these arrays.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for name, value in weights.items():
        if name.startswith(OPTIMIZER):
            number, key = name.removeprefix(OPTIMIZER).split(".", 1)
            stored = torch.from_numpy(np.array(value))
            if key == "step":
                stored = stored.reshape(())
            else:
                # In the memory format of its parameter: the fused Adam looks at nothing else.
                stored = torch.empty_like(parameters[int(number)]).copy_(stored)
            state.setdefault(int(number), {})[key] = stored
    groups = optimizer.state_dict()["param_groups"]
    if set(state) != set(range(len(parameters))):
        raise ModelError(
            "the model to resume from is finished, not a checkpoint; start a new training."
        )
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _array(value: torch.Tensor) -> np.ndarray:
    array: np.ndarray = value.detach().cpu().contiguous().numpy()
    return array.copy()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw torch's random numbers from `seed` within the block, and leave no trace after it."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield
