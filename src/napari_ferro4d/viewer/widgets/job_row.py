"""Long work off the GUI thread: run a core function, show how far it is, cancel it.

The function gets a ``report`` callable (see `napari_ferro4d.jobs`) that raises `Cancelled` once the
user asked for it. Whatever happens, one signal comes back on the GUI thread and the row is ready
for the next job.

The workers of napari and superqt stop at a generator's next `yield`, give no result or signal of
their own then, and cannot be abandoned; our functions report from deep inside, and are not
generators.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Cancelled, Progress, Report

_log = logging.getLogger(__name__)

_EVERY_S = 0.1
"""Least time between two updates of the screen."""

Work = Callable[[Report], Any]


def progress_text(progress: Progress) -> str:
    """Return one line on a piece of work, for example ``"12 of 48, 3 s left: reading rows"``.

    Examples
    --------
    >>> progress_text(Progress(12, 48, "reading rows", 3.2))
    'reading rows: 12 of 48, 3 s left'
    """
    parts = f"{progress.done} of {progress.total}"
    if progress.seconds_left is not None and progress.done < progress.total:
        parts += f", {_duration(progress.seconds_left)} left"
    return f"{progress.message}: {parts}" if progress.message else parts


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


class Job(QObject):
    """One piece of work on a thread of its own; exactly one of the last three signals ends it.

    Every signal says first which job it is of.
    """

    progressed = Signal(object, object)
    returned = Signal(object, object)
    failed = Signal(object, object)
    cancelled = Signal(object)

    def __init__(self, work: Work) -> None:
        super().__init__()
        self._work = work
        self._cancel = threading.Event()
        self._shown = 0.0
        self._partial: Any = None
        self._thread = threading.Thread(target=self._run, name="ferro4d job", daemon=True)

    def start(self) -> None:
        """Start working."""
        self._thread.start()

    def cancel(self) -> None:
        """Ask the work to stop; it does at its next report."""
        self._cancel.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the thread to end; return whether it did."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def take_partial(self) -> Any:
        """Return the newest partial result that was not taken yet, or None."""
        partial, self._partial = self._partial, None
        return partial

    def _report(self, progress: Progress) -> None:
        if self._cancel.is_set():
            raise Cancelled
        if progress.partial is not None:
            # Kept for the next update of the screen; a screen that is behind skips older ones.
            self._partial = progress.partial
        now = time.monotonic()
        if now - self._shown >= _EVERY_S or progress.done >= progress.total:
            self._shown = now
            self.progressed.emit(self, progress)

    def _run(self) -> None:
        signal: Any = self.cancelled
        args: tuple[Any, ...] = ()
        try:
            result = self._work(self._report)
            if not self._cancel.is_set():
                signal, args = self.returned, (result,)
        except Cancelled:
            pass
        except Exception as error:
            signal, args = self.failed, (error,)
        try:
            signal.emit(self, *args)
        except RuntimeError:
            # The window, and with it this object's Qt half, went while the work was ending.
            _log.debug("a job ended after its window", exc_info=True)


class JobRow(QWidget):
    """A progress bar with a text and a Cancel button, and the job it shows.

    Parameters
    ----------
    parent : QWidget, optional
        The widget that the row belongs to.
    """

    running = Signal(bool)
    progressed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._job: Job | None = None
        self._what = ""
        self._abandon = False
        self._abandoned: list[Job] = []
        self._done: Callable[[Any], str | None] = lambda result: None
        self._part: Callable[[Any], None] | None = None
        self._parted = False
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setMaximumHeight(14)
        self._cancel = QPushButton("Cancel")
        self._cancel.setToolTip("Stop at once. What was in the viewer before stays.")
        self._cancel.clicked.connect(self.cancel)
        self._text = QLabel("Ready.")
        self._text.setWordWrap(True)
        self._text.setAlignment(Qt.AlignmentFlag.AlignTop)
        row = QHBoxLayout()
        row.addWidget(self._bar, 1)
        row.addWidget(self._cancel)
        self.column = column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self._text)
        self._idle("Ready.")

    def showEvent(self, event: QShowEvent | None) -> None:
        """Keep room for two lines, so that nothing below jumps when a message is long."""
        super().showEvent(event)
        # napari's font is in force only now.
        self._text.setMinimumHeight(2 * self._text.fontMetrics().lineSpacing() + 12)

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return self._job is not None

    @property
    def text(self) -> str:
        """What the row says now."""
        return str(self._text.text())

    def start(
        self,
        work: Work,
        done: Callable[[Any], str | None],
        what: str,
        abandon: bool = False,
        part: Callable[[Any], None] | None = None,
    ) -> None:
        """Run ``work(report)`` on a thread, then ``done(result)`` on this one.

        Parameters
        ----------
        work : callable
            The core function, with everything but ``report`` filled in.
        done : callable
            Puts the result in the viewer; may return a line to show when all is finished.
        what : str
            What is running, for the messages: ``"Centre of mass"``.
        abandon : bool
            Do not wait for the work once it is cancelled: it never reports, and what it returns
            is dropped.
        part : callable, optional
            Shows a result that is known in part (`Progress.partial`), on this thread.
        """
        if self._job is not None:
            return
        self._what, self._done, self._abandon = what, done, abandon
        self._part, self._parted = part, False
        job = self._job = Job(work)
        # Bound methods of a widget: Qt then calls them on the widget's thread.
        job.progressed.connect(self._on_progress)
        job.returned.connect(self._on_returned)
        job.failed.connect(self._on_failed)
        job.cancelled.connect(self._on_cancelled)
        self._bar.setRange(0, 0)
        self._bar.setEnabled(True)
        self._cancel.setEnabled(True)
        self._text.setText(f"{what}...")
        self.running.emit(True)
        job.start()

    def say(self, text: str) -> None:
        """Show a line of text while nothing runs."""
        if not self.busy:
            self._text.setText(text)

    def cancel(self) -> None:
        """Ask the running job to stop."""
        if self._job is not None:
            self._job.cancel()
            self._cancel.setEnabled(False)
            self._text.setText("Stopping...")
            if self._abandon:
                # Kept until its thread has ended: Qt objects may not end on threads of others.
                self._abandoned.append(self._job)
                self._idle(_cancelled(self._what))

    def stop(self, seconds: float = 2.0) -> None:
        """Cancel the job and wait for its thread a little; for windows that close."""
        if self._job is not None:
            self._job.cancel()
            self._job.wait(seconds)

    def _on_progress(self, job: Job, progress: Progress) -> None:
        if job is not self._job or not self._cancel.isEnabled():
            return
        self._bar.setRange(0, max(1, progress.total))
        self._bar.setValue(progress.done)
        self._text.setText(progress_text(progress))
        if self._part is not None and (partial := job.take_partial()) is not None:
            self._parted = True
            self._part(partial)
        self.progressed.emit(progress)

    def _on_returned(self, job: Job, result: Any) -> None:
        if self._is_over(job):
            return
        self._idle(f"{self._what} finished.")
        try:
            line = self._done(result)
        except Exception as error:
            self._tell(error)
            return
        if line and not self.busy:
            self._text.setText(line)

    def _on_cancelled(self, job: Job) -> None:
        if not self._is_over(job):
            self._idle(_cancelled(self._what, self._parted))

    def _on_failed(self, job: Job, error: Exception) -> None:
        if not self._is_over(job):
            self._tell(error)

    def _is_over(self, job: Job) -> bool:
        """Return whether a job that ends now was abandoned before."""
        if job in self._abandoned:
            self._abandoned.remove(job)
            _log.debug("an abandoned job ended")
            return True
        return False

    def _tell(self, error: Exception) -> None:
        said = str(error)
        if not isinstance(error, ScanError):
            said = f"{type(error).__name__}: {error} (details in the log)"
            _log.error("%s failed", self._what, exc_info=error)
        self._idle(f"{self._what} failed: {_short(said)}")
        show_error(said if isinstance(error, ScanError) else f"{self._what} failed: {said}")

    def _idle(self, text: str) -> None:
        was_busy, self._job = self._job is not None, None
        self._bar.setRange(0, 1)
        self._bar.setValue(0)
        self._bar.setEnabled(False)
        self._cancel.setEnabled(False)
        self._text.setText(text)
        if was_busy:
            self.running.emit(False)


def _short(message: str) -> str:
    """Return a message without the folders of its files, which may fill a line and never break."""
    return re.sub(r"(?<!\S)(?:[A-Za-z]:)?[/\\]\S*[/\\](?=\S)", "", message)


def _cancelled(what: str, parted: bool = False) -> str:
    if parted:
        return f"{what} cancelled; the layers named (part) show how far it came."
    return f"{what} cancelled; nothing was changed."
