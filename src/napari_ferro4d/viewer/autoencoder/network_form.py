"""The fields that say which network to train, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

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
from napari_ferro4d.viewer.widgets import DeviceChoice, Fold, enable, form

__all__ = ["NetworkForm"]

_TIPS = {
    "compact": "a small network that trains on a CPU",
    "paper": "the network of Ludacka et al. (2024), for a GPU",
    "pca": "principal components; like the next two, a first look in seconds",
    "nmf": "non-negative matrix factorisation",
    "ica": "independent components",
}
"""What is said of the presets; they are listed in this order, others follow."""

_READINGS = {"as in the paper's code": "code", "as in its text": "text"}

_AS_PRESET, _FROM_FILE = "of the network", "from file..."


class NetworkForm(QWidget):
    """Scan, network, channels and, folded away, all else that a training can be told.

    Parameters
    ----------
    scans : QWidget
        The choice of the scan.
    """

    changed = Signal()

    def __init__(self, scans: QWidget) -> None:
        super().__init__()
        self._model: Model | None = None
        self.preset = QComboBox()
        for name in sorted(_presets(), key=_place):
            self.preset.addItem(name)
        self.preset.setToolTip(
            "\n".join(f"{name}: {tip}." for name, tip in _TIPS.items() if name in _presets())
        )
        self.embedding = QSpinBox()
        self.embedding.setRange(1, 512)
        self.embedding.setValue(32)
        self.embedding.setToolTip(
            "Channels of the embedding; those that show more than noise are added."
        )
        self.schedule = QComboBox()
        # A long file name may not make the dock wide.
        self.schedule.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.schedule.setMinimumContentsLength(12)
        self.schedule.addItem(_AS_PRESET)
        self.schedule.addItem(AUTO, AUTO)
        for name, phases in SCHEDULES.items():
            self.schedule.addItem(f"{name} ({total_epochs(phases)} epochs)", name)
        self.schedule.addItem(_FROM_FILE)
        self.schedule.setToolTip(
            "Learning rate and weights of the penalties, epoch by epoch.\n"
            "auto: raise the sparsity until no more channels fall silent, then stop\n"
            "once the maps no longer change.\n"
            "paper-...: as published. from file: a TOML file with [[phase]] tables."
        )
        self.epochs = QSpinBox()
        self.epochs.setRange(0, 100_000)
        self.epochs.setSpecialValueText("of the schedule")
        self.epochs.setToolTip(
            "Passes over all patterns; the schedule is stretched or shortened to them."
        )
        self.seed = QSpinBox()
        self.seed.setRange(0, 2**31 - 1)
        self.seed.setToolTip(
            "Of the first weights and of the order of the patterns. Channels that another seed\n"
            "brings back as well are in the patterns; on a CPU, the same seed gives the same model."
        )
        self.divergence = QComboBox()
        for text, reading in _READINGS.items():
            self.divergence.addItem(text, reading)
        self.divergence.setToolTip(
            "How the divergence term counts: the paper's code subtracts it, its text adds it.\n"
            "It matters where a schedule gives it weight, as paper-walls does."
        )
        self.variational = QCheckBox("Variational (beta-VAE)")
        self.start = QCheckBox("Start from the current model")
        self.device = DeviceChoice()
        rows = form()
        rows.addRow("Scan", scans)
        rows.addRow("Network", self.preset)
        rows.addRow("Channels", self.embedding)
        more = form()
        more.addRow("Schedule", self.schedule)
        more.addRow("Epochs", self.epochs)
        more.addRow("Divergence", self.divergence)
        more.addRow("Seed", self.seed)
        more.addRow("Device", self.device)
        more.addRow(self.variational)
        more.addRow(self.start)
        self.fold = Fold("", more)
        # Its title may be cut off, but may not make the dock wide.
        self.fold.button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(rows)
        column.addWidget(self.fold)
        self._chosen = 0
        self.schedule.activated.connect(self._on_schedule)
        self.start.toggled.connect(self._on_start)
        for signal in (
            self.preset.currentIndexChanged,
            self.schedule.currentIndexChanged,
            self.epochs.valueChanged,
            self.divergence.currentIndexChanged,
            self.seed.valueChanged,
            self.device.currentIndexChanged,
            self.variational.toggled,
            self.start.toggled,
        ):
            signal.connect(self._refresh)
        self._refresh()

    def options(self) -> dict[str, Any]:
        """Return what the user wants, as arguments of `napari_ferro4d.learn.train`."""
        options: dict[str, Any] = {
            "device": self.device.currentText(),
            "seed": self.seed.value(),
        }
        if self.start.isChecked():
            options["start"] = self._model
        else:
            options["preset"] = self.preset.currentText()
            options["embedding"] = self.embedding.value()
        if self.schedule.isEnabled():
            options["schedule"] = self.schedule.currentData()
            options["divergence"] = self.divergence.currentData()
        if self.variational.isEnabled():
            options["variational"] = self.variational.isChecked()
        if self.epochs.isEnabled():
            options["epochs"] = self.epochs.value() or None
        return options

    def set_model(self, model: Model | None) -> None:
        """Say from which model a training could start."""
        self._model = model if model and model.header.get("preset") in PRESETS else None
        if self._model is None:
            self.start.setChecked(False)
        elif self.start.isChecked():
            self._on_start(True)
        self._refresh()

    def choose_schedule(self, name: str) -> bool:
        """Choose a schedule by its name or file; return whether there is one."""
        index = self.schedule.findData(name)
        if index < 0:
            try:
                phases = read_schedule(name)
            except ScanError as error:
                show_error(str(error))
                return False
            index = self.schedule.count() - 1
            text = f"{Path(name).name} ({total_epochs(phases)} epochs)"
            self.schedule.insertItem(index, text, name)
        self.schedule.setCurrentIndex(index)
        self._chosen = index
        return True

    def parameters(self) -> dict[str, Any]:
        """Return what the user set, as JSON types."""
        return {
            "preset": self.preset.currentText(),
            "embedding": self.embedding.value(),
            "schedule": self.schedule.currentData(),
            "epochs": self.epochs.value(),
            "device": self.device.currentText(),
            "divergence": self.divergence.currentData(),
            "seed": self.seed.value(),
            "variational": self.variational.isChecked(),
        }

    def set_parameters(self, values: dict[str, Any]) -> None:
        """Set what `parameters` returned."""
        self.preset.setCurrentText(str(values["preset"]))
        self.embedding.setValue(int(values["embedding"]))
        self.epochs.setValue(int(values["epochs"]))
        self.device.choose(str(values["device"]))
        schedule = values["schedule"]
        # Of last time; a file that is gone is not worth a message now.
        if schedule is not None and (schedule in (AUTO, *SCHEDULES) or Path(schedule).exists()):
            self.choose_schedule(schedule)
        self.divergence.setCurrentIndex(max(0, self.divergence.findData(values["divergence"])))
        self.seed.setValue(int(values["seed"]))
        self.variational.setChecked(bool(values["variational"]))

    def _on_schedule(self, index: int) -> None:
        if self.schedule.itemText(index) != _FROM_FILE:
            self._chosen = index
            return
        self.schedule.setCurrentIndex(self._chosen)
        folder = str(remembered("schedule files").get("folder", Path.home()))
        path, _ = QFileDialog.getOpenFileName(
            self, "Schedule of a training", folder, "Schedules (*.toml)"
        )
        if path and self.choose_schedule(path):
            remember("schedule files", {"folder": str(Path(path).parent)})

    def _on_start(self, checked: bool) -> None:
        if checked and self._model is not None:
            self.preset.setCurrentText(str(self._model.header["preset"]))
            self.embedding.setValue(int(self._model.header["network"]["embedding"]))
            self.variational.setChecked(bool(self._model.header["network"].get("variational")))

    def _refresh(self, *_: Any) -> None:
        """Enable what matters with what is chosen, and say in the fold's title what differs."""
        start = self.start.isChecked()
        trained = self.preset.currentText() in PRESETS
        automatic = self.schedule.currentData() == AUTO
        self.preset.setEnabled(not start)
        self.embedding.setEnabled(not start)
        self.schedule.setEnabled(trained)
        self.divergence.setEnabled(trained)
        self._refresh_variational(start, trained, automatic)
        self.epochs.setEnabled(trained and not automatic)
        why_not = None if self._model is not None else "Train a network first, or load one."
        tip = "Go on from the weights of the model below, with the schedule chosen here."
        enable(self.start, why_not, tip)
        said = ["from the model"] if start else []
        if trained and self.schedule.currentData() is not None:
            said.append(self.schedule.currentText().partition(" (")[0])
        if self.epochs.isEnabled() and self.epochs.value():
            said.append(f"{self.epochs.value()} epochs")
        if self.variational.isEnabled() and self.variational.isChecked():
            said.append("beta-VAE")
        if self.divergence.isEnabled() and self.divergence.currentData() != "code":
            said.append("divergence of the text")
        if self.seed.value():
            said.append(f"seed {self.seed.value()}")
        if self.device.currentText() != "auto":
            said.append(self.device.currentText())
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
            self.variational.setChecked(False)
        tip = (
            "For comparison, as in the paper: channels have a mean, which may be negative, and a\n"
            f"spread. The network's own schedule weighs these with a beta of {BETA}, others with\n"
            "that of their phases."
        )
        enable(self.variational, why_not, tip)


def _presets() -> list[str]:
    return [*PRESETS, *LINEAR]


def _place(name: str) -> int:
    known = list(_TIPS)
    return known.index(name) if name in known else len(known)
