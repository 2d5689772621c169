"""The fields that say which network to train, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from magicgui.widgets import CheckBox, ComboBox
from napari.utils.notifications import show_error
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QSizePolicy, QVBoxLayout, QWidget

from napari_ferro4d.errors import ScanError
from napari_ferro4d.learn import (
    AUTO,
    BETA,
    LINEAR,
    PRESETS,
    SCHEDULES,
    Model,
    read_schedule,
    total_epochs,
)
from napari_ferro4d.viewer.session import remember, remembered
from napari_ferro4d.viewer.widgets import (
    DeviceChoice,
    Fold,
    Number,
    enable,
    narrow,
    rows,
)

_TIPS = {
    "compact": "a small network that trains on a CPU",
    "paper": "the network of Ludacka et al. (2024), for a GPU",
    "pca": "principal components; like the next two, a first look in seconds",
    "nmf": "non-negative matrix factorisation",
    "ica": "independent components",
}
"""What is said of the presets; they are listed in this order, others follow."""

_FROM_FILE = "from file"


class NetworkForm(QWidget):
    """Scan, network, channels and, folded away, all else that a training can be told.

    Fields are named after the arguments of `napari_ferro4d.learn.train`.

    Parameters
    ----------
    scans : magicgui.widgets.ComboBox
        The choice of the scan.
    """

    changed = Signal()

    def __init__(self, scans: ComboBox) -> None:
        super().__init__()
        self._model: Model | None = None
        presets = sorted(_presets(), key=_place)
        self.preset = ComboBox(
            name="preset",
            label="Network",
            choices=presets,
            tooltip="\n".join(f"{name}: {tip}." for name, tip in _TIPS.items() if name in presets),
        )
        self.embedding = Number(
            name="embedding",
            label="Channels",
            min=1,
            max=4096,
            value=32,
            tooltip="Channels of the embedding; those that show more than noise are added.",
        )
        self._schedule_files: list[tuple[str, str]] = []
        self._chosen: Any = None
        self.schedule = ComboBox(
            name="schedule",
            label="Schedule",
            choices=self._schedules,
            tooltip="Learning rate and weights of the penalties, epoch by epoch.\n"
            "auto: raise the sparsity until no more channels fall silent, then stop\n"
            "once the maps no longer change.\n"
            "paper-...: as published. from file: a TOML file with [[phase]] tables.",
        )
        narrow(self.schedule.native)  # a long file name may not make the dock wide
        self.epochs = Number(
            name="epochs",
            label="Epochs",
            nothing="of the schedule",
            max=100_000,
            tooltip="Passes over all patterns; the schedule is stretched or shortened to them.",
        )
        self.divergence = ComboBox(
            name="divergence",
            label="Divergence",
            choices=[("as in the paper's code", "code"), ("as in its text", "text")],
            tooltip="How the divergence term counts: the paper's code subtracts it, its text adds "
            "it.\nIt matters where a schedule gives it weight, as paper-walls does.",
        )
        self.seed = Number(
            name="seed",
            label="Seed",
            max=2**31 - 1,
            tooltip="Of the first weights and of the order of the patterns. Channels that another "
            "seed\nbrings back as well are in the patterns; on a CPU, the same seed gives the "
            "same model.",
        )
        self.device = DeviceChoice(name="device")
        self.variational = CheckBox(name="variational", text="Variational (beta-VAE)")
        self.start = CheckBox(text="Start from the current model")
        self._network = rows(scans, self.preset, self.embedding)
        self._training = rows(
            self.schedule,
            self.epochs,
            self.divergence,
            self.seed,
            self.device,
            self.variational,
            self.start,
        )
        self.fold = Fold("", self._training.native)
        # Its title may be cut off, but may not make the dock wide.
        self.fold.button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self._network.native)
        column.addWidget(self.fold)
        # With the choice "of the network", whose value is None, magicgui emits nothing.
        self.schedule.native.currentIndexChanged.connect(self._on_schedule)
        self.start.changed.connect(self._on_start)
        for part in (self._network, self._training):
            part.changed.connect(self._refresh)
        self._refresh()

    def options(self) -> dict[str, Any]:
        """Return what the user wants, as arguments of `napari_ferro4d.learn.train`."""
        wanted = self.parameters()
        if self.start.value:
            wanted |= {"start": self._model}
            del wanted["preset"], wanted["embedding"]
        if not self.schedule.enabled:
            del wanted["schedule"], wanted["divergence"]
        if not self.variational.enabled:
            del wanted["variational"]
        if not self.epochs.enabled:
            del wanted["epochs"]
        return wanted

    def set_model(self, model: Model | None) -> None:
        """Say from which model a training could start."""
        self._model = model if model and model.header.get("preset") in PRESETS else None
        if self._model is None:
            self.start.value = False
        elif self.start.value:
            self._on_start(True)
        self._refresh()

    def choose_schedule(self, name: str) -> bool:
        """Choose a schedule by its name or file; return whether there is one."""
        if name not in self.schedule.choices:
            try:
                phases = read_schedule(name)
            except ScanError as error:
                show_error(str(error))
                return False
            text = f"{Path(name).name} ({total_epochs(phases)} epochs)"
            self._schedule_files.append((text, name))
            self.schedule.reset_choices()
        self.schedule.value = name
        return True

    def parameters(self) -> dict[str, Any]:
        """Return what the user set, as JSON types."""
        return {**self._network.asdict(), **self._training.asdict()}

    def set_parameters(self, values: dict[str, Any]) -> None:
        """Set what `parameters` returned."""
        self.device.choose(str(values["device"]))
        schedule = values["schedule"]
        # Of last time; a file that is gone is not worth a message now.
        if schedule is not None and (schedule in (AUTO, *SCHEDULES) or Path(schedule).exists()):
            self.choose_schedule(schedule)
        for name in ("preset", "embedding", "epochs", "divergence", "seed", "variational"):
            getattr(self, name).value = values[name]

    def _schedules(self, box: Any) -> list[tuple[str, str | None]]:
        published = [
            (f"{name} ({total_epochs(phases)} epochs)", name) for name, phases in SCHEDULES.items()
        ]
        return [
            ("of the network", None),
            (AUTO, AUTO),
            *published,
            *self._schedule_files,
            ("from file...", _FROM_FILE),
        ]

    def _on_schedule(self, index: int) -> None:
        if self.schedule.value != _FROM_FILE:
            self._chosen = self.schedule.value
            self._refresh()
            return
        self.schedule.value = self._chosen
        folder = str(remembered("schedule files").get("folder", Path.home()))
        path, _ = QFileDialog.getOpenFileName(
            self, "Schedule of a training", folder, "Schedules (*.toml)"
        )
        if path and self.choose_schedule(path):
            remember("schedule files", {"folder": str(Path(path).parent)})

    def _on_start(self, checked: bool) -> None:
        if checked and self._model is not None:
            self.preset.value = str(self._model.header["preset"])
            self.embedding.value = int(self._model.header["network"]["embedding"])
            self.variational.value = bool(self._model.header["network"].get("variational"))

    def _refresh(self, *_: Any) -> None:
        """Enable what matters with what is chosen, and say in the fold's title what differs."""
        start = self.start.value
        trained = self.preset.value in PRESETS
        automatic = self.schedule.value == AUTO
        self.preset.enabled = not start
        self.embedding.enabled = not start
        self.schedule.enabled = trained
        self.divergence.enabled = trained
        self._refresh_variational(start, trained, automatic)
        self.epochs.enabled = trained and not automatic
        why_not = None if self._model is not None else "Train a network first, or load one."
        tip = "Go on from the weights of the model below, with the schedule chosen here."
        enable(self.start.native, why_not, tip)
        said = ["from the model"] if start else []
        if trained and self.schedule.value is not None:
            said.append(self.schedule.current_choice.partition(" (")[0])
        if self.epochs.enabled and self.epochs.value:
            said.append(f"{self.epochs.value} epochs")
        if self.variational.enabled and self.variational.value:
            said.append("beta-VAE")
        if self.divergence.enabled and self.divergence.value != "code":
            said.append("divergence of the text")
        if self.seed.value:
            said.append(f"seed {self.seed.value}")
        if self.device.value != "auto":
            said.append(self.device.value)
        title = ", ".join(["Training", *said])
        self.fold.button.setText(title)
        self.fold.button.setToolTip(title if said else "")
        self.changed.emit()

    def _refresh_variational(self, start: bool, trained: bool, automatic: bool) -> None:
        why_not = None
        if start:
            why_not = "As it is in the model to start from."
        elif not trained:
            why_not = "A linear baseline has nothing of the kind."
        elif automatic:
            why_not = "The schedule auto raises the sparsity, which a beta-VAE has not."
        if why_not is not None and not start:
            self.variational.value = False
        tip = (
            "For comparison, as in the paper: channels have a mean, which may be negative, and a\n"
            f"spread. The network's own schedule weighs these with a beta of {BETA}, others with\n"
            "that of their phases."
        )
        enable(self.variational.native, why_not, tip)


def _presets() -> list[str]:
    return [*PRESETS, *LINEAR]


def _place(name: str) -> int:
    known = list(_TIPS)
    return known.index(name) if name in known else len(known)
