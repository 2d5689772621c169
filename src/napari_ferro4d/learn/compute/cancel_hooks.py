"""Progress and cancel from inside a slow network: after every layer, forward and backward."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def call_between_layers(
    network: nn.Module, look: Callable[[], None], device: torch.device, every_s: float = 0.1
) -> Iterator[None]:
    """Call `look` every 0.1 seconds, or `every_s`, while `network` computes on the CPU.

    One pattern through the paper's network takes seconds on a CPU, so that looking between batches
    would cancel too late. What `look` raises leaves the forward or backward pass at once. On a
    GPU nothing is added: batches are short there, and the backward pass runs in another thread.
    """
    if device.type != "cpu":
        yield
        return
    last = time.monotonic()

    def maybe(*_: Any) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > every_s:
            last = now
            look()

    def after(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        maybe()
        if output.requires_grad:
            output.register_hook(maybe)  # type: ignore[no-untyped-call]

    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.LayerNorm)]
    hooks = [layer.register_forward_hook(after) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
