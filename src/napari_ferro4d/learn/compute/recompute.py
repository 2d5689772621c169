"""Gradient checkpointing: the insides of blocks are computed again for the gradient, not kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch import nn


@contextmanager
def recomputed(network: nn.Module, wanted: bool = True) -> Iterator[None]:
    """Let the blocks of `network` keep only what goes in and out of them, if `wanted`.

    Blocks are the parts of a sequence that have parts themselves. The result is the same, bit by
    bit; the gradient takes less than half the memory and a forward pass more.
    """
    if not wanted:
        yield
        return
    from torch.utils.checkpoint import checkpoint

    blocks = [
        block
        for sequence in network.modules()
        if isinstance(sequence, nn.Sequential)
        for block in sequence
        if any(True for _ in block.children())
    ]
    for block in blocks:
        # An attribute of the instance hides the method of its class, and going restores it.
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    try:
        yield
    finally:
        for block in blocks:
            del block.forward
