"""Work that follows the mouse, off the GUI thread: the latest request wins, others are skipped."""

from __future__ import annotations

import threading
import time
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_ferro4d.jobs import Cancelled, Progress, Report

_EVERY_S = 0.2
"""Least time between two reports of how far a piece of work is."""


class Request:
    """One request that is worked on.

    Parameters
    ----------
    wanted : object
        What was asked for.
    """

    def __init__(self, wanted: Any) -> None:
        self.wanted = wanted
        self.passed = threading.Event()
        """Set once something else is wanted, or nothing any more."""
        self.stopped = False
        """Whether nothing of it is to be shown."""


class LatestJob(QObject):
    """Work on one request after the other, each on a thread of its own.

    A subclass says what the work is (`work`) and what to do with what it tells (`take`).
    """

    failed = Signal(object)
    """An error that ended the work."""

    progressed = Signal(object)
    """How far a long piece of work is."""

    _told = Signal(object, object)
    _ended = Signal(object, object)

    def __init__(self) -> None:
        super().__init__()
        self._next: Any = None
        self._request: Request | None = None
        self._thread: threading.Thread | None = None
        self._told.connect(self._on_told)
        self._ended.connect(self._on_ended)

    def work(self, request: Request) -> None:
        """Do what was asked for, on a thread; ends early by `Cancelled`."""
        raise NotImplementedError

    def take(self, wanted: Any, what: Any) -> None:
        """Take what the work told, on the GUI thread."""
        raise NotImplementedError

    @property
    def busy(self) -> bool:
        """Whether something is being worked on."""
        return self._request is not None

    def ask(self, wanted: Any) -> None:
        """Ask for something; takes the place of what was asked for and not begun."""
        self._next = wanted
        if self._request is not None:
            self._request.passed.set()
        self._start()

    def stop(self, seconds: float = 0.0) -> None:
        """Give up what is worked on, begin nothing else; wait for the thread a little."""
        self._next = None
        if self._request is not None and self._thread is not None:
            self._request.stopped = True
            self._request.passed.set()
            if seconds:
                self._thread.join(seconds)

    def tell(self, request: Request, what: Any) -> None:
        """Hand something to `take`, from the thread of the work."""
        self._told.emit(request, what)

    def report(self, request: Request, patience: float = 0.0) -> Report:
        """Return a report that says how far the work is, and ends it once it is not wanted.

        Parameters
        ----------
        request : Request
            The request that is worked on.
        patience : float
            Seconds that work which began earlier is given for another request to wait.
        """
        began, said = time.monotonic(), 0.0

        def report(progress: Progress) -> None:
            nonlocal said
            now = time.monotonic()
            if request.stopped or (request.passed.is_set() and now - began >= patience):
                raise Cancelled
            if progress.partial is not None or now - said > _EVERY_S:
                said = now
                self._told.emit(request, progress)

        return report

    def _start(self) -> None:
        if self._request is not None or self._next is None:
            return
        request, self._next = Request(self._next), None
        self._request = request
        self._thread = threading.Thread(
            target=self._run, args=(request,), name=f"ferro4d {type(self).__name__}", daemon=True
        )
        self._thread.start()

    def _run(self, request: Request) -> None:
        error: Exception | None = None
        try:
            self.work(request)
        except Cancelled:
            pass
        except Exception as raised:  # a decoder raises anything
            error = raised
        try:
            self._ended.emit(request, error)
        except RuntimeError:
            return  # the window is gone

    def _on_told(self, request: Request, what: Any) -> None:
        # Also of a request that was passed meanwhile: better a little behind than nothing.
        if not request.stopped:
            self.take(request.wanted, what)

    def _on_ended(self, request: Request, error: Exception | None) -> None:
        self._request = self._thread = None
        if error is not None and not request.stopped:
            self.failed.emit(error)
        self._start()
