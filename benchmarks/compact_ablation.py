"""What the parts of the compact autoencoder are worth: one of them changed at a time.

    python benchmarks/compact_ablation.py FOLDER [--seeds 0 1 2] [--epochs 4] [--variants ...]

Each variant is trained on `ermno3-domains` and `ermno3-vortex` as in `embedding_quality.py`, with
the preset's schedule in proportion and nothing found before training ("alone"), because what is
found would hide what the network learns. "With what is found" is the area of the channels that the
variant finds before training, which leaves them as they are; only the input decides on these.
Seconds are processor time of one thread, so that other work on the machine counts little.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from embedding_quality import SCANS, made, scored
from napari_ferro4d import open_scan
from napari_ferro4d.learn.compute import BATCH
from napari_ferro4d.learn.data import Cache, batches, compact_size, fit_preprocess, read_patterns
from napari_ferro4d.learn.networks import CompactAutoencoder, conv
from napari_ferro4d.learn.training import (
    PRESETS,
    learning_rate,
    objective,
    phase_at,
    resize,
    total_epochs,
)
from napari_ferro4d.simulate import truth

EMBEDDING = 32


class Variant(CompactAutoencoder):
    """The compact autoencoder with another convolutional path.

    Parameters
    ----------
    size : int
        Side of the input.
    width, decoder : float
        Factor of the channels of all convolutions, and a further one of those in the decoder.
    pooling : bool
        Convolve at full resolution and take the maximum of each patch, as the paper's network does,
        instead of convolutions with a stride.
    """

    def __init__(
        self, size: int, width: float = 1.0, decoder: float = 1.0, pooling: bool = False
    ) -> None:
        super().__init__(EMBEDDING, size)
        patch = size // 16
        narrow, wide = int(16 * width), int(32 * width)
        if pooling:
            first = [conv(1, narrow), nn.GELU(), nn.MaxPool2d(patch)]
            second = [conv(narrow, wide), nn.GELU(), nn.MaxPool2d(2)]
        else:
            first = [nn.Conv2d(1, narrow, patch, stride=patch), nn.GELU()]
            second = [conv(narrow, wide, stride=2), nn.GELU()]
        self.encoder = nn.Sequential(
            *first,
            *second,
            conv(wide, wide),
            nn.GELU(),
            nn.Flatten(),
            nn.Linear(wide * 8 * 8, EMBEDDING),
        )
        wide = int(32 * width * decoder)
        self.decoder = nn.Sequential(
            nn.Linear(EMBEDDING, wide * 8 * 8),
            nn.Unflatten(1, (wide, 8, 8)),
            nn.GELU(),
            conv(wide, 2 * wide),
            nn.PixelShuffle(2),
            nn.GELU(),
            conv(wide // 2, patch * patch),
            nn.PixelShuffle(patch),
        )


VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "pooling": {"pooling": True},
    "half the channels": {"width": 0.5},
    "twice the channels": {"width": 2.0},
    "half the decoder": {"decoder": 0.5},
    "twice the decoder": {"decoder": 2.0},
    "input 32 x 32": {"size": 32},
    "input 128 x 128": {"size": 128},
    "bf16": {"half": True},
}


def train(network: Variant, cache: Cache, seed: int, epochs: int, half: bool) -> float:
    """Train as `learn.train` does with one process; return seconds of processor time."""
    phases = resize(PRESETS["compact"], epochs)
    patterns = torch.from_numpy(cache.patterns)[:, None]
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    begin = time.process_time()
    for epoch in range(total_epochs(phases)):
        phase, number = phase_at(phases, epoch)
        chosen = batches(cache.total, BATCH["compact"], seed, epoch)
        for index, batch in enumerate(chosen):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(phase, (number + index / len(chosen)) / phase.epochs)
            optimizer.zero_grad()
            with _precision(half):
                terms = objective(network, patterns[torch.from_numpy(batch)], phase)
            terms.total.backward()
            optimizer.step()
    return time.process_time() - begin


class Half(TorchFunctionMode):
    """Rounds what goes in and out of convolutions and matrix products to bfloat16.

    This is what autocast does, whose products are summed up in float32; gradients are rounded in
    the same places. Processors without instructions for it take ten times as long for autocast.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Round the arguments and the result of some functions."""
        if func not in (torch.conv2d, torch._C._nn.linear):
            return func(*args, **(kwargs or {}))
        return _rounded(func(*map(_rounded, args), **(kwargs or {})))


def _rounded(value: Any) -> Any:
    return value.bfloat16().float() if isinstance(value, torch.Tensor) else value


def _precision(half: bool) -> Any:
    return Half() if half else nullcontext()


@torch.inference_mode()
def told(network: Variant, cache: Cache, half: bool = False) -> tuple[np.ndarray, float]:
    """Return the channels ``[channel, y, x]`` and the reconstruction error in the loss's unit."""
    channels, squares = [], 0.0
    for part in torch.from_numpy(cache.patterns)[:, None].split(256):
        with _precision(half):
            found = network.encode(part)
            squares += float((network.decode(found).float() - part).square().sum())
        channels.append(found.float())
    maps = torch.cat(channels).T.reshape(EMBEDDING, *cache.places[0].shape)
    return maps.numpy(), squares / cache.patterns.size / float(network.scale) ** 2


def build(seed: int, size: int, options: Mapping[str, Any]) -> Variant:
    torch.manual_seed(seed)
    return Variant(size, **options).to(memory_format=torch.channels_last)


def row(path: Path, seed: int, epochs: int, options: Mapping[str, Any]) -> list[str]:
    scan, known = open_scan(path), truth(path)
    options = dict(options)
    half = options.pop("half", False)
    size = options.pop("size", compact_size(scan.detector_shape))
    cache = read_patterns((scan,), fit_preprocess(scan.detector_shape, size))
    patterns = torch.from_numpy(cache.patterns)[:, None]
    found = "the same"
    if not options and not half:
        network = build(seed, size, options)
        network.start(patterns, cache.places)
        found = _told(scored(told(network, cache)[0][network.found.numpy()], known))
    network = build(seed, size, options)
    network.start(patterns)
    seconds = train(network, cache, seed, epochs, half)
    channels, error = told(network, cache, half)
    count = sum(values.numel() for values in network.parameters())
    return [
        f"{count:,}",
        f"{seconds:.0f}",
        _told(scored(channels, known)),
        found,
        f"{error:.4f}",
    ]


def _told(areas: Sequence[float]) -> str:
    return ", ".join(f"{area:.3f}" for area in areas)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scans", nargs="+", default=list(SCANS), choices=SCANS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--electrons", type=float, default=2e5)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    print("| variant | scan | seed | parameters | s | alone | with what is found | error |")
    print("|---|---|---|---|---|---|---|---|")
    for name, variant, seed in product(args.scans, args.variants, args.seeds):
        path = made(args.folder, name, seed, args.electrons)
        cells = row(path, seed, args.epochs, VARIANTS[variant])
        print(f"| {variant} | {name} | {seed} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
