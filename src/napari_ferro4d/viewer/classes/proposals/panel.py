"""Panel "Proposals": labels that maps and label images propose, to accept or discard."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.session import Session, unwrapped
from napari_ferro4d.viewer.widgets import hint

from .proposal_form import ProposalForm
from .proposed_layer import Proposed
from .take_buttons import TakeButtons

if TYPE_CHECKING:
    from napari.layers import Labels


class ProposalsPanel(QWidget):
    """Propose labels from what the viewer shows of a scan; the user takes or discards them.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer with the scan.
    session : Session
        Of that viewer.
    scan : callable
        Returns the scan to label, or None.
    labels_layer : callable
        Returns the labels layer that proposals are taken to, or None. Whoever lends the panel calls
        `refresh` when either changes.
    """

    def __init__(
        self,
        viewer: Any,
        session: Session,
        scan: Callable[[], Scan | None],
        labels_layer: Callable[[], Labels | None],
    ) -> None:
        super().__init__()
        self._viewer = unwrapped(viewer)
        self._scan, self._labels = scan, labels_layer
        self._proposed: Proposed | None = None
        self.form = ProposalForm(viewer, scan, self._given)
        self.said = hint("")
        self.take = TakeButtons(self._viewer)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for part in (self.form, self.said, self.take):
            column.addWidget(part)
        self.form.restarted.connect(self._on_restarted)
        self.form.proposed.connect(self._on_proposed)
        self.take.said.connect(self._say)
        session.closing.connect(self.end)
        self.refresh()

    def parameters(self) -> dict[str, Any]:
        """Return what the user set."""
        return {"smallest": self.form.smallest.value, "most": self.take.most.value}

    def set_parameters(self, values: dict[str, Any]) -> None:
        """Set what `parameters` returned."""
        self.form.smallest.value = int(values["smallest"])
        self.take.most.value = values["most"]

    def refresh(self, *_: Any) -> None:
        """Follow the scan and the labels layer chosen now."""
        scan, labels, before = self._scan(), self._given(), self._proposed
        if before is None or before.labels is not labels or before.scan is not scan:
            self._let_go()
            if scan is not None and labels is not None:
                self._proposed = Proposed(self._viewer, scan, labels)
                for event in (labels.events.paint, labels.events.set_data):
                    event.connect(self._on_painted)
            self.take.set_proposed(self._proposed)
        self.form.refresh()

    def end(self) -> None:
        """Follow the viewer no longer."""
        self.form.end()
        self._let_go()
        self.take.set_proposed(None)

    def _given(self) -> Labels | None:
        """Return the labels layer, if it is one of the scan."""
        scan, labels = self._scan(), self._labels()
        if scan is None or labels is None or tuple(labels.data.shape) != scan.scan_shape:
            return None
        return labels

    def _let_go(self) -> None:
        if self._proposed is not None:
            events = self._proposed.labels.events
            for event in (events.paint, events.set_data):
                event.disconnect(self._on_painted)
            self._proposed.forget()
            self._proposed = None

    def _on_restarted(self) -> None:
        self.take.clicks.end()
        if self._proposed is not None:
            self._proposed.forget()

    def _on_proposed(self, proposals: np.ndarray | None) -> None:
        if self._proposed is not None and proposals is not None:
            self._proposed.propose(proposals)
            self._proposed.restyle()
        self._say()

    def _on_painted(self, event: Any = None) -> None:
        """Propose nothing where something is labelled now, and again where it was erased."""
        proposed = self._proposed
        if proposed is None or self.form.source.layer() is None:
            return
        if self._given() is not proposed.labels:  # somebody gave the layer data of another shape
            self.refresh()
            return
        proposed.refresh()
        self._say()

    def _say(self, done: str = "") -> None:
        """Say what is proposed, after what was done."""
        parts = [done] if done else []
        if self._proposed is not None and self.form.source.layer() is not None:
            numbers, counts = np.unique(self._proposed.shown, return_counts=True)
            found = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
            names = {n: name for n, (name, _) in self.form.classes().items()}
            said = [f"{count:,} {names.get(n, n)}" for n, count in found.items() if n]
            parts.append(self.form.next_step() or f"Proposed: {', '.join(said) or 'nothing'}.")
        self.said.setText(" ".join(parts))
        self.take.refresh(self._why_not())

    def _why_not(self) -> str | None:
        if self._scan() is None:
            return "Open a scan first: File > IO Utilities > Open 4D-STEM scan..."
        if self._proposed is None:
            return "Make a labels layer first."
        if self.form.source.layer() is None:
            return "Choose what the labels are proposed from."
        return None
