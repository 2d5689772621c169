"""Panel "Difference": what distinguishes the patterns at the two ends of a channel."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_ferro4d.embedding import Difference, difference, log_difference
from napari_ferro4d.jobs import Report
from napari_ferro4d.results import LabelResult, provenance
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import colour_of
from napari_ferro4d.viewer.widgets import PatternImage, Picture, enable, form, narrow

from .class_layers import put_labels
from .compare_dialog import CompareDialog
from .panel_host import PanelHost
from .shown_embedding import ShownEmbedding

SURE = 3.0
"""Standard errors from which on a difference is taken for one."""


class DifferencePanel(QWidget):
    """Subtract mean patterns of the extremes of one channel, or of two.

    Parameters
    ----------
    dock : PanelHost
        Says which embedding, which channel and which scan, and runs the work.
    """

    def __init__(self, dock: PanelHost) -> None:
        super().__init__()
        self._dock = dock
        self._found: Difference | None = None
        self._what = ""
        self._of: ShownEmbedding | None = None
        self._scan: Scan | None = None
        self.against = narrow(QComboBox())
        self.against.setToolTip(
            "its own bottom: positions with the highest values of the channel, less those with\n"
            "the lowest. Another channel: the highest of this channel, less the highest of that."
        )
        self.share = QDoubleSpinBox()
        self.share.setRange(0.1, 50.0)
        self.share.setValue(5.0)
        self.share.setDecimals(1)
        self.share.setSuffix(" %")
        self.share.setMinimumWidth(92)
        self.share.setToolTip("Share of the probe positions in each of the two groups.")
        self.run = QPushButton("Subtract patterns")
        self.log = QCheckBox("log")
        self.log.setToolTip(
            "Show the difference of the logarithms, log(1 + counts): weak reflections show in it."
        )
        self.only_sure = QCheckBox(f"beyond {SURE:g} σ only")
        self.only_sure.setToolTip(
            f"Grey where the difference is less than {SURE:g} standard errors of counting."
        )
        self.pattern = PatternImage("Subtract patterns to see what distinguishes them.")
        self.said = QLabel()
        self.said.setWordWrap(True)
        self.compare_button = QPushButton("Compare with simulation...")
        self._lay_out()
        self.run.clicked.connect(self.compute)
        self.log.toggled.connect(self._draw)
        self.only_sure.toggled.connect(self._draw)
        self.compare_button.clicked.connect(self.compare)

    @property
    def found(self) -> Difference | None:
        """The difference shown."""
        return self._found

    def _lay_out(self) -> None:
        rows = form()
        rows.addRow("Top less", self.against)
        share = QHBoxLayout()
        share.addWidget(self.share)
        share.addWidget(self.run, 1)
        rows.addRow("Share", share)
        boxes = QHBoxLayout()
        boxes.addWidget(self.only_sure)
        boxes.addStretch(1)
        boxes.addWidget(self.log)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 8)
        column.setSpacing(4)
        column.addLayout(rows)
        column.addLayout(boxes)
        column.addWidget(self.pattern)
        column.addWidget(self.said)
        column.addWidget(self.compare_button)
        column.addStretch(1)

    def parameters(self) -> dict[str, Any]:
        """Return what the user set."""
        return {
            "share": self.share.value(),
            "log": self.log.isChecked(),
            "only_sure": self.only_sure.isChecked(),
        }

    def set_parameters(self, values: dict[str, Any]) -> None:
        """Set what `parameters` returned."""
        self.share.setValue(float(values["share"]))
        self.log.setChecked(bool(values["log"]))
        self.only_sure.setChecked(bool(values["only_sure"]))

    def set_channel(self, found: ShownEmbedding | None, channel: int | None) -> None:
        """Offer the other channels; a difference of this embedding stays until there is another."""
        if self._of is not None and (found is None or found.whole is not self._of.whole):
            self._forget()
        before = self.against.currentData()
        self.against.clear()
        self.against.addItem("its own bottom", None)
        if found is not None:
            for other in self._dock.order:
                if other != channel:
                    self.against.addItem(f"top of {found.name(other)}", other)
        self.against.setCurrentIndex(max(0, self.against.findData(before)))

    def set_scan(self) -> None:
        """Forget what is shown of another scan."""
        if self._scan is not None and self._scan is not self._dock.scan:
            self._forget()

    def refresh(self) -> None:
        """Enable what can be done now."""
        why = self._dock.why_not()
        enable(self.run, why, "One pass over the scan; also marks the positions of both groups.")
        none = None if self._found is not None else "Subtract patterns first."
        enable(
            self.compare_button,
            why or none,
            "Correlate this difference with that of two simulated patterns.",
        )

    def compute(self) -> None:
        """Compute the difference on a thread and show it."""
        shown, channel, scan = self._dock.embedding, self._dock.channel, self._dock.scan
        if shown is None or channel is None or scan is None:
            return
        other, share = self.against.currentData(), self.share.value() / 100
        against = None if other is None else shown.channels[other]
        said = {
            "channel": shown.name(channel),
            "against": None if other is None else shown.name(other),
            "share": share,
        }

        def work(report: Report) -> Difference:
            return difference(
                scan, shown.channels[channel], share=share, against=against, report=report
            )

        def done(found: Difference) -> str:
            now = self._dock.embedding
            if now is None or now.whole is not shown.whole or self._dock.scan is not scan:
                return "Another embedding was chosen meanwhile: the difference is dropped."
            self._found, self._what, self._of, self._scan = found, _what(said), shown, scan
            self._draw()
            self._mark(shown, found, said)
            self.refresh()
            return f"Subtracted the patterns of {self._what}."

        self._dock.keep()
        self._dock.row.start(work, done, "Difference")

    def compare(self) -> None:
        """Ask what to compare the difference with, and compare."""
        if self._found is None or self._scan is None:
            return
        dialog = CompareDialog(self, self._dock.viewer, self._scan, self._found)
        dialog.show()

    def _forget(self) -> None:
        self._found = self._of = self._scan = None
        self._draw()

    def _mark(self, shown: ShownEmbedding, found: Difference, said: dict[str, Any]) -> None:
        """Show which positions were compared, as labels."""
        labels = np.zeros(found.high_positions.shape, np.uint8)
        labels[found.high_positions], labels[found.low_positions] = 1, 2
        percent = f"{100 * said['share']:g} %"
        names = {1: f"top {percent} of {said['channel']}"}
        if said["against"] is None:
            names[2] = f"bottom {percent} of {said['channel']}"
        else:
            names[2] = f"top {percent} of {said['against']}"
        colours = {number: colour_of(number) for number in names}
        result = LabelResult("extremes", labels, shown.origin.scan_step, names, colours)
        put_labels(shown, result, provenance("difference", said, shown.scan()))

    def _draw(self, *_: Any) -> None:
        found = self._found
        self.pattern.set_scan(self._scan)
        if found is None:
            self.pattern.show_picture(None)
            self.said.setText("")
            return
        ratio = _ratio(found)
        sure = np.abs(ratio) >= SURE if self.only_sure.isChecked() else None
        if self.log.isChecked():
            picture = Picture(log_difference(found), "(log)", signed=True, sure=sure)
        else:
            picture = Picture(found.difference, "counts", signed=True, sure=sure)
        self.pattern.show_picture(picture)
        high, low = (int(np.count_nonzero(g)) for g in (found.high_positions, found.low_positions))
        beyond = 100 * float(np.mean(np.abs(ratio) >= SURE))
        self.said.setText(
            f"{self._what[0].upper()}{self._what[1:]}: {high:,} less {low:,} patterns. "
            f"{beyond:.3g} % of the pixels differ by more than "
            f"{SURE:g} σ of counting (0.3 % would by chance); "
            f"the most by {np.abs(ratio).max():.3g} σ."
        )


def _ratio(found: Difference) -> np.ndarray:
    """Return the difference in standard errors; zero where no count was seen."""
    seen = found.error > 0
    return np.where(seen, found.difference, 0.0) / np.where(seen, found.error, 1.0)


def _what(said: dict[str, Any]) -> str:
    if said["against"] is None:
        return f"the top and bottom {100 * said['share']:g} % of {said['channel']}"
    return f"the top {100 * said['share']:g} % of {said['channel']} and of {said['against']}"
