"""Dock widget "Embedding": what the channels of an embedding show, and classes made of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from napari.utils.notifications import show_error
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QPushButton, QTabWidget, QWidget

from napari_ferro4d.embedding import ChannelReport, proxies, rank
from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Report
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.widgets import Dock, Job, enable, form

from .channel_table import ChannelTable
from .classes_panel import ClassesPanel
from .decoder_panel import TraversePanel
from .difference_panel import DifferencePanel
from .range_panel import RangePanel
from .shown_embedding import EmbeddingChoice, ShownEmbedding

_log = logging.getLogger(__name__)

_NOTHING = "Embed a scan in the Autoencoder dock, or open a results folder with an embedding."


class EmbeddingWidget(Dock):
    """Read an embedding: rank its channels, look at ranges and differences, make classes.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer with the embedding, and with the scan that it is of.
    """

    key = "embedding"

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.choice = EmbeddingChoice(self.viewer)
        self._shown: ShownEmbedding | None = None
        self._scan: Scan | None = None
        self._channel: int | None = None
        self._reports: tuple[ChannelReport, ...] = ()
        self._rankings: list[Job] = []
        self._ended = False
        self.table = ChannelTable()
        self.mark_button = QPushButton("Mark extrinsic channels")
        self.range = RangePanel(self)
        self.difference = DifferencePanel(self)
        self.traverse = TraversePanel(self)
        self.classes = ClassesPanel(self)
        self._panels: dict[str, RangePanel | DifferencePanel | TraversePanel | ClassesPanel] = {
            "Range": self.range,
            "Difference": self.difference,
            "Decoder": self.traverse,
            "Classes": self.classes,
        }
        self.tabs = QTabWidget()
        self._lay_out()
        # Layers come and go in bunches; the boxes follow once a bunch is complete.
        self._seen = QTimer(self)
        self._seen.setSingleShot(True)
        self._seen.timeout.connect(self._follow)
        self._watched: list[Any] = []
        self.choice.changed.connect(self._on_embedding)
        self.table.picked.connect(self.pick)
        self.table.toggled.connect(self._on_toggled)
        self.mark_button.clicked.connect(self.mark)
        self.tabs.currentChanged.connect(self._on_tab)
        for event in (self.viewer.layers.events.inserted, self.viewer.layers.events.removed):
            event.connect(self._on_layers)
        self.session.closing.connect(self._end)
        self._on_embedding()
        self.ready()

    @property
    def embedding(self) -> ShownEmbedding | None:
        """The embedding chosen."""
        return self._shown

    @property
    def scan(self) -> Scan | None:
        """The scan that the embedding is of; None if the viewer has it not."""
        return self._scan

    @property
    def channel(self) -> int | None:
        """The channel chosen."""
        return self._channel

    @property
    def reports(self) -> tuple[ChannelReport, ...]:
        """What is known of the channels, best first."""
        return self._reports

    @property
    def order(self) -> list[int]:
        """The channels, best first."""
        return [report.channel for report in self._reports]

    @property
    def extrinsic(self) -> set[int]:
        """The channels that thickness or tilt explain, as far as is known."""
        return {report.channel for report in self._reports if report.extrinsic is not None}

    def _lay_out(self) -> None:
        rows = form()
        rows.addRow("Embedding", self.choice)
        self.column.addLayout(rows)
        self.column.addWidget(self.table)
        self.column.addWidget(self.mark_button)
        self.column.addWidget(self.row)
        for name, panel in self._panels.items():
            self.tabs.addTab(panel, name)
        self.tabs.setUsesScrollButtons(False)
        self.column.addWidget(self.tabs)

    def parameters(self) -> dict[str, Any]:
        """Return what the user set."""
        values = {name: panel.parameters() for name, panel in self._panels.items()}
        return {"tab": self.tabs.currentIndex(), **values}

    def set_parameters(self, values: dict[str, Any]) -> None:
        """Set what `parameters` returned."""
        for name, panel in self._panels.items():
            panel.set_parameters(values[name])
        self.tabs.setCurrentIndex(int(values["tab"]))

    def why_not(self) -> str | None:
        """Return why nothing can be computed from patterns now, or None."""
        if self.row.busy:
            return "Wait until the running job has finished, or cancel it."
        if self._shown is None:
            return _NOTHING
        if self._scan is None:
            return f"Open the scan {self._shown.origin.name}: this needs its patterns."
        return None

    def refresh(self, *_: Any) -> None:
        """Enable what can be done now."""
        enable(
            self.mark_button,
            self.why_not(),
            "One pass over the scan for thickness, tilt and other quantities; channels that\n"
            "thickness or tilt explain are marked as extrinsic, with the rank correlation.",
        )
        for panel in self._panels.values():
            panel.refresh()

    def pick(self, channel: int) -> None:
        """Choose a channel and show its map instead of those of the others."""
        if self._shown is None:
            return
        self._shown.show_only(channel)
        self._choose(channel)

    def mark(self) -> None:
        """Compare the channels with thickness and tilt on a thread, and rank them again."""
        shown, scan = self._shown, self._scan
        if shown is None or scan is None:
            return

        def work(report: Report) -> tuple[ChannelReport, ...]:
            return rank(shown.channels, proxies(scan, report=report))

        def done(reports: tuple[ChannelReport, ...]) -> str:
            self._take(shown, reports)
            count = sum(report.extrinsic is not None for report in reports)
            return f"{count} of {len(reports)} channels are explained by thickness or tilt."

        self.keep()
        self.row.start(work, done, "Comparing channels")

    def tell(self, what: str, error: Exception) -> None:
        """Tell the user of an error of work that has no row."""
        if not isinstance(error, ScanError):
            _log.error("%s failed", what, exc_info=error)
        show_error(f"{what} failed: {error}")

    def _choose(self, channel: int | None) -> None:
        self._channel = channel
        self.table.pick(channel)
        for panel in self._panels.values():
            panel.set_channel(self._shown, channel)
        self.refresh()
        self._follow()

    def _on_embedding(self) -> None:
        """Show another embedding, or the one that takes the place of the last."""
        shown = self.choice.embedding()
        self._shown, self._scan = shown, None if shown is None else shown.scan()
        self._reports = ()
        if shown is None:
            self.table.fill((), (), None)
        else:
            known = shown.noted("reports")
            self._take(shown, known or _unranked(shown))
            if known is None:
                self._rank(shown)
        for panel in self._panels.values():
            panel.set_scan()
        self._choose(None if shown is None else self._first_channel(shown))

    def _first_channel(self, shown: ShownEmbedding) -> int | None:
        """Return the channel whose map is seen, else the best one."""
        seen = [number for number, layer in shown.layers().items() if layer.visible]
        if self._channel in seen or not seen:
            return self._channel if self._channel in seen else next(iter(self.order), None)
        return next((number for number in self.order if number in seen), seen[0])

    def _rank(self, shown: ShownEmbedding) -> None:
        """Rank by structure alone, which needs no patterns, on a thread."""

        def work(report: Report) -> tuple[ShownEmbedding, tuple[ChannelReport, ...]]:
            return shown, rank(shown.channels)

        job = Job(work)
        job.returned.connect(self._on_ranked)
        job.failed.connect(self._on_rank_failed)
        self._rankings.append(job)  # kept until it has ended
        job.start()

    def _on_ranked(self, job: Job, ranked: tuple[ShownEmbedding, Any]) -> None:
        self._rankings.remove(job)
        shown, reports = ranked
        if not self._ended and shown.noted("reports") is None:
            self._take(shown, reports)

    def _on_rank_failed(self, job: Job, error: Exception) -> None:
        self._rankings.remove(job)
        self.tell("Ranking channels", error)

    def _take(self, shown: ShownEmbedding, reports: Sequence[ChannelReport]) -> None:
        if any(report.correlations for report in reports):
            shown.note(reports=tuple(reports))
        if self._shown is None or shown.whole is not self._shown.whole:
            return
        self._reports = tuple(reports)
        names = [shown.name(number) for number in range(len(shown.channels))]
        self.table.fill(self._reports, names, self._channel)
        for panel in (self.difference, self.classes):
            panel.set_channel(shown, self._channel)
        self.refresh()
        self._follow()

    def _on_tab(self, index: int) -> None:
        self.range.set_open(self.tabs.widget(index) is self.range)
        self.refresh()

    def _on_toggled(self, channel: int, on: bool) -> None:
        if self._shown is not None:
            self._shown.show(channel, on)

    def _on_layers(self, event: Any) -> None:
        scan = None if self._shown is None else self._shown.scan()
        if scan is not self._scan:
            self._scan = scan
            for panel in self._panels.values():
                panel.set_scan()
            self.refresh()
        self.classes.follow()
        self._seen.start()

    def _follow(self, event: Any = None) -> None:
        """Tick the boxes of the maps that are seen, now and when that changes."""
        for layer in self._watched:
            layer.events.visible.disconnect(self._on_visible)
        layers = {} if self._shown is None else self._shown.layers()
        self._watched = list(layers.values())
        for layer in self._watched:
            layer.events.visible.connect(self._on_visible)
        self.table.show_seen({number for number, layer in layers.items() if layer.visible})

    def _on_visible(self, event: Any = None) -> None:
        self._seen.start()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Ask for the room that all panels need: those not seen yet get their style only here."""
        for child in self.findChildren(QWidget):
            child.ensurePolished()
        super().showEvent(event)

    def event(self, event: Any) -> bool:
        """Let go of layers and threads when the dock is closed."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._end()
        return super().event(event)

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self.range.end()
        self.choice.end()
        self._seen.stop()
        for event in (self.viewer.layers.events.inserted, self.viewer.layers.events.removed):
            event.disconnect(self._on_layers)
        for layer in self._watched:
            layer.events.visible.disconnect(self._on_visible)
        self._watched = []


def _unranked(shown: ShownEmbedding) -> tuple[ChannelReport, ...]:
    """Return the channels in the order in which they were saved, until they are ranked."""
    active = shown.whole.active
    rest = [number for number in range(len(shown.channels)) if number not in active]
    return tuple(
        ChannelReport(number, float("nan"), active=not active or number in active)
        for number in (*active, *rest)
    )
