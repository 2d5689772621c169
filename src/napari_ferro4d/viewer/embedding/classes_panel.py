"""Panel "Classes": gates in the plane of two channels, and clusters of all, as labels layers."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_ferro4d.embedding import Clusters, cluster, gate
from napari_ferro4d.jobs import Report
from napari_ferro4d.results import LabelResult, provenance
from napari_ferro4d.viewer.layers import colour_of, find_layer
from napari_ferro4d.viewer.widgets import Gate, GatePlane, Place, enable, form, narrow

from .class_layers import add_class, put_labels, remove_class
from .panel_host import PanelHost
from .shown_embedding import ShownEmbedding

_METHODS: dict[str, Literal["gaussian", "hdbscan"]] = {
    "Gaussian mixture": "gaussian",
    "HDBSCAN": "hdbscan",
}


class ClassesPanel(QWidget):
    """Make classes of an embedding.

    Parameters
    ----------
    dock : PanelHost
        Says which embedding and which channel, and runs the work.
    """

    def __init__(self, dock: PanelHost) -> None:
        super().__init__()
        self._dock = dock
        self._gates: list[Gate] = []
        self._chosen: int | None = None
        self.other = narrow(QComboBox())
        self.other.setToolTip("The channel drawn upwards; the one chosen above is drawn across.")
        self.plane = GatePlane()
        self.undo_button = QPushButton("Remove last")
        self.clear_button = QPushButton("Remove all")
        self.method = narrow(QComboBox())
        self.method.addItems(list(_METHODS))
        self.method.setToolTip(
            "Gaussian mixture: every position belongs to a class.\n"
            "HDBSCAN: dense regions are classes, what lies between has none."
        )
        self.classes = QSpinBox()
        self.classes.setRange(0, 12)
        self.classes.setSpecialValueText("auto")
        self.classes.setMinimumWidth(92)
        self.classes.setToolTip("Number of classes; auto: as many as the data speaks for.")
        self.without = QCheckBox("without extrinsic channels")
        self.without.setToolTip("Leave out the channels that thickness or tilt explain.")
        self.without.setChecked(True)
        self.run = QPushButton("Find clusters")
        self._lay_out()
        self.other.currentIndexChanged.connect(self._on_other)
        self.other.activated.connect(self._on_chosen)
        self.plane.drawn.connect(self._on_drawn)
        self.undo_button.clicked.connect(self.remove_last)
        self.clear_button.clicked.connect(self.remove_all)
        self.method.currentTextChanged.connect(self.refresh)
        self.run.clicked.connect(self.find_clusters)

    def _lay_out(self) -> None:
        rows = form()
        rows.addRow("Against", self.other)
        gates = QHBoxLayout()
        gates.addWidget(self.undo_button)
        gates.addWidget(self.clear_button)
        clusters = QHBoxLayout()
        clusters.addWidget(self.classes)
        clusters.addWidget(self.run, 1)
        below = form()
        below.addRow("Clusters", self.method)
        below.addRow("Classes", clusters)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 8)
        column.setSpacing(4)
        column.addLayout(rows)
        column.addWidget(self.plane)
        column.addLayout(gates)
        column.addSpacing(6)
        column.addLayout(below)
        column.addWidget(self.without)
        column.addStretch(1)

    def parameters(self) -> dict[str, Any]:
        """Return what the user set."""
        return {
            "method": self.method.currentText(),
            "classes": self.classes.value(),
            "without": self.without.isChecked(),
        }

    def set_parameters(self, values: dict[str, Any]) -> None:
        """Set what `parameters` returned."""
        self.method.setCurrentText(str(values["method"]))
        self.classes.setValue(int(values["classes"]))
        self.without.setChecked(bool(values["without"]))

    def set_channel(self, found: ShownEmbedding | None, channel: int | None) -> None:
        """Draw a channel across, against the next best one unless another was chosen."""
        self._gates = [] if found is None else list(found.noted("gates") or ())
        with signals_blocked(self.other):
            self.other.clear()
            if found is not None:
                for number in self._dock.order:
                    if number != channel:
                        self.other.addItem(found.name(number), number)
            self.other.setCurrentIndex(max(0, self.other.findData(self._chosen)))
        self._on_other()

    def set_scan(self) -> None:
        """Nothing here needs the scan's patterns."""

    def refresh(self, *_: Any) -> None:
        """Enable what can be done now."""
        none = None if self._gates else "Draw around some values in the plane first."
        enable(self.undo_button, none, "Take the newest gate's class off the labels layer.")
        enable(self.clear_button, none, "Take the classes of all gates off the labels layer.")
        busy = "Wait until the running job has finished, or cancel it."
        empty = "Embed a scan first, or open a results folder with an embedding."
        why = busy if self._dock.row.busy else None if self._dock.embedding else empty
        enable(self.run, why, "Divide the probe positions into classes by all active channels.")
        self.classes.setEnabled(self.method.currentText() != "HDBSCAN")
        self.without.setEnabled(bool(self._dock.extrinsic))

    def remove_last(self) -> None:
        """Remove the newest gate and its class."""
        found = self._dock.embedding
        if found is not None and self._gates:
            remove_class(found, "gates", self._gates.pop().number)
            self._keep(found)

    def remove_all(self) -> None:
        """Remove all gates and their classes."""
        while self._gates and self._dock.embedding is not None:
            self.remove_last()

    def find_clusters(self) -> None:
        """Find clusters on a thread and show them."""
        found = self._dock.embedding
        if found is None:
            return
        method, classes = _METHODS[self.method.currentText()], self.classes.value() or None
        if method == "hdbscan":
            classes = None
        left_out = self._dock.extrinsic if self.without.isChecked() else set()
        used = [n for n in range(len(found.channels)) if n not in left_out]
        if not used:
            used = list(range(len(found.channels)))
        said = {
            "method": method,
            "classes": classes,
            "channels": [found.name(number) for number in used],
            "seed": 0,
        }

        def work(report: Report) -> Clusters:
            return cluster(found.channels[used], method=method, classes=classes, report=report)

        def done(clusters: Clusters) -> str:
            names = {n: f"cluster {n}" for n in range(1, clusters.classes + 1)}
            colours = {number: colour_of(number) for number in names}
            step = found.origin.scan_step
            result = LabelResult("clusters", clusters.labels, step, names, colours)
            put_labels(found, result, provenance("cluster", said, found.scan()))
            none = int(np.count_nonzero(clusters.labels == 0))
            return f"Found {clusters.classes} clusters; {none:,} positions are in none."

        self._dock.keep()
        # A fit cannot be interrupted; what comes of one that was cancelled is dropped.
        self._dock.row.start(work, done, "Clustering", abandon=True)

    def _pair(self) -> tuple[ShownEmbedding, int, int] | None:
        found, channel, other = self._dock.embedding, self._dock.channel, self.other.currentData()
        if found is None or channel is None or other is None:
            return None
        return found, channel, int(other)

    def _on_chosen(self, index: int) -> None:
        self._chosen = self.other.itemData(index)

    def _on_other(self, *_: Any) -> None:
        pair = self._pair()
        if pair is None:
            self.plane.show_channels(None, None, ("", ""))
        else:
            found, a, b = pair
            names = found.name(a), found.name(b)
            self.plane.show_channels(found.channels[a], found.channels[b], names)
        self._show_gates()

    def _on_drawn(self, polygon: list[Place]) -> None:
        pair = self._pair()
        if pair is None:
            return
        found, a, b = pair
        inside = gate(found.channels[a], found.channels[b], polygon)
        if not inside.any():
            self._dock.row.say("There is no probe position in that gate.")
            return
        said = {
            "channels": [found.name(a), found.name(b)],
            "polygon": [[float(value) for value in place] for place in polygon],
        }
        name = f"gate {len(self._gates) + 1}: {found.name(a)}, {found.name(b)}"
        number = add_class(found, "gates", inside, name, "gate", said)
        corners = tuple((float(x), float(y)) for x, y in polygon)
        self._gates.append(Gate(a, b, corners, number, colour_of(number)))
        self._keep(found)
        count = int(np.count_nonzero(inside))
        self._dock.row.say(f'Class {number} of the layer "gates": {count:,} positions.')

    def follow(self) -> None:
        """Forget the gates when the user has removed their layer."""
        found = self._dock.embedding
        if found is None or not self._gates:
            return
        if find_layer(found.viewer, found.origin.signature, "gates") is None:
            self._gates = []
            self._keep(found)

    def _keep(self, found: ShownEmbedding) -> None:
        found.note(gates=tuple(self._gates))
        self._show_gates()
        self.refresh()

    def _show_gates(self) -> None:
        pair = self._pair()
        here = [] if pair is None else [g for g in self._gates if (g.a, g.b) == pair[1:]]
        self.plane.show_gates(here)
