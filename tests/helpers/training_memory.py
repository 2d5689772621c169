"""Compute a gradient with less memory than a batch takes, in a fork of `training_children`."""

from __future__ import annotations

import resource

import psutil
import torch

from napari_ferro4d.learn.compute import ALONE, Portion, available_memory
from napari_ferro4d.learn.networks import build_autoencoder
from napari_ferro4d.learn.training import Gradient, Phase


def run_short(room: int) -> dict:
    """Return how a gradient went with `room` bytes of memory, and with all there is."""
    header = {
        "preset": "paper",
        "network": {"embedding": 4, "size": 64, "filters": 32, "pooling": [4, 4]},
        "divergence": "code",
    }
    torch.manual_seed(0)
    network = build_autoencoder(header)
    x = torch.rand(32, 1, 64, 64)

    def add(portion: Portion) -> tuple[float, torch.Tensor, Gradient]:
        network.zero_grad()
        gradient = Gradient(network, header, portion, ALONE, torch.device("cpu"), torch.float32)
        terms = gradient.add(x, Phase(1, 1e-3, l1=0.1), 32, None)
        flat = torch.cat([p.grad.flatten() for p in network.parameters()])
        return float(terms[0]), flat, gradient

    # All that is imported or compiled on first use is there before memory is short.
    add(Portion(2, recompute=True))
    loss, expected, _ = add(Portion(4))
    most = psutil.Process().memory_info().vms + room
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    free = available_memory()
    limited, found, gradient = add(Portion(32))
    return {
        "free": free,
        "patterns": gradient.portion.patterns,
        "note": gradient.note,
        "losses": [loss, limited],
        "apart": float((found - expected).abs().max() / expected.abs().max()),
    }
