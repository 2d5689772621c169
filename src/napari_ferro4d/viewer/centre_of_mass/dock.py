"""Dock widget "Centre of mass": where the beam went, as maps and as a direction colour map."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import CheckBox, ComboBox
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton

from napari_ferro4d.jobs import Report
from napari_ferro4d.results import MapResult, com_parameters, com_results, provenance
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import LayerData, Origin, made, map_layers
from napari_ferro4d.viewer.widgets import (
    Dock,
    Number,
    PartLayers,
    beside,
    enable,
    hint,
    reporting_layers,
    rows,
)

from .counts_form import CountsForm

if TYPE_CHECKING:
    from napari_ferro4d.reduce import ComMaps

    Made = tuple[ComMaps, list[MapResult], list[LayerData], dict[str, Any]]
    """The maps, their images and layers, and what was used for them."""

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
        self.centre = ComboBox(
            label="Beam centre",
            choices=[_FROM_FILE, _MEAN, _TYPED],
            tooltip="from file: where the file states one.\n"
            "mean pattern: the centre of mass of the mean pattern.\n"
            "typed: a position in detector pixels; the first pixel is 0.",
        )
        self._wants_file = True
        self.ky, self.kx = (_pixels(prefix=prefix, min=-0.5) for prefix in ("ky ", "kx "))
        self.masked = CheckBox(
            tooltip="Count only what lies within this radius of the beam centre."
        )
        self.radius = _pixels(suffix=" px", min=0.5, value=10)
        self.descan = ComboBox(
            label="Descan",
            choices=["none", "plane", "robust"],
            tooltip="Remove the shift of the whole pattern by imperfect descanning.\n"
            "plane: subtract a least-squares plane; robust: a plane that domains pull less.",
        )
        self.rotation = Number(
            suffix=" °",
            decimals=2,
            min=-360,
            max=360,
            value=0,
            tooltip="Turn the field from detector to scan axes, counter-clockwise as drawn.",
        )
        self.auto_rotation = CheckBox(
            text="auto", tooltip="Take the angle at which the field has the least curl."
        )
        self.counts = CountsForm()
        self.run = QPushButton("Compute centre of mass")
        self.run.clicked.connect(self.compute)
        self._outcome = hint("Hue is the direction of the shift, brightness its size.")
        self._found: dict[str, tuple[float, float]] = {}
        self._fields = rows(
            self.scans,
            self.centre,
            beside("", self.ky, self.kx),
            beside("Mask radius", self.masked, self.radius),
            self.descan,
            beside("Rotation", self.rotation, self.auto_rotation),
        )
        key = QHBoxLayout()
        key.addWidget(colour_wheel_label(72))
        key.addWidget(self._outcome, 1)
        for widget in (self._fields.native, self.counts, self.run, self.row):
            self.column.addWidget(widget)
        self.column.addLayout(key)
        self.centre.changed.connect(self._on_centre)
        for field in (self.centre, self.masked, self.auto_rotation, self.radius):
            field.changed.connect(self.refresh)
        self.ready()

    def parameters(self) -> dict[str, Any]:
        """Return what the user set."""
        return {
            "centre": self.centre.value,
            "mask": self.masked.value,
            "radius": self.radius.value,
            "descan": self.descan.value,
            "auto_rotation": self.auto_rotation.value,
            "rotation": self.rotation.value,
            "threshold": self.counts.values()["threshold"],
        }

    def set_parameters(self, values: dict[str, Any]) -> None:
        """Set what `parameters` returned.

        A typed beam centre, a mask and a background are not among it: they belong to one detector.
        """
        self.masked.value = bool(values["mask"])
        self.radius.value = float(values["radius"])
        self.descan.value = str(values["descan"])
        self.auto_rotation.value = bool(values["auto_rotation"])
        self.rotation.value = float(values["rotation"])
        self.counts.set_threshold(values.get("threshold"))

    def refresh(self, *_: Any) -> None:
        """Enable what can be set and done now."""
        scan = self.scans.scan()
        self._offer_centres(scan)
        typed = self.centre.value == _TYPED
        for axis, field in enumerate((self.ky, self.kx)):
            field.enabled = typed
            if scan is not None:
                field.max = scan.detector_shape[axis] - 0.5
                if not typed:
                    middle = tuple((n - 1) / 2 for n in scan.detector_shape)
                    stated = scan.centre if self.centre.value == _FROM_FILE else None
                    field.value = (stated or self._found.get(scan.signature) or middle)[axis]
        self.radius.enabled = self.masked.value
        if scan is not None and scan.k_step is not None:
            self.radius.tooltip = f"{self.radius.value * scan.k_step[0]:.3g} 1/angstrom"
        self.rotation.enabled = not self.auto_rotation.value
        enable(self.run, self.why_not(), "One pass over the scan; adds five maps to the viewer.")

    def _offer_centres(self, scan: Scan | None) -> None:
        """Offer the file's centre where it states one, and take it unless the user did not."""
        stated = scan is not None and scan.centre is not None
        self.centre.native.model().item(0).setEnabled(stated)
        with self.centre.changed.blocked():  # it is not the user who chooses here
            if not stated and self.centre.value == _FROM_FILE:
                self.centre.value = _MEAN
            elif stated and self._wants_file:
                self.centre.value = _FROM_FILE

    def _on_centre(self, chosen: str) -> None:
        self._wants_file = chosen == _FROM_FILE

    def compute(self) -> None:
        """Compute on a thread and add the maps."""
        from napari_ferro4d.reduce import com, read_cleaning

        scan = self.scans.scan()
        if scan is None:
            return
        centres = {_MEAN: "mean", _TYPED: (self.ky.value, self.kx.value)}
        options: dict[str, Any] = {
            "centre": centres.get(self.centre.value),
            "mask_radius": self.radius.value if self.masked.value else None,
            "descan": self.descan.value,
            "rotation": "auto" if self.auto_rotation.value else self.rotation.value,
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


def _pixels(**keywords: Any) -> Number:
    # Typed, and the number needs the room of the arrows.
    field = Number(decimals=2, arrows=False, max=1e5, **keywords)
    field.native.setAlignment(Qt.AlignmentFlag.AlignRight)
    return field
