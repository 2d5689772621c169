"""Dock widget "Classes": classes, keys to label with, the pattern at the probe, what comes next."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractButton, QComboBox, QDockWidget, QHBoxLayout, QLabel, QPushButton

from napari_ferro4d.jobs import Report
from napari_ferro4d.learn import Suggestion, Worker, suggest
from napari_ferro4d.results import LabelResult
from napari_ferro4d.viewer.layers import (
    Origin,
    add_layers,
    classes_of,
    colour_of,
    find_layer,
    label_layer,
)
from napari_ferro4d.viewer.session import training_labels
from napari_ferro4d.viewer.widgets import Dock, Fold, LabelsChoice, Probe, enable

from .class_table import ClassTable
from .keyed_labels import KeyedLabels
from .label_keys import LabelKeys
from .pattern_panel import PatternPanel
from .proposals import ProposalsPanel
from .suggest_panel import METHODS, SuggestPanel
from .suggested import Position, Suggested

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_ferro4d.scan import Scan


NEW_CLASSES = {1: "domain 1", 2: "domain 2"}
"""Those of a labels layer that the dock makes."""


class ClassesWidget(Dock):
    """Label probe positions: with keys, with napari's brush, and where it helps most.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer with the scan.
    """

    key = "classes"

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self._ended = False
        self._scan: Scan | None = None
        # Kept between jobs: the features of a scan are computed there once.
        self._worker = Worker("suggestion")
        self.labels = LabelsChoice(self.viewer, self.scans.scan)
        self.table = ClassTable()
        self.new_button = QPushButton("New labels layer")
        self.add_button = QPushButton("Add class")
        self.keys_button = QPushButton("Keys")
        self.pattern = PatternPanel()
        self.suggestions = SuggestPanel()
        self.proposals = ProposalsPanel(
            self.viewer, self.session, self.scans.scan, self.labels.labels
        )
        self.proposals_fold = Fold("Proposals from maps and label images", self.proposals)
        self.probe = Probe(self.viewer)
        self.suggested = Suggested(self.viewer)
        self.keyed = KeyedLabels(self.viewer)
        self.keys = LabelKeys(
            self.viewer,
            {
                **{str(number): partial(self.label, number) for number in range(10)},
                "Backspace": self.take_back,
                "Space": self.skip,
                "Enter": self.predict,
            },
            # Of a labels layer that is active, napari's own undo.
            {"Control-Z": self.undo},
        )
        self._lay_out()
        self._connect()
        self.ready()
        self._on_scan()
        self._on_labels()
        self.keys.turn(self.keys_button.isChecked())

    def _lay_out(self) -> None:
        chosen = QHBoxLayout()
        for choice in (self.scans, self.labels):
            choice.native.setMinimumContentsLength(5)  # two in a row
            chosen.addWidget(QLabel(choice.label))
            chosen.addWidget(choice.native, 1)
        self.column.addLayout(chosen)
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        for button in (self.new_button, self.add_button, self.keys_button):
            buttons.addWidget(button)
        self.keys_button.setCheckable(True)
        self.keys_button.setChecked(True)
        self.keys_button.setToolTip(
            "While this is on, keys in the viewer label the probe position:\n"
            "1 to 9 the class, 0 no class, Backspace takes the last one back,\n"
            "Space skips a suggestion, Enter predicts. napari's tools have these keys otherwise."
        )
        self.column.addWidget(self.table)
        self.column.addLayout(buttons)
        self.column.addWidget(self.pattern, 100)
        self.column.addWidget(self.suggestions)
        self.column.addWidget(self.proposals_fold)
        self.column.addWidget(self.row)
        for child in self.findChildren((QAbstractButton, QComboBox)):
            # A click leaves the keys with the viewer; Space would press the button once more.
            child.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def _connect(self) -> None:
        self.scans.changed.connect(self.labels.reset_choices)
        self.scans.changed.connect(self._on_scan)
        self.labels.changed.connect(self._on_labels)
        self.table.counted.connect(self._follow)
        self.table.picked.connect(self._on_picked)
        self.session.decisions.recorded.connect(self._follow)
        self.new_button.clicked.connect(self.new_labels)
        self.add_button.clicked.connect(self.table.add_class)
        self.keys_button.toggled.connect(self._on_keys)
        self.probe.moved.connect(self._on_moved)
        self.pattern.joined.connect(self._on_joined)
        self.suggestions.button.clicked.connect(self.suggest)
        self.suggestions.picked.connect(self._go)
        self.closed.connect(self._end)

    def parameters(self) -> dict[str, Any]:
        """Return what the user set."""
        return {
            "keys": self.keys_button.isChecked(),
            "over": self.pattern.over.currentText(),
            "log": self.pattern.log.isChecked(),
            "method": self.suggestions.method.currentText(),
            "budget": self.suggestions.budget.value,
            "proposals": self.proposals.parameters(),
        }

    def set_parameters(self, values: dict[str, Any]) -> None:
        """Set what `parameters` returned."""
        self.keys_button.setChecked(bool(values["keys"]))
        self.pattern.over.setCurrentText(str(values["over"]))
        self.pattern.log.setChecked(bool(values["log"]))
        self.suggestions.method.setCurrentText(str(values["method"]))
        self.suggestions.budget.value = int(values["budget"])
        self.proposals.set_parameters(values["proposals"])

    def refresh(self, *_: Any) -> None:
        """Enable what can be done now."""
        why = self.why_not()
        no_scan = why if self.scans.scan() is None else None
        no_layer = None if self.labels.layer() is not None else "Make a labels layer first."
        enable(
            self.new_button, no_scan, "Add a labels layer of the scan, ready to paint two classes."
        )
        enable(self.add_button, no_scan or no_layer, "Add a class to paint.")
        enable(
            self.suggestions.button,
            why,
            "Find the positions whose labels would teach a model most, and go to the first.",
        )

    def person_labels(self) -> np.ndarray | None:
        """Return what the user said of the scan, integer ``[y, x]``: painted, keyed, decided."""
        scan, layer = self.scans.scan(), self.labels.labels()
        decided = None if scan is None else self.session.decisions.decided(scan)
        painted = None if layer is None else np.array(layer.data)
        if scan is None or (painted is not None and painted.shape != scan.scan_shape):
            return None
        return painted if decided is None else training_labels(painted, decided)

    def new_labels(self) -> Labels | None:
        """Add a labels layer with two classes to the scan and get ready to paint."""
        scan = self.scans.scan()
        if scan is None:
            return None
        layer = self._add_labels(scan)
        layer.mode = "paint"
        self.viewer.layers.selection.active = layer
        return layer

    def _add_labels(self, scan: Scan) -> Labels:
        result = LabelResult(
            "labels",
            np.zeros(scan.scan_shape, np.uint8),
            classes=NEW_CLASSES,
            colours={number: colour_of(number) for number in NEW_CLASSES},
        )
        layer = add_layers(self.viewer, [label_layer(Origin.of(scan), result, opacity=0.8)])[0]
        layer.brush_size = 2
        layer.selected_label = 1
        self.labels.choose(layer)
        return layer

    def label(self, number: int) -> None:
        """Label the probe position with a class, 0 for none, and go to the next suggestion."""
        scan, position = self.scans.scan(), self.probe.position
        if scan is None:
            return
        if scan.missing is not None and scan.missing[position]:
            self.row.say("The file has no pattern at this position, so it cannot be labelled.")
            return
        layer, said = self.labels.labels(), self.person_labels()
        if layer is None and not number and (said is None or not said[position]):
            self.row.say("There is no label to take away.")
            return
        if number and number not in (NEW_CLASSES if layer is None else self.table.counts):
            self.row.say(f"There is no class {number} yet: add it with Add class.")
            return
        # Who labels by keys may be dragging the probe: the brush stays where it is.
        layer = layer or self._add_labels(scan)
        self.keyed.put(layer, scan, position, number)
        self._follow()
        following = self.suggested.next() if number else None
        if following is not None:
            self._go(following)

    def take_back(self) -> None:
        """Undo the last label that a key gave, and go where it was."""
        position = self.keyed.take_back()
        if position is None:
            self.row.say("No label of a key is left to take back.")
            return
        self._follow()
        self._go(position)

    def undo(self) -> None:
        """Undo the last change of the labels, whatever made it."""
        layer = self.labels.labels()
        if layer is not None:
            layer.undo()

    def skip(self) -> None:
        """Go to the next suggestion without labelling this one."""
        following = self.suggested.next()
        if following is None:
            self.row.say("No other suggestion is left; ask for more with Suggest.")
        else:
            self._go(following)

    def predict(self) -> None:
        """Have the Classifier dock, opened if need be, learn from these labels."""
        layer = self.labels.labels()
        if layer is None:
            self.row.say("Label a few positions of at least two classes first.")
            return
        _, classifier = self.viewer.window.add_plugin_dock_widget("napari-ferro4d", "Classifier")
        classifier.scans.choose(self.scans.layer())
        classifier.labels.choose(layer)
        # It comes as a tab over this one, whose pattern is what the user goes on looking at.
        classifier.joined.connect(self._come_back)
        classifier.train()
        self.row.say("The Classifier dock learns from these labels.")

    def suggest(self) -> None:
        """Find the positions to label next, in another process."""
        scan, labels = self.scans.scan(), self.person_labels()
        if scan is None:
            return
        self.keep()
        method = METHODS[self.suggestions.method.currentText()]
        budget = int(self.suggestions.budget.value)

        def work(report: Report) -> Suggestion:
            return self._worker.run(
                suggest, scan, labels, budget=budget, method=method, report=report
            )

        def done(result: Suggestion) -> str | None:
            if scan is not self.scans.scan():
                return "Another scan is chosen by now."
            found = len(result.positions)
            self.suggested.show(result.positions)
            self._follow()
            if found:
                self._go(self.suggested.positions[0])
            said = result.message or f"{found} positions to label next: a number key, or Space."
            return said[:1].upper() + said[1:]

        self.row.start(work, done, "Looking for positions")

    def _come_back(self) -> None:
        dock = self.parent()
        if isinstance(dock, QDockWidget):
            dock.raise_()

    def _go(self, position: Position) -> None:
        self.probe.move(*position)

    def _on_scan(self) -> None:
        self._scan = scan = self.scans.scan()
        self.pattern.set_scan(scan)
        self.suggested.set_scan(scan)
        self.probe.set_scan(scan)
        self.proposals.refresh()
        self._follow()

    def _on_labels(self) -> None:
        self.table.set_layer(self.labels.labels())
        self.proposals.refresh()
        self._follow()

    def _on_picked(self, number: int) -> None:
        # The prediction is painted on, too.
        scan = self.scans.scan()
        prediction = find_layer(self.viewer, scan.signature, "prediction") if scan else None
        if prediction is not None:
            prediction.selected_label = number

    def _on_keys(self, on: bool) -> None:
        self.keys.turn(on)
        self.keep()

    def _on_joined(self) -> None:
        self.keep()
        self._show_suggestions()

    def _on_moved(self, y: int, x: int) -> None:
        self.suggestions.follow(self.suggested.left, self.suggested.visit((y, x)))
        self.pattern.show_position((y, x))
        self._say_position()

    def _follow(self, *_: Any) -> None:
        """Show what the labels are now."""
        if self._ended or self._scan is not self.scans.scan():  # which is about to be followed
            return
        labels, layer = self.person_labels(), self.labels.labels()
        self.suggested.follow(labels)
        self.pattern.set_labels(labels, {} if layer is None else classes_of(layer))
        self._show_suggestions()
        self._say_position()
        self.refresh()

    def _show_suggestions(self) -> None:
        radius, _ = self.pattern.around
        self.suggestions.show_positions(
            self.scans.scan(),
            self.suggested.positions,
            (radius, "mean"),
            self.pattern.log.isChecked(),
        )
        self.suggestions.follow(self.suggested.left, self.suggested.visit(self.probe.position))

    def _say_position(self) -> None:
        """Say where the probe is, what is known of that position, and what is left to do."""
        scan, labels, position = self.scans.scan(), self.person_labels(), self.probe.position
        if scan is None:
            self.pattern.text.setText("")
            return
        y, x = position
        parts = [f"y {y}, x {x}", "no label"]
        if labels is not None and labels[position]:
            number, layer = int(labels[position]), self.labels.labels()
            names = {} if layer is None else classes_of(layer)
            parts[1] = f"<b>{number}: {names.get(number, 'class')}</b>"
        index = self.suggested.visit(position)
        if index is not None:
            parts.append(f"suggestion {index + 1}, {len(self.suggested.left)} left")
        self.pattern.text.setText(" \N{MIDDLE DOT} ".join(parts))

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self.keys.turn(False)
        self.scans.changed.disconnect(self._on_scan)
        self.labels.changed.disconnect(self._on_labels)
        self.session.decisions.recorded.disconnect(self._follow)
        self.table.set_layer(None)
        self.pattern.end()
        self.proposals.end()
        self.suggestions.end()
        self.probe.release()
        self._worker.end()
