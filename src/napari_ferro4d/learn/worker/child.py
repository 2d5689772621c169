"""The process of `process`, seen from the one that starts it; `_trainer` is its own side."""

from __future__ import annotations

import json
import logging
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from napari_ferro4d import errors
from napari_ferro4d.errors import ModelError, ScanError
from napari_ferro4d.jobs import Cancelled, Progress, Report

from .messages import ProgressReader, plain
from .trainer import EVERY_S, STARTING, STEPS

__all__ = ["Trainer"]

_log = logging.getLogger(__name__)

PATIENCE_S = 2.0
"""How long a process that was asked to stop may take before it is killed."""

CANCELLED_S = 0.3
"""How long somebody who cancels is kept waiting for that."""

_WORDS = "stderr.txt"
"""File for what the process writes to standard error."""


class Trainer:
    """A Python process that trains and embeds, one job after the other, for a ``with`` block.

    It starts with the first job and ends with the block, and with a job that fails or is cancelled;
    the next job then starts another.

    Parameters
    ----------
    name : str
        What messages call it.
    """

    def __init__(self, name: str = "trainer") -> None:
        self._name = name
        self._process: subprocess.Popen[bytes] | None = None
        self._messages: queue.Queue[bytes | None] = queue.Queue()
        self._folder: Path | None = None
        self._lock = threading.Lock()
        """Held by who changes process or folder: a window that closes ends what a thread starts."""

    def __enter__(self) -> Trainer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    @contextmanager
    def job(self) -> Iterator[Path]:
        """Give a new folder for the files of one job, which is done, and read, in the block.

        Whatever goes wrong ends the process.

        Raises
        ------
        Cancelled
            If another thread has ended the process meanwhile, whatever came of that.
        """
        with self._lock:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="ferro4d-trainer-"))
            home = self._folder
        try:
            folder = Path(tempfile.mkdtemp(dir=home))
            yield folder
            shutil.rmtree(folder, ignore_errors=True)
        except BaseException as error:
            if self._folder != home and isinstance(error, Exception):
                raise Cancelled from error
            self.end()
            raise

    def end(self) -> None:
        """Ask the process to stop, and kill it if it does not within two seconds.

        A job that another thread has done there is cancelled.
        """
        with self._lock:
            process, folder = self._process, self._folder
            self._process = self._folder = None
        if folder is None:
            return
        # In a thread, so that nobody who cancels waits for a process that does not stop. Not a
        # daemon: at its end Python waits for it, or the folder would stay.
        ending = threading.Thread(target=_end, args=(process, folder), name="ferro4d ending")
        ending.start()
        ending.join(CANCELLED_S)

    def ask(self, job: Mapping[str, Any], report: Report | None) -> dict[str, Any]:
        """Have a job of `job` done and return the answer.

        Raises
        ------
        ScanError, ModelError
            What the job raised, or that the process failed or ended.
        """
        folder = Path(job["folder"]).parent
        return self._answer(self._process or self._start(folder), folder, job, report)

    def _start(self, folder: Path) -> subprocess.Popen[bytes]:
        # It finds the packages of this process, also those that a notebook added to its path, and
        # nothing that lies in the working folder by chance (-P).
        paths = [os.path.abspath(path) for path in sys.path]
        command = [sys.executable, "-P", "-m", "napari_ferro4d.learn.worker.trainer"]
        with (folder / _WORDS).open("wb") as words:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=words,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                    creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                )
            except OSError as error:
                raise ModelError(
                    f"{sys.executable or 'Python'}: cannot be started as the {self._name} "
                    f"({error.strerror}); use `ferro4d` in a terminal."
                ) from error
        self._messages = queue.Queue()
        reading = threading.Thread(target=_read, args=(process, self._messages), daemon=True)
        reading.start()
        with self._lock:
            wanted = self._folder == folder
            if wanted:
                self._process = process
        if not wanted:
            _end(process, folder)
            raise Cancelled
        return process

    def _answer(
        self,
        process: subprocess.Popen[bytes],
        folder: Path,
        job: Mapping[str, Any],
        report: Report | None,
    ) -> dict[str, Any]:
        begin, reader, progress = time.monotonic(), ProgressReader(), Progress(0, STEPS, STARTING)
        assert process.stdin is not None
        with suppress(OSError):  # it has ended, as the missing answer will tell
            process.stdin.write(json.dumps(job, default=plain).encode() + b"\n")
            process.stdin.flush()
        answer = None
        while answer is None:
            for message in _arrived(self._messages):
                if self._process is not process:
                    raise Cancelled
                if "answer" in message:
                    answer = message["answer"]
                    break
                if "progress" not in message:
                    raise self._error(process, folder, message)
                starting, progress = progress.message == STARTING, reader.progress(message)
                if starting and progress.message != STARTING:
                    _log.info("the %s started in %.1f s", self._name, time.monotonic() - begin)
            if report is not None:
                said = progress
                if progress.message == STARTING:
                    waited = f"starting the {self._name} ({time.monotonic() - begin:.0f} s)"
                    said = replace(progress, message=waited)
                report(said)  # the last one too, which often comes with the answer
        _log.debug("the %s wrote:\n%s", self._name, _words(folder))
        return dict(answer)

    def _error(
        self, process: subprocess.Popen[bytes], folder: Path, message: Mapping[str, Any]
    ) -> Exception:
        """Return what a message other than an answer means."""
        if "cancelled" in message:
            return Cancelled()
        if "error" in message:
            kind: Callable[[str], ScanError] = getattr(errors, message["kind"], ScanError)
            return kind(message["error"])
        words = _words(folder)
        if "failed" in message:
            _log.error("the %s failed:\n%s", self._name, words)
            short = (
                "close other programs or choose a smaller network; " if message["memory"] else ""
            )
            return ModelError(f"the {self._name} failed ({message['failed']}); {short}see the log.")
        return _crashed(self._name, process.wait(), words)


def _words(folder: Path) -> str:
    """Return what the process of a folder wrote to standard error."""
    return (folder / _WORDS).read_text("utf-8", "replace")


def _crashed(name: str, code: int, words: str) -> ModelError:
    """Say in one line how a process ended that gave no answer."""
    why = ""
    if code < 0:
        number = {one.value: one.name for one in signal.Signals}.get(-code, str(-code))
        how = f"was ended by signal {number}"
        if number == "SIGKILL":
            why = "most often because memory ran out"
    else:
        how = f"ended with exit code {code if code < 2**31 else hex(code)}"
    last = next((line.strip() for line in reversed(words.splitlines()) if line.strip()), "")
    because = "; ".join(filter(None, (why, f"its last words: {last[:300]}" if last else "")))
    return ModelError(
        f"the {name} {how}{f' ({because})' if because else ''}. Try again, with a smaller "
        "network or fewer programs running if memory is short."
    )


def _read(process: subprocess.Popen[bytes], messages: queue.Queue[bytes | None]) -> None:
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            messages.put(line)
    messages.put(None)


def _arrived(messages: queue.Queue[bytes | None]) -> Iterator[dict[str, Any]]:
    """Yield the messages that are there, after a moment's wait for one; an empty one is the end."""
    with suppress(queue.Empty):
        line = messages.get(timeout=EVERY_S)
        while line is not None:
            # What is no JSON was written by what starts with Python, before the trainer did.
            with suppress(ValueError):
                yield json.loads(line)
            line = messages.get_nowait()
        yield {}


def _end(process: subprocess.Popen[bytes] | None, folder: Path) -> None:
    if process is not None:
        assert process.stdin is not None
        with suppress(OSError):  # it has ended already
            process.stdin.write(b'"stop"\n')
            process.stdin.flush()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with suppress(OSError):
            process.stdin.close()
    shutil.rmtree(folder, ignore_errors=True)
