"""Ask for a model file, load it, save it; the same for the autoencoder and the classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_ferro4d.errors import ModelError, ScanError
from napari_ferro4d.learn import Model, finished, load_model, model_record, save_model
from napari_ferro4d.viewer.session import remember, remembered

_FILTER = "Models (*.safetensors)"

_BUFFERS = (
    *("mean", "scale", "projection"),
    *("running_mean", "running_var", "num_batches_tracked", "found"),
)
"""Arrays of our networks that are measured, not trained: those of normalisation, mostly."""

_MEASURED = "finder"
"""What holds more such arrays."""


def load_or_say(path: str | Path, kind: str) -> Model | None:
    """Load a model of this kind; on failure say why and return None."""
    try:
        model = load_model(path)
        if model.kind != kind:
            raise ModelError(
                f"{path}: holds a model of kind {model.kind!r}; choose one of kind {kind!r}."
            )
    except ScanError as error:
        show_error(str(error))
        return None
    return model


def save_or_say(model: Model, path: str | Path) -> Path | None:
    """Save a model, with its ending; on failure say why and return None."""
    file = Path(path)
    if file.suffix != ".safetensors":
        file = file.with_name(f"{file.name}.safetensors")
    try:
        save_model(model, file)
    except ScanError as error:
        show_error(str(error))
        return None
    return file


def ask_and_load(parent: QWidget, kind: str) -> tuple[Model, str] | None:
    """Ask for a file and load it; return the model and the file's name."""
    path, _ = QFileDialog.getOpenFileName(parent, f"Load {kind}", _folder(), _FILTER)
    model = load_or_say(path, kind) if path else None
    if model is None:
        return None
    remember("model files", {"folder": str(Path(path).parent)})
    return model, Path(path).name


def ask_and_save(parent: QWidget, model: Model, name: str) -> str | None:
    """Ask for a file and save `model` there; return the file's name."""
    start = str(Path(_folder()) / f"{name}.safetensors")
    path, _ = QFileDialog.getSaveFileName(parent, f"Save {model.kind}", start, _FILTER)
    file = save_or_say(model, path) if path else None
    if file is None:
        return None
    remember("model files", {"folder": str(file.parent)})
    return file.name


def model_text(model: Model, name: str) -> str:
    """Return one line on a model: its name, preset and size."""
    numbers = sum(
        int(weights.size)
        for array, weights in finished(model).weights.items()
        if _MEASURED not in (parts := array.split(".")) and parts[-1] not in _BUFFERS
    )
    preset = model.header.get("preset", "")
    return f"{name}: {preset + ', ' if preset else ''}{numbers:,} parameters"


def model_note(model: Model, name: str) -> dict[str, Any]:
    """Return what provenance says of a model: how it was trained and how far that came."""
    losses = list(model.header.get("history", {}).get("losses", ()))
    trained = {"epochs": len(losses), "loss": losses[-1] if losses else None}
    return {"model": name, **model_record(model), **trained}


def _folder() -> str:
    return str(remembered("model files").get("folder", Path.home()))
