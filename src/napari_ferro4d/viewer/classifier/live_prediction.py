"""Prediction that follows the labelling by itself, while the user goes on painting."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ferro4d.jobs import Cancelled, Progress, Report
from napari_ferro4d.learn import Classification, Worker, classify, suggest
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.session import RECORDED_MS
from napari_ferro4d.viewer.widgets import LatestJob, Request

if TYPE_CHECKING:
    from napari.layers import Labels

QUIET_MS = 400
"""How long nothing has to change on the labels before the map follows them."""


class SharedWorker(Worker):
    """A process that two threads ask: one waits until the other has its answer."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._turn = threading.Lock()
        self._over = False

    def in_turn(self, function: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        """Return what `Worker.run` does, once nothing else runs; ``report`` is called meanwhile."""
        report: Report = options["report"]
        while not self._turn.acquire(timeout=0.1):
            report(Progress(0, 1, "waiting for the prediction before"))
        try:
            report(Progress(0, 1, "starting"))
            if self._over:
                raise Cancelled
            return self.run(function, *args, **options)
        finally:
            self._turn.release()

    def end(self) -> None:
        """End the process for good."""
        self._over = True
        super().end()


@dataclass(frozen=True, eq=False)
class Learning:
    """What is to be learnt.

    Parameters
    ----------
    scan : Scan
        On which to learn and predict.
    labels : ndarray
        Integer ``[y, x]``, 0 = unlabelled.
    options : mapping
        Other parameters of `classify`.
    contradicted : int
        Positions at which corrections say otherwise than the labels layer.
    loads : int
        How many models the user had loaded by then.
    """

    scan: Scan
    labels: np.ndarray
    options: dict[str, Any] = field(default_factory=dict)
    contradicted: int = 0
    loads: int = 0

    @property
    def counts(self) -> dict[int, int]:
        """Labels by class number."""
        numbers, counts = np.unique(self.labels[self.labels > 0], return_counts=True)
        return {int(n): int(count) for n, count in zip(numbers, counts, strict=True)}

    def same_labels(self, other: Learning | None) -> bool:
        """Return whether `other` has the same labels of the same scan."""
        return (
            other is not None
            and other.scan.signature == self.scan.signature
            and np.array_equal(other.labels, self.labels)
        )


class LivePrediction(LatestJob):
    """Learns and predicts what was asked for last; what was asked for in between is skipped.

    A training that has begun ends, for its map is better than none, and the process keeps what it
    knows of the scan.
    """

    predicted = Signal(object, object)
    """What was learnt, and the `Classification`."""

    prepared = Signal()
    """All patterns of a scan are read, before there are two classes to learn."""

    def __init__(self, worker: SharedWorker) -> None:
        super().__init__()
        self._worker = worker
        self._read: set[str] = set()

    def prepare(self, wanted: Learning) -> None:
        """Read the patterns while the user labels the first class: a first map has to wait for it.

        Done once for a scan; what is read is kept by the process.
        """
        if wanted.scan.signature not in self._read and not wanted.options["neighbourhood"]:
            self.ask(wanted)

    def work(self, request: Request) -> None:
        """See `LatestJob`."""
        wanted: Learning = request.wanted
        goes_on = self.report(request, patience=float("inf"))
        begun = False

        def report(progress: Progress) -> None:
            nonlocal begun
            begun = begun or progress.message != "waiting for the prediction before"
            if not begun and request.passed.is_set():
                raise Cancelled
            goes_on(progress)

        run, scan = self._worker.in_turn, wanted.scan
        if len(wanted.counts) < 2:
            run(suggest, scan, budget=1, report=report)
            self.tell(request, None)
        else:
            found = run(classify, scan, labels=wanted.labels, **wanted.options, report=report)
            self.tell(request, found)
        self._read.add(scan.signature)

    def take(self, wanted: Any, what: Any) -> None:
        """See `LatestJob`."""
        if isinstance(what, Classification):
            self.predicted.emit(wanted, what)
        elif what is None:
            self.prepared.emit()
        else:
            self.progressed.emit(what)


class LabelsWatch(QObject):
    """Says when the user has changed labels, a moment after the last change; a stroke is one.

    Parameters
    ----------
    parent : QObject
        Who wants to know.
    """

    changed = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._layer: Labels | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._on_quiet)

    @property
    def waiting(self) -> bool:
        """Whether something changed a moment ago."""
        return self._timer.isActive()

    def set_layer(self, layer: Labels | None) -> None:
        """Watch `layer` and no other."""
        if layer is self._layer:
            return
        for event in self._events():
            event.disconnect(self.start)
        self._layer = layer
        self._timer.stop()
        for event in self._events():
            event.connect(self.start)

    def start(self, event: Any = None) -> None:
        """Begin to wait, or begin again."""
        self._timer.start(QUIET_MS)

    def start_late(self) -> None:
        """Wait for the rest: corrections are recorded a moment after the last change of them."""
        self._timer.start(QUIET_MS - RECORDED_MS)

    def _on_quiet(self) -> None:
        if self._layer is not None and self._layer._block_history:
            self.start()  # who holds the mouse still has not ended the stroke
        else:
            self.changed.emit()

    def _events(self) -> list[Any]:
        if self._layer is None:
            return []
        # A stroke says `labels_update` at every step and `paint` at its end, undo only `set_data`.
        events = self._layer.events
        return [events.paint, events.set_data, events.labels_update]
