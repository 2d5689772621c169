"""How fast the paper's network trains and embeds, against the paper's own code.

    python benchmarks/autoencoder_speed.py [--rounds 3] [--threads N]

The reference is ``m3_learning`` (PyPI, ``pip install --no-deps m3_learning``), with its own
training step and its own encoder; where it is not installed, ours is timed alone. Both work on the
same patterns, with the same network, in one process, in turn; the medians of the rounds count.

On a CPU a step has two patterns, since the reference takes most of a gigabyte for each: 32 would
not fit into a small machine, and take minutes. On a GPU it has the paper's 32.

Arithmetic: a convolution 3 x 3 takes 18 operations per pixel, input and output channel. Those of
the network take 0.17 TFLOP per pattern, half of it to embed; training takes three times as much
(result, gradient of the input, gradient of the kernels). Rates count these operations, also where
fewer are done: embedding reaches more than the rate of matrix products.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from napari_ferro4d.learn.compute import ALONE, Portion, choose_device, devices, is_out_of_memory
from napari_ferro4d.learn.networks import PaperAutoencoder
from napari_ferro4d.learn.training import Gradient, Phase, portion_for

L1 = 1e-5
HEADER = {
    "preset": "paper",
    "divergence": "code",
    "network": {"embedding": 32, "size": 256},
}
Step = Callable[[], object]


def reference(device: torch.device) -> Any | None:
    """Return the reference's autoencoder, loaded without what its package imports besides."""
    spec = find_spec("m3_learning")
    if spec is None or spec.origin is None:
        return None
    for name in ("", ".nn", ".nn.STEM_AE", ".nn.Regularization", ".util"):
        package = ModuleType(f"m3_learning{name}")
        package.__path__ = [str(Path(spec.origin).parent.joinpath(*name.split(".")))]
        sys.modules[package.__name__] = package
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = importlib.import_module("m3_learning.nn.STEM_AE.STEM_AE")
    return code.ConvAutoencoder([256, 256], [4, 4, 2], [8, 8], [2, 4, 4], 32, 128, device)


def operations() -> tuple[float, float]:
    """Return the operations of all convolutions for one pattern: to embed it, to train on it."""
    found = []

    def count(layer: torch.nn.Module, _: Any, output: torch.Tensor) -> None:
        assert isinstance(layer, torch.nn.Conv2d)
        found.append(18.0 * layer.in_channels * layer.out_channels * output[0, 0].numel())

    with torch.device("meta"):
        network = PaperAutoencoder()
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.register_forward_hook(count)
        embedding = network.encode(torch.empty(1, 1, 256, 256))
        to_embed = sum(found)
        network.decode(embedding)
    return to_embed, 3 * sum(found)


def ours(patterns: torch.Tensor, device: torch.device, portion: Portion) -> tuple[Step, Step]:
    network = PaperAutoencoder().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-5, fused=True)
    gradient = Gradient(network, HEADER, portion, ALONE, device)
    phase = Phase(epochs=1, learning_rate=3e-5, l1=L1)
    images = patterns[:, None]
    encode = network.frozen_encode()

    def train() -> None:
        optimizer.zero_grad()
        gradient.add(images, phase, len(images), None)
        optimizer.step()

    def embed() -> None:  # in single precision, as `embed` does
        with torch.inference_mode():
            for chunk in images.split(portion.patterns):
                encode(chunk)

    return train, embed


def theirs(model: Any, patterns: torch.Tensor) -> tuple[Step, Step]:
    def train() -> None:
        model.loss_function([patterns], L1)

    def embed() -> None:
        with torch.no_grad():
            model.encoder(patterns)

    return train, embed


def matrix_rate(device: torch.device, kind: torch.dtype) -> float:
    """Return the operations per second of products of large matrices."""
    # On a GPU one takes a millisecond, too little to time.
    side, count = (2048, 1) if device.type == "cpu" else (8192, 50)
    a, b = torch.randn(2, side, side, device=device).to(kind)

    def products() -> None:
        for _ in range(count):
            a @ b

    products()
    return 2.0 * count * side**3 / seconds(products, device)


def seconds(work: Step, device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    # The reference prints and draws progress bars.
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def fits(steps: tuple[Step, Step]) -> bool:
    """Return whether there is memory for a training step."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            steps[0]()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True


def compare(device: torch.device, rounds: int) -> None:
    """Time training and embedding in turn and print the medians."""
    cpu = device.type == "cpu"
    n, portion = (2, Portion(1)) if cpu else (32, portion_for(HEADER, device))
    kind = torch.float32 if cpu else torch.bfloat16
    torch.manual_seed(0)
    patterns = torch.log1p(torch.poisson(torch.full((n, 256, 256), 3.0))).to(device)
    steps = {"ours": ours(patterns, device, portion)}
    model = reference(device)
    if model is None:
        print("m3_learning is not installed: no reference")
    else:
        steps["reference"] = theirs(model, patterns)
    times: dict[tuple[str, str], list[float]] = {}
    rates = []
    for number in range(rounds + 1):  # the first compiles and fetches memory
        rates.append(matrix_rate(device, kind))
        if not number and model is not None and not fits(steps["reference"]):
            print(f"{device}: its memory is too small for {n} patterns of the reference")
            del steps["reference"]
            model = None
        for who, (train, embed) in steps.items():
            for what, work in (("train", train), ("embed", embed)):
                took = seconds(work, device)
                if number:
                    times.setdefault((what, who), []).append(took / n)
    peak = statistics.median(rates[1:])
    threads = torch.get_num_threads()
    name = f"CPU, {threads} threads" if cpu else torch.cuda.get_device_name(device)
    print(f"{name}: products of matrices ({kind}) {peak / 1e9:.0f} GFLOP/s; {n} patterns per step")
    for what, work in zip(("embed", "train"), operations(), strict=True):
        for who in steps:
            took = statistics.median(times[what, who])
            print(
                f"{what} {who}: {1 / took:.3g} patterns/s, "
                f"{work / 1e12:.3f} TFLOP per pattern, {work / took / 1e9:.0f} GFLOP/s, "
                f"{work / took / peak:.0%} of the rate of matrices"
            )
        if model is not None:
            pairs = zip(times[what, "reference"], times[what, "ours"], strict=True)
            each = [slow / fast for slow, fast in pairs]
            ratios = ", ".join(f"{ratio:.2f}" for ratio in each)
            print(f"{what}: {statistics.median(each):.2f} times the reference (rounds: {ratios})")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    compare(torch.device("cpu"), chosen.rounds)
    if len(devices()) > 2:
        compare(choose_device("cuda"), chosen.rounds)


if __name__ == "__main__":
    main()
