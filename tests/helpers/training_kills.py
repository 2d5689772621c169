"""Kill a training at random moments, resume it every time, and compare the end with a whole one.

Every training is a process of its own, forked from `training_children`.
"""

from __future__ import annotations

import mmap
import os
import random
import signal
import struct
import time
from pathlib import Path

import numpy as np

from napari_ferro4d import load_model, open_scan, save_model, train
from napari_ferro4d.learn import TrainingState


def live(scan: str, out: Path, options: dict, counter: mmap.mmap) -> int:
    """Train in a forked process, going on from the checkpoint if there is one; return its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        checkpoint = out.with_name("c.safetensors")

        def report(progress) -> None:
            if isinstance(progress.partial, TrainingState):
                counter[:8] = struct.pack("q", progress.partial.epoch)

        resume = checkpoint if checkpoint.exists() else None
        model = train(
            open_scan(scan), **options, checkpoint=checkpoint, resume=resume, report=report
        )
        save_model(model, out)
        code = 0
    finally:
        os._exit(code)


def epochs_in(checkpoint: Path) -> int:
    if not checkpoint.exists():
        return 0
    return len(load_model(checkpoint).header["history"]["losses"])


def kill(scan: str, folder: str, kills: int, seed: int, options: dict) -> dict:
    """Return what became of a training that was killed so often."""
    whole = Path(folder) / "whole" / "m.safetensors"
    killed = Path(folder) / "killed" / "m.safetensors"
    for out in (whole, killed):
        out.parent.mkdir()
    counter = mmap.mmap(-1, 8)
    started = time.monotonic()
    child = live(scan, whole, options, counter)
    while struct.unpack("q", counter[:8])[0] < 1:
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "the first training ended early"
        time.sleep(0.002)
    first = time.monotonic() - started
    assert os.waitpid(child, 0)[1] == 0
    epochs = epochs_in(whole)
    each = (time.monotonic() - started - first) / epochs
    rng = random.Random(seed)
    checkpoint = killed.with_name("c.safetensors")
    lost, moments, partial = [], [], 0
    for number in range(kills):
        counter[:8] = struct.pack("q", epochs_in(checkpoint))
        child = live(scan, killed, options, counter)
        # From the first moment, while it reads, to some epochs later.
        moment = rng.uniform(0, first + 2 * each)
        time.sleep(moment)
        # On a machine that has become busy since the first run, all could end before an epoch does.
        while number == kills - 1 and not checkpoint.exists():
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        lost.append(struct.unpack("q", counter[:8])[0] - epochs_in(checkpoint))
        moments.append(round(moment, 3))
        partial += len(list(killed.parent.glob(".partial-*")))
    reached = epochs_in(checkpoint)
    child = live(scan, killed, options, counter)
    assert os.waitpid(child, 0)[1] == 0
    one, other = load_model(whole), load_model(killed)
    same = one.weights.keys() == other.weights.keys() and all(
        np.array_equal(one.weights[name], other.weights[name]) for name in one.weights
    )
    return {
        "kills": kills,
        "epochs": epochs,
        "seconds_to_the_first_epoch": first,
        "seconds_per_epoch": each,
        "moments": moments,
        "epochs_lost": lost,
        "killed_while_writing": partial,
        "epochs_before_the_last_life": reached,
        "identical": same,
        "same_header": one.header == other.header,
        "left_behind": sorted(p.name for p in killed.parent.iterdir()),
    }
