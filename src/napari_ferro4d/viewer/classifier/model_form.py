"""The parameters of a training."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import CheckBox, ComboBox, Container
from magicgui.widgets.bases import Widget

from napari_ferro4d.learn import CLASSIFIERS
from napari_ferro4d.viewer.widgets import DeviceChoice, Number, rows


class ModelForm:
    """Fields: which model, how many neighbours, where to compute, whether to follow the labels."""

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
        return rows(self.preset, self.neighbourhood, self.device, self.follows)

    def options(self) -> dict[str, Any]:
        """Return parameters of `classify`."""
        return {
            "preset": self.preset.value,
            "neighbourhood": self.neighbourhood.value or 0,
            "device": self.device.value,
        }

    def parameters(self) -> dict[str, Any]:
        """Return what the user set."""
        return {**self.options(), "follows": self.follows.value}

    def set_parameters(self, values: dict[str, Any]) -> None:
        """Set what `parameters` returned."""
        self.preset.value = str(values["preset"])
        self.neighbourhood.value = int(values["neighbourhood"])
        self.device.choose(str(values["device"]))
        self.follows.value = bool(values["follows"])

    def _on_preset(self, preset: str) -> None:
        self.follows.enabled = preset == "fast"
