"""Which proposals are taken: buttons to accept or discard them by click, in a region, or all."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_ferro4d.embedding import area_at, in_polygons
from napari_ferro4d.viewer.widgets import LayerChoice, Number, enable, form

from .area_clicks import AreaClicks
from .proposed_layer import Proposed
from .sources import add_region, polygons_on

_NONE = "Nothing is proposed there."


class TakeButtons(QWidget):
    """Accept or discard proposals.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer with the scan.
    """

    said = Signal(str)
    """What was done."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._proposed: Proposed | None = None
        self._why_not: str | None = None
        self.most = Number(
            label="Accept",
            nothing="all positions",
            suffix=" positions per class",
            min=0,
            max=100_000,
            value=50,
            tooltip="So many at a time, spread out over what is accepted and away from its edges.",
        )
        self.region = LayerChoice(
            viewer, lambda layer: hasattr(layer, "shape_type"), "no region drawn yet", "Region"
        )
        self.draw_button = QPushButton("Draw")
        self.clicks = AreaClicks(viewer)
        self.accept_click, self.discard_click = _pair("by click")
        self.accept_region, self.discard_region = _pair("in region")
        self.accept_all, self.discard_all = _pair("all")
        self.back_button = QPushButton("Bring back discarded")
        self._lay_out()
        self.region.changed.connect(self._enable)
        self.draw_button.clicked.connect(self.draw_region)
        self.clicks.clicked.connect(self._on_click)
        self.clicks.ended.connect(self._on_clicks_ended)
        for button in (self.accept_click, self.discard_click):
            button.setCheckable(True)
            button.clicked.connect(self._on_mode)
        self.accept_region.clicked.connect(lambda: self._take(self._in_region()))
        self.discard_region.clicked.connect(lambda: self._discard(self._in_region()))
        self.accept_all.clicked.connect(lambda: self._take(self._everywhere()))
        self.discard_all.clicked.connect(lambda: self._discard(self._everywhere()))
        self.back_button.clicked.connect(self._on_back)

    def _lay_out(self) -> None:
        region = QHBoxLayout()
        region.addWidget(self.region.native, 1)
        region.addWidget(self.draw_button)
        top, grid = form(), QGridLayout()
        top.addRow(self.most.label, self.most.native)
        top.addRow("Region", region)
        grid.setSpacing(4)
        for row, pair in enumerate(self._pairs()):
            for column, button in enumerate(pair):
                # After a click, keys go on labelling.
                button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
                grid.addWidget(button, row, column)
        grid.addWidget(self.back_button, 3, 0, 1, 2)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(4)
        whole.addLayout(top)
        whole.addLayout(grid)

    def _pairs(self) -> tuple[tuple[QPushButton, QPushButton], ...]:
        return (
            (self.accept_click, self.discard_click),
            (self.accept_region, self.discard_region),
            (self.accept_all, self.discard_all),
        )

    def set_proposed(self, proposed: Proposed | None) -> None:
        """Work on other proposals."""
        self.clicks.end()
        self._proposed = proposed

    def draw_region(self) -> None:
        """Add a layer to draw a region on, with the mouse."""
        if self._proposed is not None:
            self.region.choose(add_region(self._viewer, self._proposed.scan))

    def refresh(self, why_not: str | None) -> None:
        """Enable what can be done now; `why_not` says why nothing can."""
        self._why_not = why_not
        self._enable()

    def _enable(self, *_: Any) -> None:
        proposed, why_not = self._proposed, self._why_not
        nothing = why_not
        if nothing is None and (proposed is None or not proposed.shown.any()):
            nothing = "Nothing is proposed."
        no_region = None if self.region.layer() is not None else "Draw a region first."
        places = (
            ("in the area that you click on the map", None),
            ("inside the shapes of the layer above", no_region),
            ("everywhere", None),
        )
        for (accept, discard), (place, missing) in zip(self._pairs(), places, strict=True):
            # A mode stays on until the user ends it: undo may bring proposals back.
            on = self.clicks.listening and accept is self.accept_click
            closed = None if on else nothing or missing
            enable(accept, closed, f"Make the proposals {place} labels; what is labelled stays.")
            enable(discard, closed, f"Propose nothing more {place}.")
        no_scan = None if proposed is not None else why_not
        enable(self.draw_button, no_scan, "Draw around a region with the mouse.")
        none = None if proposed is not None and proposed.any_discarded else "Nothing was discarded."
        enable(self.back_button, none, "Propose again what was discarded.")

    def _on_mode(self, on: bool) -> None:
        chosen = self.sender()
        if not on or self._proposed is None:
            self.clicks.end()
            return
        other = self.discard_click if chosen is self.accept_click else self.accept_click
        other.setChecked(False)
        if not self.clicks.listening:
            self.clicks.begin(self._proposed.labels)

    def _on_clicks_ended(self) -> None:
        self.accept_click.setChecked(False)
        self.discard_click.setChecked(False)
        self._enable()

    def _on_click(self, y: int, x: int) -> None:
        if self._proposed is not None:
            area = area_at(self._proposed.shown, y, x)
            (self._take if self.accept_click.isChecked() else self._discard)(area)

    def _everywhere(self) -> np.ndarray:
        shape = (0, 0) if self._proposed is None else self._proposed.scan.scan_shape
        return np.ones(shape, bool)

    def _in_region(self) -> np.ndarray:
        proposed, layer = self._proposed, self.region.layer()
        if proposed is None or layer is None:
            return np.zeros((0, 0), bool)
        return in_polygons(proposed.scan.scan_shape, polygons_on(layer, proposed.labels))

    def _take(self, area: np.ndarray) -> None:
        if self._proposed is not None:
            most = self.most.value
            count = self._proposed.take(area, None if most is None else int(most))
            done = f"Labelled {count:,} positions; undo takes them back."
            self.said.emit(done if count else _NONE)

    def _discard(self, area: np.ndarray) -> None:
        if self._proposed is not None:
            count = self._proposed.discard(area)
            self.said.emit(f"Discarded {count:,} proposals." if count else _NONE)

    def _on_back(self) -> None:
        if self._proposed is not None:
            self._proposed.bring_back()
            self.said.emit("")


def _pair(where: str) -> tuple[QPushButton, QPushButton]:
    return QPushButton(f"Accept {where}"), QPushButton(f"Discard {where}")
