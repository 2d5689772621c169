"""The process that does the work: ``python -m napari_ferro4d.learn.worker.child``.

Reads from standard input what to call, and writes to standard output pairs of what a message is and
what it says, all pickled. The end of the input, which comes also when whoever asked is gone, ends
the process. What messages call it is its argument.
"""

from __future__ import annotations

import inspect
import os
import pickle
import queue
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from typing import Any, BinaryIO

from napari_ferro4d.errors import ModelError, ScanError
from napari_ferro4d.jobs import Cancelled, Progress
from napari_ferro4d.learn.compute import import_torch

READY = b"napari-ferro4d is ready\n"
"""After which the messages begin: what starts with Python may have printed before."""

STEPS = 3
"""Steps of the start: Python, torch, what to call and its scans."""

EVERY_S = 0.1
"""Least time between two messages on the progress."""

PATIENCE_S = 2.0
"""How long work that was asked to stop may take before the process ends all the same."""


def main() -> None:
    """Do what is asked until the input ends, then end the process."""
    requests, answers = _take_pipes()
    # A Ctrl-C in a terminal is for the process that asks; it says what is to happen.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    talk = _Talk(answers)
    talk.say("started", 1)
    jobs: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, jobs, talk.stop), daemon=True).start()
    with suppress(ScanError):  # which is for the job to say
        import_torch()
    talk.say("started", 2)
    while (job := jobs.get()) is not None:
        talk.send(_done(job, talk))
    sys.stderr.flush()
    # At once: libraries take seconds to tidy up.
    os._exit(0)


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return the pipe of requests and that of answers, and keep all others from using them."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    # What a library prints would stand between the answers.
    os.dup2(2, 1)
    answers.write(READY)
    return requests, answers


def _listen(
    requests: BinaryIO, jobs: queue.SimpleQueue[bytes | None], stop: threading.Event
) -> None:
    with suppress(EOFError, pickle.UnpicklingError):  # the end, or the middle of a request
        while True:
            jobs.put(pickle.load(requests))
    stop.set()
    jobs.put(None)
    time.sleep(PATIENCE_S)
    os._exit(1)


def _done(job: bytes, talk: _Talk) -> bytes:
    """Do one job and return the message on it."""
    try:
        function, args, options = pickle.loads(job)
        talk.say("started", STEPS)
        if "report" in inspect.signature(function).parameters:
            options["report"] = talk.report
        return pickle.dumps(("answer", function(*args, **options)))
    except (Cancelled, ScanError) as error:
        return pickle.dumps(("error", error))
    except Exception as error:
        traceback.print_exc()
        return pickle.dumps(("failure", failure(sys.argv[1], error)))


def failure(name: str, error: Exception) -> ModelError:
    """Return an error that is not meant for users as one that is."""
    kind = type(error).__name__
    memory = kind in ("MemoryError", "OutOfMemoryError")  # numpy's, torch's
    what = "close other programs or choose a smaller network; " if memory else ""
    said = " ".join(str(error).split())[:300]
    return ModelError(f"the {name} failed ({kind}: {said}); {what}see the log.")


class _Talk:
    """What is said to whoever asked."""

    def __init__(self, answers: BinaryIO) -> None:
        self.stop = threading.Event()
        self._answers = answers
        self._next = 0.0

    def send(self, message: bytes) -> None:
        """Send a message."""
        self._answers.write(message)
        self._answers.flush()

    def say(self, kind: str, value: Any) -> None:
        """Send a message of this kind."""
        self.send(pickle.dumps((kind, value)))

    def report(self, progress: Progress) -> None:
        """Say how far the work is, not too often, and stop it when asked."""
        if self.stop.is_set():
            raise Cancelled
        now = time.monotonic()
        if now >= self._next or progress.done >= progress.total:
            self.say("progress", progress)
            # The losses of very many epochs take long to pack, and as long to unpack.
            self._next = now + max(EVERY_S, 20 * (time.monotonic() - now))


if __name__ == "__main__":
    main()
