"""The trainer's side of `process`: ``python -m napari_ferro4d.learn.worker.trainer``.

Reads jobs as lines of JSON from standard input and answers in such lines on standard output. The
line ``"stop"`` ends it; so does the end of the input, when whoever asked is gone.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Cancelled, Progress
from napari_ferro4d.learn.compute import import_torch
from napari_ferro4d.learn.model_files import load_model, save_model
from napari_ferro4d.scan import Scan

from .messages import ProgressWriter, take_scan

__all__ = ["EVERY_S", "STARTING", "STEPS", "main"]

STARTING = "starting the trainer"
"""What the progress says until a job begins."""

STEPS = 3
"""Steps of the start: Python, the scan, torch."""

EVERY_S = 0.1
"""Least time between two messages on the progress."""


def main() -> None:
    """Do jobs until there are no more, then end the process."""
    answers, requests = _take_pipes()
    # A Ctrl-C in a terminal is for the process that asks; it says what is to happen.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    jobs: queue.Queue[Any] = queue.Queue()
    stop = threading.Event()
    threading.Thread(target=_listen, args=(requests, jobs, stop), daemon=True).start()
    while (job := jobs.get()) is not None:
        talk = _Talk(answers, stop)
        try:
            talk.say({"answer": _DO[job["do"]](job, talk)})
        except Cancelled:
            talk.say({"cancelled": True})
            break
        except ScanError as error:
            talk.say({"error": str(error), "kind": type(error).__name__})
        except Exception as error:
            traceback.print_exc()
            name = type(error).__name__
            memory = name in ("MemoryError", "OutOfMemoryError")  # numpy's, torch's
            said = f"{name}: {' '.join(str(error).split())[:300]}"
            talk.say({"failed": said, "memory": memory})
    sys.stderr.flush()
    # At once: libraries take seconds to tidy up, and the listener still waits for input.
    os._exit(0)


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return the pipe of answers and that of requests, and keep all others from using them."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # What a library prints would stand between the answers.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers, os.fdopen(sys.stdin.fileno(), "rb", closefd=False)


def _listen(requests: BinaryIO, jobs: queue.Queue[Any], stop: threading.Event) -> None:
    for line in requests:
        job = json.loads(line)
        if job == "stop":
            stop.set()
            job = None
        jobs.put(job)
    # Whoever asked is gone.
    os._exit(1)


class _Talk:
    """What is said of one job."""

    def __init__(self, answers: BinaryIO, stop: threading.Event) -> None:
        self._answers, self._stop = answers, stop
        self._writer = ProgressWriter()
        self._last = -EVERY_S

    def say(self, message: Mapping[str, Any]) -> None:
        """Send a message."""
        self._answers.write(json.dumps(message).encode() + b"\n")
        self._answers.flush()

    def report(self, progress: Progress) -> None:
        """Say how far the work is, not too often, and stop it when asked."""
        if self._stop.is_set():
            raise Cancelled
        now = time.monotonic()
        if now - self._last >= EVERY_S or progress.done >= progress.total:
            self._last = now
            self.say(self._writer.message(progress))

    def started(self, step: int) -> None:
        """Say how far the start is."""
        self.say(self._writer.message(Progress(step, STEPS, STARTING)))


def _start(job: Mapping[str, Any], talk: _Talk) -> list[Scan]:
    talk.started(1)
    scans = [take_scan(scan) for scan in job["scans"]]
    talk.started(2)
    import_torch()
    talk.started(3)
    return scans


def _train(job: Mapping[str, Any], talk: _Talk) -> Mapping[str, Any]:
    from napari_ferro4d.learn.autoencoder import train
    from napari_ferro4d.learn.training import Phase

    scans, options = _start(job, talk), dict(job["options"])
    if isinstance(options["schedule"], list):
        options["schedule"] = tuple(Phase.from_json(phase) for phase in options["schedule"])
    if job["model"] is not None:
        options["start"] = load_model(job["model"])
    model = train(scans, **options, report=talk.report)
    return {"model": str(save_model(model, Path(job["folder"]) / "trained.safetensors"))}


def _embed(job: Mapping[str, Any], talk: _Talk) -> Mapping[str, Any]:
    from napari_ferro4d.learn.autoencoder import embed

    (scan,) = _start(job, talk)
    embedding = embed(scan, load_model(job["model"]), **job["options"], report=talk.report)
    channels = Path(job["folder"]) / "channels.npy"
    np.save(channels, embedding.channels)
    return {"channels": str(channels), "active": [int(n) for n in embedding.active]}


def _traverse(job: Mapping[str, Any], talk: _Talk) -> Mapping[str, Any]:
    from napari_ferro4d.learn.traversal import traverse

    _start(job, talk)
    model, patterns = load_model(job["model"]), Path(job["folder"]) / "patterns.npy"
    np.save(patterns, traverse(model, **job["options"], report=talk.report))
    return {"patterns": str(patterns)}


_DO = {"train": _train, "embed": _embed, "traverse": _traverse}


if __name__ == "__main__":
    main()
