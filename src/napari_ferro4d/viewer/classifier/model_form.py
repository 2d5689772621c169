"""The parameters of a training."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import CheckBox, ComboBox, Container, LineEdit
from magicgui.widgets.bases import Widget

from napari_ferro4d.learn import CLASSIFIERS, Symmetry
from napari_ferro4d.viewer.widgets import DeviceChoice, Number, rows


class ModelForm:
    """Fields: model, neighbours, turned patterns, where to compute, whether to follow labels."""

    def __init__(self) -> None:
        self.preset = ComboBox(
            label="Model",
            choices=CLASSIFIERS,
            tooltip="fast: a light model on features of the patterns, about a second.\n"
            "paper: the network of Hardy et al. (2025), for a GPU.",
        )
        self.neighbourhood = Number(
            label="Neighbours",
            nothing="none",
            suffix=" positions",
            max=10,
            tooltip="Average each pattern with those around it, up to this many positions away:\n"
            "less noise, but blurred walls.",
        )
        self.symmetry = LineEdit(
            label="Turned patterns",
            tooltip="What becomes of the classes of a turned or mirrored pattern; empty = none.\n"
            "rot90: 1->2, 2->1, 3->3 (counterclockwise as drawn), with a ; before the next of\n"
            "rot90, rot180, rot270, mirror-x (left and right), mirror-y (up and down),\n"
            "mirror-diagonal, mirror-antidiagonal. Learns from every label in all orientations.",
        )
        self.symmetry.native.setPlaceholderText("none")
        self.device = DeviceChoice()
        self.follows = CheckBox(
            text="Predict as I label",
            value=True,
            tooltip="Learn and predict again a moment after every change of the labels.\n"
            "Only with the model 'fast'. Untick to stop.",
        )
        self.preset.changed.connect(self._on_preset)

    @property
    def following(self) -> bool:
        """Whether the map is to follow the labels by itself."""
        return bool(self.follows.value) and self.preset.value == "fast"

    def container(self) -> Container[Widget]:
        """Return the fields in rows."""
        return rows(self.preset, self.neighbourhood, self.symmetry, self.device, self.follows)

    def options(self) -> dict[str, Any]:
        """Return parameters of `classify`.

        Raises
        ------
        LabelsError
            If what becomes of the classes cannot be read.
        """
        text = self.symmetry.value.strip()
        return {**self._plain(), "symmetry": Symmetry.parse(text) if text else None}

    def parameters(self) -> dict[str, Any]:
        """Return what the user set, as far as it holds for other classes, too."""
        return {**self._plain(), "follows": self.follows.value}

    def set_parameters(self, values: dict[str, Any]) -> None:
        """Set what `parameters` returned."""
        self.preset.value = str(values["preset"])
        self.neighbourhood.value = int(values["neighbourhood"])
        self.device.choose(str(values["device"]))
        self.follows.value = bool(values["follows"])

    def _plain(self) -> dict[str, Any]:
        return {
            "preset": self.preset.value,
            "neighbourhood": self.neighbourhood.value or 0,
            "device": self.device.value,
        }

    def _on_preset(self, preset: str) -> None:
        self.follows.enabled = preset == "fast"
