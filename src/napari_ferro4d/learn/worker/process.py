"""The process as seen by the one that starts it: `Worker`.

The process that asks stays responsive: it imports no torch and computes nothing. The memory of the
other, and that of the GPU, are free once that has ended, and a crash there is an error here.

It is started as a module of its own and not by `multiprocessing`, whose processes first run the
main script of their parent again (all of napari's, or a notebook's or macro's without a guard) and
import what lies by chance in the working folder. Pickles tell themselves where they end, so that
the pipes of standard input and output are all that is needed; nobody else can write to these, so
that what is unpickled is our own.
"""

from __future__ import annotations

import logging
import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from napari_ferro4d.errors import ModelError
from napari_ferro4d.jobs import Cancelled, Progress, Report

from .child import EVERY_S, PATIENCE_S, READY, STEPS, failure
from .scan_transfer import pickled

_log = logging.getLogger(__name__)

CANCELLED_S = 0.3
"""How long somebody who cancels is kept waiting for the process to end."""

P = ParamSpec("P")
R = TypeVar("R")


class Worker:
    """A Python process that calls functions, one after the other, for a ``with`` block.

    It starts with the first call and ends with the block, and with a call that fails or is
    cancelled; the next call then starts another.

    Parameters
    ----------
    name : str
        What messages call it.

    Examples
    --------
    >>> from napari_ferro4d.learn import train
    >>> from napari_ferro4d.simulate import demo_scan
    >>> with Worker() as worker:
    ...     model = worker.run(train, demo_scan(), embedding=4, epochs=1, device="cpu")
    >>> len(model.header["history"]["losses"])
    1
    """

    def __init__(self, name: str = "trainer") -> None:
        self._name = name
        self._child: _Child | None = None
        self._lock = threading.Lock()
        """Held by who changes the process: a window that closes ends what a thread starts."""

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def run(self, function: Callable[P, R], /, *args: P.args, **options: P.kwargs) -> R:
        """Return what `function` returns for these arguments, with the same result as here.

        Parameters
        ----------
        function : callable
            One of this package, such as `train`, `embed`, `classify` or `traverse`.
        *args, **options
            Its arguments. Files of scans are opened again by the process; a scan in memory goes
            through a temporary file of its size. ``report`` receives a `Progress` several times per
            second, from the start of the process on; it may raise `Cancelled`, which comes back
            within half a second.

        Raises
        ------
        ScanError, ModelError
            What `function` raises; `ModelError` also if the process crashed or was killed.
        Cancelled
            If `report` raised it, or if another thread has ended the process meanwhile.
        """
        report: Any = options.pop("report", None)
        with self._lock:
            child = self._child = self._child or _Child(self._name)
        try:
            with tempfile.TemporaryDirectory(dir=child.folder, ignore_cleanup_errors=True) as files:
                child.ask(pickled((function, args, options), Path(files), report, self._name))
                answer: R = self._answer(child, report)
                return answer
        except BaseException as error:
            ended_by_another = self._child is not child
            self._end(child)
            if ended_by_another and isinstance(error, Exception):
                raise Cancelled from error
            raise

    def end(self) -> None:
        """Ask the process to stop, and kill it if it does not within two seconds.

        A call that another thread has made is cancelled.
        """
        with self._lock:
            child = self._child
        if child is not None:
            self._end(child)

    def _end(self, child: _Child) -> None:
        with self._lock:
            if self._child is child:
                self._child = None
        # In a thread, so that nobody who cancels waits for a process that does not stop. Not a
        # daemon: at its end Python waits for it, or the folder would stay.
        ending = threading.Thread(target=child.end, name="ferro4d ending")
        ending.start()
        ending.join(CANCELLED_S)

    def _answer(self, child: _Child, report: Report | None) -> Any:
        """Report how far the work is until there is an answer."""
        begin, step, progress = time.monotonic(), 0, None
        while self._child is child:
            kind, value = child.message()
            if kind in ("answer", "error", "failure") and (words := child.words()):
                level = logging.ERROR if kind == "failure" else logging.DEBUG
                _log.log(level, "the %s wrote:\n%s", self._name, words)
            match kind:
                case "answer":
                    return value
                case "error" | "failure":
                    raise value
                case "ended":
                    raise child.crash()
                case "started":
                    step = value
                case "progress":
                    progress = value
            if report is not None:
                seconds = f"{time.monotonic() - begin:.0f} s"
                report(progress or Progress(step, STEPS, f"starting the {self._name} ({seconds})"))
        raise Cancelled


class _Child:
    """One process, from its start to its end, and a folder for the files of its work."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._folder = tempfile.TemporaryDirectory(prefix="ferro4d-", ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name)
        self._words = self.folder / "stderr.txt"
        # It finds the packages of this process, also those that a notebook added to its path, and
        # nothing that lies in the working folder by chance (-P).
        paths = [os.path.abspath(path) for path in sys.path]
        try:
            with self._words.open("wb") as words:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "napari_ferro4d.learn.worker.child", name],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=words,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                    creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                )
        except OSError as error:
            self._folder.cleanup()
            raise ModelError(
                f"{sys.executable or 'Python'}: cannot be started as the {name} "
                f"({error.strerror}); use `ferro4d` in a terminal."
            ) from error
        self._messages: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._read, name=f"ferro4d {name}", daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as pipe:
            while (line := pipe.readline()) and not line.endswith(READY):
                pass
            try:
                while True:
                    self._messages.put(pickle.load(pipe))
            except (EOFError, pickle.UnpicklingError):  # the end, or the middle of a message
                self._messages.put(("ended", None))
            except Exception as error:  # no memory for the answer
                self._messages.put(("failure", failure(self._name, error)))

    def ask(self, job: bytes) -> None:
        """Say what to do."""
        assert self._process.stdin is not None
        with suppress(OSError):  # it has ended, as the missing answer will tell
            pickle.dump(job, self._process.stdin)
            self._process.stdin.flush()

    def message(self) -> tuple[str, Any]:
        """Return the next message, or after a moment's wait one that says nothing."""
        try:
            return self._messages.get(timeout=EVERY_S)
        except queue.Empty:
            return "", None

    def words(self) -> str:
        """Return what the process wrote to standard error."""
        return self._words.read_text("utf-8", "replace")

    def crash(self) -> ModelError:
        """Say in one line how the process ended that gave no answer."""
        code, why = self._process.wait(), []
        if code < 0:
            number = {one.value: one.name for one in signal.Signals}.get(-code, str(-code))
            how = f"was ended by signal {number}"
            if number == "SIGKILL":
                why.append("most often because memory ran out")
        else:
            how = f"ended with exit code {code if code < 2**31 else hex(code)}"
        lines = [line.strip() for line in self.words().splitlines() if line.strip()]
        if lines:
            why.append(f"its last words: {lines[-1][:300]}")
        because = f" ({'; '.join(why)})" if why else ""
        return ModelError(
            f"the {self._name} {how}{because}. Try again, with a smaller network or fewer programs "
            "running if memory is short."
        )

    def end(self) -> None:
        """End the process, by force if it takes long, and remove its folder."""
        assert self._process.stdin is not None
        force = threading.Timer(PATIENCE_S, self._process.kill)
        force.start()
        with suppress(OSError):  # it has ended already
            self._process.stdin.close()
        self._process.wait()
        force.cancel()
        self._folder.cleanup()
