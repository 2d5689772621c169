"""Dock widget "Centre of mass": where the beam went, as maps and as a direction colour map."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
)

from napari_ferro4d.jobs import Report
from napari_ferro4d.results import MapResult, com_parameters, com_results, provenance
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import LayerData, Origin, made, map_layers
from napari_ferro4d.viewer.widgets import Dock, PartLayers, enable, form, hint, reporting_layers

from .counts_form import CountsForm

if TYPE_CHECKING:
    from napari_ferro4d.reduce import ComMaps

    Made = tuple[ComMaps, list[MapResult], list[LayerData], dict[str, Any]]
    """The maps, their images and layers, and what was used for them."""

__all__ = ["ComWidget"]

_FROM_FILE, _MEAN, _TYPED = "from file", "mean pattern", "typed"


class ComWidget(Dock):
    """Compute the centre of mass of every pattern of a scan.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer with the scan.
    """

    key = "centre of mass"

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self._centre = QComboBox()
        self._centre.addItems([_FROM_FILE, _MEAN, _TYPED])
        self._centre.setToolTip(
            "from file: where the file states one.\n"
            "mean pattern: the centre of mass of the mean pattern.\n"
            "typed: a position in detector pixels; the first pixel is 0."
        )
        self._centre.currentIndexChanged.connect(self._on_centre)
        self._wants_file = True
        self._ky, self._kx = _pixels("ky "), _pixels("kx ")
        self._masked = QCheckBox()
        self._masked.setToolTip("Count only what lies within this radius of the beam centre.")
        self._radius = _pixels("")
        self._radius.setRange(0.5, 1e5)
        self._radius.setValue(10)
        self._radius.setSuffix(" px")
        self.counts = CountsForm()
        self._descan = QComboBox()
        self._descan.addItems(["none", "plane", "robust"])
        self._descan.setToolTip(
            "Remove the shift of the whole pattern by imperfect descanning.\n"
            "plane: subtract a least-squares plane; robust: a plane that domains pull less."
        )
        self._auto_rotation = QCheckBox("auto")
        self._auto_rotation.setToolTip("Take the angle at which the field has the least curl.")
        self._rotation = QDoubleSpinBox()
        self._rotation.setRange(-360, 360)
        self._rotation.setSuffix(" °")
        self._rotation.setToolTip(
            "Turn the field from detector to scan axes, counter-clockwise as drawn."
        )
        self.run = QPushButton("Compute centre of mass")
        self.run.clicked.connect(self.compute)
        self._outcome = hint("Hue is the direction of the shift, brightness its size.")
        self._found: dict[str, tuple[float, float]] = {}
        self._lay_out()
        for changed in (
            self._centre.currentIndexChanged,
            self._masked.toggled,
            self._auto_rotation.toggled,
            self._radius.valueChanged,
        ):
            changed.connect(self.refresh)
        self.ready()

    def _lay_out(self) -> None:
        rows = form()
        rows.addRow("Scan", self.scans)
        rows.addRow("Beam centre", self._centre)
        rows.addRow("", _side_by_side(self._ky, self._kx))
        rows.addRow("Mask radius", _side_by_side(self._masked, self._radius, stretch=1))
        rows.addRow("Descan", self._descan)
        rows.addRow("Rotation", _side_by_side(self._rotation, self._auto_rotation, stretch=0))
        self.column.addLayout(rows)
        self.column.addWidget(self.counts)
        self.column.addWidget(self.run)
        self.column.addWidget(self.row)
        self.column.addLayout(_side_by_side(colour_wheel_label(72), self._outcome, stretch=1))

    def parameters(self) -> dict[str, Any]:
        """Return what the user set."""
        return {
            "centre": self._centre.currentText(),
            "mask": self._masked.isChecked(),
            "radius": self._radius.value(),
            "descan": self._descan.currentText(),
            "auto_rotation": self._auto_rotation.isChecked(),
            "rotation": self._rotation.value(),
            "threshold": self.counts.values()["threshold"],
        }

    def set_parameters(self, values: dict[str, Any]) -> None:
        """Set what `parameters` returned.

        A typed beam centre, a mask and a background are not among it: they belong to one detector.
        """
        self._masked.setChecked(bool(values["mask"]))
        self._radius.setValue(float(values["radius"]))
        self._descan.setCurrentText(str(values["descan"]))
        self._auto_rotation.setChecked(bool(values["auto_rotation"]))
        self._rotation.setValue(float(values["rotation"]))
        threshold = values.get("threshold")
        self.counts.thresholded.setChecked(threshold is not None)
        if threshold is not None:
            self.counts.threshold.setValue(float(threshold))

    def refresh(self, *_: Any) -> None:
        """Enable what can be set and done now."""
        scan = self.scans.scan()
        self._offer_centres(scan)
        typed = self._centre.currentText() == _TYPED
        for box, axis in ((self._ky, 0), (self._kx, 1)):
            box.setEnabled(typed)
            if scan is not None:
                box.setMaximum(scan.detector_shape[axis] - 0.5)
                if not typed:
                    middle = tuple((n - 1) / 2 for n in scan.detector_shape)
                    stated = scan.centre if self._centre.currentText() == _FROM_FILE else None
                    centre = stated or self._found.get(scan.signature) or middle
                    box.setValue(centre[axis])
        self._radius.setEnabled(self._masked.isChecked())
        if scan is not None and scan.k_step is not None:
            self._radius.setToolTip(f"{self._radius.value() * scan.k_step[0]:.3g} 1/angstrom")
        self._rotation.setEnabled(not self._auto_rotation.isChecked())
        enable(self.run, self.why_not(), "One pass over the scan; adds five maps to the viewer.")

    def _offer_centres(self, scan: Scan | None) -> None:
        """Offer the file's centre where it states one, and take it unless the user did not."""
        stated = scan is not None and scan.centre is not None
        self._centre.model().item(0).setEnabled(stated)
        self._centre.blockSignals(True)  # it is not the user who chooses here
        if not stated and self._centre.currentText() == _FROM_FILE:
            self._centre.setCurrentText(_MEAN)
        elif stated and self._wants_file:
            self._centre.setCurrentText(_FROM_FILE)
        self._centre.blockSignals(False)

    def _on_centre(self, index: int) -> None:
        self._wants_file = self._centre.itemText(index) == _FROM_FILE

    def compute(self) -> None:
        """Compute on a thread and add the maps."""
        from napari_ferro4d.reduce import com, read_cleaning

        scan = self.scans.scan()
        if scan is None:
            return
        centres = {_MEAN: "mean", _TYPED: (self._ky.value(), self._kx.value())}
        options: dict[str, Any] = {
            "centre": centres.get(self._centre.currentText()),
            "mask_radius": self._radius.value() if self._masked.isChecked() else None,
            "descan": self._descan.currentText(),
            "rotation": "auto" if self._auto_rotation.isChecked() else self._rotation.value(),
        }
        given = self.counts.values()
        said = {name: value for name, value in given.items() if value is not None}
        parts = PartLayers(self.viewer, provenance("com", {**options, **said}, scan))

        def work(report: Report) -> Made:
            cleaning, record = read_cleaning(scan, **given)

            def so_far(partial: list[ComMaps]) -> list[LayerData]:
                return _layers(com_results(partial[0], scan), scan, known=partial[0].sum)

            shown = reporting_layers(report, so_far)
            maps = com(scan, **options, **cleaning, report=shown, progressive=True)
            results = com_results(maps, scan)
            used = {**com_parameters(maps, options["mask_radius"], options["descan"]), **record}
            return maps, results, _layers(results, scan), used

        def done(made_of: Made) -> str:
            maps, results, layers, used = made_of
            parts.finish(layers, made(provenance("com", used, scan), maps=results))
            ky, kx = maps.centre
            if options["centre"] == "mean":
                self._found[scan.signature] = maps.centre
            self.refresh()
            self._outcome.setText(
                f"Beam centre ({ky:.2f}, {kx:.2f}) px, field turned by {maps.rotation:.1f}°. "
                "Hue is the direction of the shift, brightness its size."
            )
            return "Added sum, com_y, com_x, com_magnitude and com_direction."

        self.keep()
        self.row.start(work, done, "Centre of mass", part=parts.show)


def _layers(
    results: list[MapResult], scan: Scan, known: np.ndarray | None = None
) -> list[LayerData]:
    """Return the layers of centre-of-mass maps: they are opaque, so one is seen first.

    Colours are transparent where `known` is NaN.
    """
    layers: list[LayerData] = []
    for result in results:
        if result.rgb and known is not None:
            alpha = np.where(np.isnan(known), 0, 255).astype(np.uint8)
            result = replace(result, data=np.dstack([result.data, alpha]))
        layers += map_layers(Origin.of(scan), result, visible=result.name == "com_direction")
    return layers


def colour_wheel_label(size: int) -> QLabel:
    """Return the key to a direction colour map, as a picture."""
    from napari_ferro4d.reduce import colour_wheel

    wheel = colour_wheel(2 * size)  # twice, for screens with small pixels
    height, width = wheel.shape[:2]
    image = QImage(wheel.tobytes(), width, height, 4 * width, QImage.Format.Format_RGBA8888)
    pixmap = QPixmap.fromImage(image.copy())
    pixmap.setDevicePixelRatio(2.0)
    label = QLabel()
    label.setPixmap(pixmap)
    label.setFixedSize(size, size)
    label.setToolTip("Key to the direction map: as drawn, up in the wheel is up in the map.")
    return label


def _pixels(prefix: str) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(-0.5, 1e5)
    box.setDecimals(2)
    box.setPrefix(prefix)
    box.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)  # the number needs the room
    box.setAlignment(Qt.AlignmentFlag.AlignRight)
    return box


def _side_by_side(*widgets: Any, stretch: int | None = None) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(6)
    for index, widget in enumerate(widgets):
        row.addWidget(widget, int(stretch is None or index == stretch))
    return row
