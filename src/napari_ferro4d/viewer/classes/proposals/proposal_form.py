"""From what labels are proposed: a layer, or two, and what its values say about the classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_error
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_ferro4d.embedding import likely_matches, propose_matches, without_small
from napari_ferro4d.errors import ScanError
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import (
    MOST_CLASSES,
    classes_of,
    colour_of,
    colours_of,
    directions_of,
    set_class_style,
    set_direction,
)
from napari_ferro4d.viewer.session import unwrapped
from napari_ferro4d.viewer.widgets import LayerChoice, Number, enable, form

from .map_editors import Classes, PlaneEditor, RangeEditor
from .sources import add_label_image, are_components, is_map, is_source, label_image, value_style
from .states_dialog import StatesDialog
from .value_table import ValueTable, class_box

if TYPE_CHECKING:
    from napari.layers import Labels

_SOON_MS = 20
"""Changes that come together, as those of a drag do, are worked on once."""

_IMAGES = "Label images (*.npy *.tif *.tiff);;All files (*)"


class ProposalForm(QWidget):
    """Choose a source and say what it means; gives the proposals, and again when they change.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer with the scan.
    scan : callable
        Returns the scan to label, or None.
    labels_layer : callable
        Returns the labels layer with the classes, or None.
    """

    restarted = Signal()
    """Another source was chosen; what was done with the proposals of the last is history."""

    proposed = Signal(object)
    """The proposals, integer ``[y, x]``; None without a source."""

    def __init__(
        self,
        viewer: Any,
        scan: Callable[[], Scan | None],
        labels_layer: Callable[[], Labels | None],
    ) -> None:
        super().__init__()
        self._viewer = unwrapped(viewer)
        self._scan, self._labels = scan, labels_layer
        self._watched: list[tuple[Any, Any]] = []
        self._chosen: tuple[Any, ...] = ()
        self._ended = False
        self.source = LayerChoice(self._viewer, self._is_source, "nothing", "From", optional=True)
        self.against = LayerChoice(self._viewer, self._is_other, "nothing", "And", optional=True)
        self.file_button = QPushButton("Open image...")
        self.states_button = QPushButton("Simulated states...")
        self.states: StatesDialog | None = None
        self.class_choice = QComboBox()
        self.class_choice.setToolTip("The class that a range, a gate or a direction is for.")
        self.values = ValueTable()
        self.range = RangeEditor()
        self.plane = PlaneEditor()
        self.smallest = Number(
            label="Areas from",
            suffix=" positions",
            min=1,
            max=10_000,
            tooltip="Smaller connected areas propose nothing: noise that crossed a threshold.",
        )
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self.update_proposals)
        self._lay_out()
        self.source.changed.connect(self._on_source)
        self.against.changed.connect(self._on_source)
        self.file_button.clicked.connect(self._on_file)
        self.states_button.clicked.connect(self.open_states)
        self.class_choice.activated.connect(self.soon)
        self.values.wanted.connect(self._on_wanted)
        for changed in (self.values, self.range, self.plane, self.smallest):
            changed.changed.connect(self.soon)

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.addWidget(self.file_button)
        buttons.addWidget(self.states_button)
        self._top, below = form(), form()
        self._top.addRow("From", self.source.native)
        self._top.addRow("And", self.against.native)
        self._top.addRow("Class", self.class_choice)
        below.addRow(self.smallest.label, self.smallest.native)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(4)
        whole.addLayout(self._top)
        whole.addLayout(buttons)
        for editor in (self.values, self.range, self.plane):
            whole.addWidget(editor)
        whole.addLayout(below)

    def refresh(self) -> None:
        """Follow the scan and the labels layer chosen now."""
        self.source.reset_choices()
        self.against.reset_choices()
        no_scan = None if self._scan() is not None else "Open a scan first."
        enable(self.file_button, no_scan, "Open a label image of the scan: .npy or .tif.")
        enable(
            self.states_button, no_scan, "Find which simulated state the pattern is likest, a pass."
        )
        self._on_source()

    def end(self) -> None:
        """Follow the viewer no longer."""
        self._ended = True
        self._later.stop()
        self._watch(())
        if self.states is not None:
            self.states.close()

    def open_image(self, path: str) -> None:
        """Propose labels from a label image in a file."""
        scan = self._scan()
        if scan is None:
            return
        try:
            self.source.choose(add_label_image(self._viewer, scan, path))
        except ScanError as error:
            show_error(str(error))

    def open_states(self) -> None:
        """Ask which simulated states to propose labels from, in a window of its own."""
        scan = self._scan()
        if scan is not None and self.states is None:
            self.states = StatesDialog(self, self._viewer, scan)
            self.states.mapped.connect(self.source.choose)
            self.states.destroyed.connect(self._on_states_closed)
            self.states.show()

    def classes(self) -> Classes:
        """Return the classes of the labels layer, name and colour by number."""
        layer = self._labels()
        if layer is None:
            return {}
        names = classes_of(layer)
        numbers = sorted({*names, *np.unique(layer.data).tolist()} - {0})[:MOST_CLASSES]
        colours = colours_of(layer.colormap, numbers)
        return {n: (names.get(n, f"class {n}"), colours[n]) for n in numbers}

    def next_step(self) -> str:
        """Return what the user has to do before anything can be proposed, or nothing."""
        source = self.source.layer()
        if source is None:
            return ""
        if not self.classes():
            return "Add a class first."
        if label_image(source) is not None:
            return "" if self.values.meant else "Say in the table which class a value means."
        if self.against.layer() is None:
            return "" if self.range.ranges else "Drag a range on the histogram, for this class."
        return "" if self.plane.said else "Draw around values in the plane, for this class."

    def soon(self, *_: Any) -> None:
        """Propose again in a moment."""
        self._later.start(_SOON_MS)

    def _is_source(self, layer: Any) -> bool:
        scan = self._scan()
        return scan is not None and is_source(layer, scan, self._labels())

    def _is_other(self, layer: Any) -> bool:
        scan = self._scan()
        return scan is not None and layer is not self.source.layer() and is_map(layer, scan)

    def _watch(self, layers: Any) -> None:
        """Listen to these sources and to the classes, and to nothing else."""
        for event, call in self._watched:
            event.disconnect(call)
        self._watched = []
        for layer in layers:
            names = [n for n in ("data", "set_data", "paint") if n in layer.events.emitters]
            self._watched += [(layer.events[name], self.soon) for name in names]
        labels = self._labels()
        if layers and labels is not None:
            events = labels.events
            self._watched += [(events.features, self.soon), (events.colormap, self.soon)]
            self._watched += [(events.selected_label, self._on_picked)]
        for event, call in self._watched:
            event.connect(call)

    def _on_source(self, *_: Any) -> None:
        if self._ended:
            return
        chosen = self.source.layer(), self.against.layer(), self._labels()
        if chosen != self._chosen:
            self._chosen = chosen
            self.against.reset_choices()
            self.restarted.emit()
            self.range.begin()
            self.plane.begin()
            self.values.set_meant(self._likely(chosen[0]))
        self._watch([layer for layer in chosen[:2] if layer is not None])
        self.update_proposals()

    def _likely(self, source: Any) -> dict[int, int]:
        """Return what the values of a label image mean: by name, else by the labels there are."""
        labels = self._labels()
        image = None if source is None else label_image(source)
        if image is None or labels is None:
            return {}
        numbers = {name: n for n, (name, _) in self.classes().items()}
        names, _ = value_style(source, image)
        by_name = {value: numbers[name] for value, name in names.items() if name in numbers}
        return likely_matches(image, labels.data) | by_name

    def update_proposals(self) -> None:
        """Show the source, and propose what it says now."""
        source, classes = self.source.layer(), self.classes()
        image = None if source is None else label_image(source)
        is_range = source is not None and image is None
        other = self.against.layer() if is_range else None
        number = self._offer(classes)
        for row in (1, 2):
            self._top.setRowVisible(row, is_range)
        self.values.setVisible(image is not None)
        self.range.setVisible(is_range and other is None)
        self.plane.setVisible(other is not None)
        if image is not None:
            self.values.fill(image, *value_style(source, image), classes)
            found = propose_matches(image, self.values.meant)
        elif other is not None:
            found = self._of_two(source, other, number, classes)
        elif source is not None:
            self.range.show_map(source.data)
            self.range.set_class(number, classes)
            found = self.range.proposals()
        else:
            self.proposed.emit(None)
            return
        self.proposed.emit(without_small(found, int(self.smallest.value)))

    def _offer(self, classes: Classes) -> int:
        """Offer the classes there are; return the number of the one chosen, 0 for none."""
        with signals_blocked(self.class_choice):
            number = self.class_choice.currentData()
            class_box(classes, box=self.class_choice)
            self.class_choice.setCurrentIndex(max(0, self.class_choice.findData(number)))
        return self.class_choice.currentData() or 0

    def _of_two(self, source: Any, other: Any, number: int, classes: Classes) -> np.ndarray:
        across, up = (other, source) if are_components(other, source) else (source, other)
        names = across.name, up.name
        self.plane.show_maps(across.data, up.data, names, are_components(across, up))
        labels = self._labels()
        self.plane.set_class(number, classes, {} if labels is None else directions_of(labels))
        return self.plane.proposals()

    def _on_picked(self, event: Any = None) -> None:
        """Draw for the class that the user picked to paint with."""
        labels = self._labels()
        at = -1 if labels is None else self.class_choice.findData(labels.selected_label)
        if at >= 0 and at != self.class_choice.currentIndex():
            self.class_choice.setCurrentIndex(at)
            self.soon()

    def _on_wanted(self, value: int) -> None:
        """Make a class of a value in the label image, with its name and colour."""
        source, labels, classes = self.source.layer(), self._labels(), self.classes()
        if labels is None or source is None:
            return
        names, colours = value_style(source, np.asarray(source.data))
        number = max(classes, default=0) + 1
        known = {n: name for n, (name, _) in classes.items()}
        styles = {n: colour for n, (_, colour) in classes.items()}
        colour = colours.get(value, colour_of(number))
        styles[number] = colour_of(number) if colour in styles.values() else colour
        set_class_style(labels, {**known, number: names.get(value, f"class {number}")}, styles)
        if value in directions_of(source):
            set_direction(labels, number, directions_of(source)[value])
        self.values.set_meant({**self.values.meant, value: number})
        self.update_proposals()

    def _on_states_closed(self) -> None:
        self.states = None

    def _on_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a label image", "", _IMAGES)
        if path:
            self.open_image(path)
