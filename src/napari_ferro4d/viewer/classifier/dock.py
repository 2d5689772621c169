"""Dock widget "Classifier": few labelled positions in, a map of classes out, decisions back in."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QPushButton, QWidget

from napari_ferro4d.errors import LabelsError, ScanError
from napari_ferro4d.jobs import Progress, Report
from napari_ferro4d.learn import Classification, Model, classify, looks_at
from napari_ferro4d.results import provenance
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import scans_in
from napari_ferro4d.viewer.widgets import (
    Dock,
    Fold,
    LabelsChoice,
    enable,
    model_note,
    progress_text,
    rows,
)

from .figures_panel import FiguresPanel, accuracy_text, sentence
from .labels_to_learn import labels_to_learn, style_of
from .live_prediction import LabelsWatch, Learning, LivePrediction, SharedWorker
from .looks_panel import LooksPanel
from .maps_panel import MapsPanel
from .model_form import ModelForm
from .model_panel import ModelPanel
from .probe_position import move_probe
from .shown_result import ShownResult, show_prediction

_PATIENCE_S = 1.5
"""How long a prediction that follows the labels takes before it says how far it is."""


class ClassifierWidget(Dock):
    """Learn from labelled probe positions, predict the rest, follow the labelling.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer with the scan.
    """

    key = "classifier"

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self._results: dict[str, ShownResult] = {}
        self._learnt: Learning | None = None
        self._asked_at, self._wrong = 0.0, ""
        self._ended = False
        # Kept between jobs: who corrects does not wait for torch and for the features again.
        self._worker = SharedWorker("classifier")
        self.live = LivePrediction(self._worker)
        self.watch = LabelsWatch(self)
        self.labels = LabelsChoice(self.viewer, self.scans.scan)
        self.form = ModelForm()
        self.train_button = QPushButton("Train and predict")
        self.models = ModelPanel(self.viewer, self.scans.scan)
        self.figures = FiguresPanel()
        self.maps = MapsPanel(self.viewer)
        self.looks = LooksPanel()
        self._lay_out()
        self._connect()
        self.ready()
        self._on_labels()

    @property
    def model(self) -> Model | None:
        """The model trained or loaded last."""
        return self.models.model

    def _lay_out(self) -> None:
        self.column.addWidget(rows(self.scans, self.labels).native)
        self.column.addWidget(self.form.container().native)
        self.column.addWidget(self.train_button)
        self.column.addWidget(self.row)
        self.column.addWidget(self.models)
        for title, panel in (
            ("What the model says of itself", self.figures),
            ("Maps", self.maps),
            ("What the model looks at", self.looks),
        ):
            fold = Fold(title, panel)
            self.column.addWidget(fold)
            fold.button.toggled.connect(partial(self._on_fold, fold))

    def _connect(self) -> None:
        self.scans.changed.connect(self.labels.reset_choices)
        self.scans.changed.connect(self._on_labels)
        self.labels.changed.connect(self._on_labels)
        self.form.follows.changed.connect(self._on_follows)
        self.form.symmetry.native.editingFinished.connect(self._on_symmetry)
        self.session.decisions.recorded.connect(self.watch.start_late)
        self.watch.changed.connect(self._follow)
        self.live.predicted.connect(self._on_predicted)
        self.live.prepared.connect(self._on_prepared)
        self.live.progressed.connect(self._on_progressed)
        self.live.failed.connect(self._on_live_failed)
        self.train_button.clicked.connect(self.train)
        self.models.wanted.connect(self.apply_to)
        self.models.changed.connect(self._on_model)
        self.models.said.connect(self.row.say)
        self.looks.button.clicked.connect(self.look)
        self.figures.disagreements.picked.connect(self.go_to)
        self.closed.connect(self._end)

    def parameters(self) -> dict[str, Any]:
        """Return what the user set."""
        return self.form.parameters()

    def set_parameters(self, values: dict[str, Any]) -> None:
        """Set what `parameters` returned."""
        self.form.set_parameters(values)

    def refresh(self, *_: Any) -> None:
        """Enable what can be done now."""
        why = self.why_not()
        busy = why if self.row.busy else None
        enable(
            self.train_button,
            why or self._too_few(),
            "Learn from the labels and from your corrections of the prediction, which count where\n"
            "both say something. Corrected positions keep the class that you gave them.",
        )
        self.models.refresh(busy, why)
        no_model = None if self.model is not None else "Train a model first, or load one."
        enable(self.looks.button, busy or no_model, "Compute where on the detector it looks.")

    def train(self) -> None:
        """Learn from labels and corrections in another process, then show the prediction."""
        try:
            wanted = self.wanted()
        except LabelsError as error:
            self.row.say(str(error))
            return
        if wanted is None:
            return
        self.keep()
        self._learnt = wanted

        def work(report: Report) -> Classification:
            found: Classification = self._worker.in_turn(
                classify, wanted.scan, labels=wanted.labels, **wanted.options, report=report
            )
            return found

        def done(result: Classification) -> str:
            return self._take(wanted, result)

        self.row.start(work, done, "Training")

    def apply_to(self, scans: Sequence[Scan]) -> None:
        """Predict scans with the present model in another process, one after the other."""
        model, name, device = self.model, self.models.name, self.form.device.value
        if model is None:
            return

        def work(report: Report) -> list[tuple[Scan, Any]]:
            return [(scan, one(scan, len(scans) > 1, report)) for scan in scans]

        def one(scan: Scan, many: bool, report: Report) -> Any:
            try:
                return self._worker.in_turn(
                    classify,
                    scan,
                    model=model,
                    device=device,
                    report=_named(report, scan.name) if many else report,
                )
            except ScanError as error:
                if not many:
                    raise
                return error

        def done(found: list[tuple[Scan, Any]]) -> str:
            said = [self._show_applied(scan, result, name) for scan, result in found]
            self.models.show_applied(said)
            failed = sum(isinstance(result, ScanError) for _, result in found)
            if len(found) == 1:
                return said[0]
            return f"Predicted {len(found) - failed} of {len(found)} scans."

        self.row.start(work, done, "Prediction")

    def look(self) -> None:
        """Compute where on the detector the model looks, in another process."""
        model, classes = self.model, self.models.classes()
        if model is None:
            return

        def work(report: Report) -> Any:
            return self._worker.in_turn(looks_at, model, report=report)

        def done(found: Any) -> None:
            self.looks.show_maps(found, classes)
            if model is not self.model:
                self.looks.outdated()
            self._reveal(self.looks)

        self.row.start(work, done, "Looking at the model")

    def go_to(self, y: int, x: int) -> None:
        """Move the probe to a position, and so the pattern that the Diffraction dock shows."""
        scan = self.scans.scan()
        if scan is not None:
            move_probe(self.viewer, scan, (y, x))

    def wanted(self) -> Learning | None:
        """Return what is to be learnt now; None where nothing is labelled.

        Raises
        ------
        LabelsError
            If the labels do not fit the scan.
        """
        scan, layer = self.scans.scan(), self.labels.labels()
        if scan is None:
            return None
        labels, contradicted = labels_to_learn(self.session, scan, layer)
        if labels is None or not labels.any():
            return None
        bare = Learning(scan, labels)
        # Names and colours as they are now: the user goes on working while this runs.
        names, colours = style_of(self.viewer, scan, layer, bare.counts)
        options = {**self.form.options(), "classes": names, "colours": colours}
        return Learning(scan, labels, options, contradicted, self.models.loads)

    def _follow(self) -> None:
        """Have the map follow the labels, if they are others than those it was made of."""
        self.refresh()
        if not self.form.following:
            return
        try:
            wanted = self.wanted()
        except LabelsError as error:
            self.row.say(str(error))
            return
        if wanted is None or wanted.same_labels(self._learnt):
            return
        self._learnt, self._asked_at = wanted, time.monotonic()
        if len(wanted.counts) < 2:
            self.live.prepare(wanted)
        else:
            self.live.ask(wanted)

    def _on_predicted(self, wanted: Learning, result: Classification) -> None:
        if any(scan.signature == wanted.scan.signature for _, scan in scans_in(self.viewer)):
            self.row.say(self._take(wanted, result, self._takes_model(wanted)))

    def _takes_model(self, wanted: Learning) -> bool:
        """Return whether a model that nobody asked for by a button may become the present one."""
        scan = self.scans.scan()
        chosen = scan is not None and scan.signature == wanted.scan.signature
        return self.model is None or (chosen and wanted.loads == self.models.loads)

    def _on_prepared(self) -> None:
        self.row.say("All patterns are read. Label positions of another class.")

    def _on_progressed(self, progress: Progress) -> None:
        if time.monotonic() - self._asked_at > _PATIENCE_S:
            self.row.say(f"Following the labels: {progress_text(progress)}")

    def _on_live_failed(self, error: Exception) -> None:
        self.row.say(f"The map could not follow the labels: {error}")

    def _on_symmetry(self) -> None:
        self.refresh()
        before, self._wrong = self._wrong, ""
        try:
            self.form.options()
        except LabelsError as error:
            self._wrong = str(error)
        if self._wrong or (before and self.row.text == before):
            self.row.say(self._wrong)

    def _on_follows(self, on: bool) -> None:
        if on:
            self.watch.start()
        else:
            self.live.stop()
        self.keep()

    def _take(self, wanted: Learning, result: Classification, use: bool = True) -> str:
        """Show what was learnt, and `use` the model from now on; return a line on it."""
        name = f"{wanted.scan.name} classifier"
        options = {n: v for n, v in wanted.options.items() if n not in ("classes", "colours")}
        if symmetry := options.pop("symmetry"):
            options["symmetry"] = symmetry.to_json()
        self._show(wanted.scan, result, name, {"labelled": wanted.counts, **options})
        if use:
            self.models.set_model(result.model, name)
        held = result.held_out
        parts = [
            f"Predicted from {sum(wanted.counts.values())} labels.",
            sentence(result.why_no_figure)
            if held is None
            else f"Accuracy on labels held out: {accuracy_text(held)}.",
            sentence(result.warning),
            "" if use else f"The present model is still {self.models.name}.",
        ]
        if count := wanted.contradicted:
            parts.append(
                f"At {count} position{'s' * (count > 1)} your corrections say otherwise than the "
                "labels layer: the corrections count."
            )
        return " ".join(filter(None, parts))

    def _show_applied(self, scan: Scan, result: Any, name: str) -> str:
        if isinstance(result, ScanError):
            return f"{scan.name}: {result}"
        self._show(scan, result, name, {"device": self.form.device.value})
        return f"{scan.name}: predicted. {sentence(result.warning)}".strip()

    def _show(self, scan: Scan, result: Classification, name: str, said: dict[str, Any]) -> None:
        """Show a prediction with the names and colours that its model was trained with."""
        entry = provenance("classify", {**model_note(result.model, name), **said}, scan)
        shown = self._results[scan.signature] = ShownResult(scan, result, entry)
        current = self.scans.scan()
        chosen = current is not None and current.signature == scan.signature
        show_prediction(self.viewer, self.session, shown, self.labels.labels() if chosen else None)
        if chosen:
            self._show_panels()

    def _show_panels(self) -> None:
        scan = self.scans.scan()
        shown = None if scan is None else self._results.get(scan.signature)
        self.figures.show_result(
            None if shown is None else shown.result, {} if shown is None else shown.style
        )
        self.maps.show_result(shown)

    def _too_few(self) -> str | None:
        if self.labels.layer() is None and self.scans.scan() is not None:
            return "Make a labels layer and label a few positions of each class first."
        try:
            wanted = self.wanted()
        except LabelsError as error:
            return str(error)
        if wanted is None or len(wanted.counts) < 2:
            return "Label positions of at least two classes first."
        return None

    def _on_labels(self) -> None:
        """Take what is labelled now for known: only what changes is followed."""
        self.watch.set_layer(self.labels.labels())
        self.models.set_labels(self.labels.labels())
        try:
            self._learnt = self.wanted()
        except LabelsError:
            self._learnt = None
        self._show_panels()
        self.refresh()

    def _on_model(self) -> None:
        self.looks.outdated()
        self.refresh()

    def _on_fold(self, fold: Fold, opened: bool) -> None:
        if opened:
            self._reveal(fold)

    def _reveal(self, widget: QWidget) -> None:
        """Scroll to a widget, once it has its height."""

        def reveal() -> None:
            if not self._ended:
                self._scroll.ensureWidgetVisible(widget, 0, 0)

        QTimer.singleShot(50, reveal)

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self.watch.set_layer(None)
            self.maps.end()
            self.live.stop()
            self._worker.end()


def _named(report: Report, name: str) -> Report:
    """Return a report that says of which scan it is."""

    def said(progress: Progress) -> None:
        report(replace(progress, message=f"{name}: {progress.message}"))

    return said
