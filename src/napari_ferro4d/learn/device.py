"""Where to compute: choosing a device by name, and asking for torch politely."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from napari_ferro4d.errors import ScanError

from .launch import launched

if TYPE_CHECKING:
    import torch

__all__ = ["choose_device", "devices", "import_torch"]


def import_torch() -> Any:
    """Import torch, or say how to get it.

    Raises
    ------
    ScanError
        If torch is not installed.
    """
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise ScanError(
            "learning needs PyTorch, which is not installed; run "
            '`pip install "napari-ferro4d[learn]"`.'
        ) from error


def devices() -> list[str]:
    """Return the names that `device` accepts on this machine, ``"auto"`` first.

    Raises
    ------
    ScanError
        If torch is not installed.

    Examples
    --------
    >>> devices()[:2]
    ['auto', 'cpu']
    """
    torch = import_torch()
    return ["auto", "cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]


def choose_device(name: str) -> torch.device:
    """Return the device called `name`: ``auto``, ``cpu``, ``cuda`` or ``cuda:i``.

    ``auto`` is the first CUDA device, or the CPU where there is none. Of several processes that
    train together, each takes one of its machine's CUDA devices for ``auto`` and ``cuda``.

    Raises
    ------
    ScanError
        If there is no such device here.
    """
    library = import_torch()
    present = devices()
    gpus = len(present) - 2
    if name == "auto" and not gpus:
        name = "cpu"
    elif name in ("auto", "cuda"):
        name = f"cuda:{launched().local_rank % max(1, gpus)}"
    if name not in present:
        raise ScanError(
            f"device {name!r}: not on this machine, which has {', '.join(present[1:])}; "
            "choose one of these or auto."
        )
    device: torch.device = library.device(name)
    return device
