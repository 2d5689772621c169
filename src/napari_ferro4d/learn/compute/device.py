"""Where to compute: choosing a device by name, and what goes wrong on it, in one line."""

from __future__ import annotations

import functools
import importlib
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from napari_ferro4d.errors import ModelError, ScanError

from .launch import launched
from .memory import is_out_of_memory

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)


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
    return ["auto", "cpu", *(f"cuda:{i}" for i in range(gpus()[0]))]


@functools.cache
def gpus() -> tuple[int, str]:
    """Return how many GPUs torch can talk to, and if none, why, as far as it tells."""
    torch = import_torch()
    # It counts GPUs also where the driver is too old for it; of that, it warns once.
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        if torch.cuda.is_available():
            return torch.cuda.device_count(), ""
    if not torch.backends.cuda.is_built():
        return 0, "this PyTorch was built without CUDA; see https://pytorch.org/get-started"
    return 0, _first_line(told[-1].message) if told else ""


def choose_device(name: str) -> torch.device:
    """Return the device called `name`: ``auto``, ``cpu``, ``cuda`` or ``cuda:i``.

    ``auto`` is the first CUDA device, or the CPU where there is none that works. Of several
    processes that train together, each takes one of its machine's CUDA devices for ``auto`` and
    ``cuda``.

    Raises
    ------
    ScanError
        If there is no such device here, or it does not work.
    """
    library = import_torch()
    present = devices()
    count = len(present) - 2
    wanted = name
    if name in ("auto", "cuda") and count:
        wanted = f"cuda:{launched().local_rank % count}"
    elif name == "auto":
        wanted = "cpu"
    if wanted not in present:
        why = f" ({gpus()[1]})" if name.startswith("cuda") and gpus()[1] else ""
        raise ScanError(
            f"device {name!r}: not on this machine, which has {', '.join(present[1:])}{why}; "
            "choose one of these or auto."
        )
    device: torch.device = library.device(wanted)
    trouble = _trouble(device)
    if trouble is None:
        return device
    if name == "auto" and launched().count == 1:
        _log.warning("%s does not work and is not used (%s).", device, trouble)
        cpu: torch.device = library.device("cpu")
        return cpu
    raise ScanError(
        f"device {name!r}: {device} does not work here ({trouble}); choose another device."
    )


def _trouble(device: torch.device) -> str | None:
    """Return what keeps a device from computing, if anything.

    A GPU may be there but too old for this torch, taken by others, or lack a library.
    """
    if device.type == "cpu":
        return None
    torch = import_torch()
    try:
        image = torch.ones(1, 1, 4, 4, device=device)
        torch.nn.functional.conv2d(image, image[..., :3, :3]).sum().item()
    except RuntimeError as error:
        return _first_line(error)
    return None


@contextmanager
def working_on(device: torch.device) -> Iterator[None]:
    """Work on a device: say in one line what it fails by, and leave its memory to others after.

    Raises
    ------
    ModelError
        If its memory runs out, or a GPU fails.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            own = "close other programs" if device.type == "cpu" else "close what else uses it"
            raise ModelError(f"{device}: its memory ran out; {own}, or use another device.") from (
                error
            )
        if device.type == "cpu" or not _FAILURE.search(str(error)):
            raise
        raise ModelError(
            f"{device}: the GPU failed ({_first_line(error)}); start the program anew, and go on "
            "with a training from its checkpoint."
        ) from error
    finally:
        if device.type != "cpu":
            # What torch keeps for later use, other programs could not have. A GPU that failed
            # fails at this too.
            with suppress(RuntimeError):
                import_torch().cuda.empty_cache()


_FAILURE = re.compile(r"\b(CUDA|HIP|cuDNN|MIOpen|NCCL) error|\bCU[A-Z]+_STATUS_")
"""What torch says of a GPU, or of a library for it, that gives up."""


def _first_line(said: object) -> str:
    return str(said).strip().splitlines()[0][:200].rstrip(".") if str(said).strip() else repr(said)
