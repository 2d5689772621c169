"""How much memory there is, how much of it to take at a time, and less where it runs out.

Importing this imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

BATCH = {"paper": 32, "compact": 64}
"""Patterns per optimiser step: as the paper's, and as measured for the compact preset."""

AT_ONCE_ON_A_CPU = {"paper": 1, "compact": 64}
"""Patterns at a time on a CPU, where more of the paper's network at once is no faster."""

PATTERN_BYTES = {"paper": 1.0e9, "compact": 4.0e6}
"""What the gradient of one pattern takes at most: of 256 x 256 with 128 filters, of 64 x 64."""


@dataclass(frozen=True)
class Portion:
    """How much a training computes at a time. The result is the same to rounding, whatever it is.

    Parameters
    ----------
    patterns : int
        Patterns whose gradient is computed at once.
    recompute : bool
        Keep only what goes in and out of a block of layers, and compute what is between once more
        for the gradient (gradient checkpointing): less than half the memory, a third more time.
    """

    patterns: int
    recompute: bool = False

    def __str__(self) -> str:
        number = "1 pattern" if self.patterns == 1 else f"{self.patterns} patterns"
        return f"{number} at a time" + (", layers computed twice" if self.recompute else "")


def available_memory() -> int:
    """Return how many bytes of memory this process could still take without swapping.

    That of the machine, or what a container (cgroup) or a limit of the process (``ulimit -v``)
    leaves, whichever is least.
    """
    import psutil

    least = int(psutil.virtual_memory().available)
    for group in _GROUPS:
        # "max" where there is no limit; no such file outside Linux.
        with suppress(OSError, ValueError):
            least = min(least, container_memory(*group))
    with suppress(ImportError, ValueError, OSError):
        import resource

        most, _ = resource.getrlimit(resource.RLIMIT_AS)
        if most != resource.RLIM_INFINITY:
            least = min(least, most - int(psutil.Process().memory_info().vms))
    return max(0, least)


_GROUPS = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes"),
)
"""Of a container: the folder, and in it what says how much it may take and how much it takes."""


def container_memory(group: Path, limit: str, used: str) -> int:
    """Return how many bytes a container may still take.

    What it read of files counts as taken, as long as nobody else wants the memory. A scan that was
    gone through once would seem to fill it.
    """
    most, taken = (int((group / name).read_text()) for name in (limit, used))
    told = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    files = sum(int(told.get(name, 0)) for name in ("active_file", "inactive_file"))
    return most - max(0, taken - files)


def fitting(header: Mapping[str, Any], memory: int, *, cpu: bool) -> Portion:
    """Return how much to compute at a time with so many bytes of `memory`.

    Parameters
    ----------
    header : mapping
        Of the model: says the preset and the size of its network.
    memory : int
        Free bytes, on the GPU or of the machine.
    cpu : bool
        Whether it is the machine's own; then no more is taken than is of use.

    Examples
    --------
    >>> paper = {"preset": "paper", "network": {"size": 256}}
    >>> fitting(paper, 100 * 2**30, cpu=False)
    Portion(patterns=32, recompute=False)
    >>> fitting(paper, 2**30, cpu=True)
    Portion(patterns=1, recompute=True)
    """
    preset = header["preset"]
    network = header["network"]
    most = (AT_ONCE_ON_A_CPU if cpu else BATCH)[preset]
    unit = (256, 128) if preset == "paper" else (64, 1)
    each = PATTERN_BYTES[preset] * (int(network.get("size", unit[0])) / unit[0]) ** 2
    each *= int(network.get("filters", unit[1])) / unit[1]
    # A part of the memory stays free for what else goes on, and for what is not counted above.
    free = 0.8 * memory
    patterns = 1
    while 2 * patterns <= most and 2 * patterns * each <= free:
        patterns *= 2
    return Portion(patterns, recompute=preset == "paper" and patterns * each > free)


def smaller(portion: Portion, preset: str) -> Portion | None:
    """Return what to try when `portion` took more memory than there is; None if it is the least.

    Examples
    --------
    >>> smaller(Portion(8), "paper"), smaller(Portion(1), "paper")
    (Portion(patterns=4, recompute=False), Portion(patterns=1, recompute=True))
    """
    if portion.patterns > 1:
        return replace(portion, patterns=portion.patterns // 2)
    if preset == "paper" and not portion.recompute:
        return replace(portion, recompute=True)
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on a GPU or here."""
    # Most often a plain RuntimeError: the words of torch's allocators, of CUDA and its libraries.
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or any(words in str(error) for words in _SHORT)
    )


_SHORT = ("can't allocate memory", "out of memory", "STATUS_ALLOC_FAILED")


class InChunks:
    """Applies a function to patterns, some at a time.

    Parameters
    ----------
    function : callable
        From ``[n, 1, size, size]`` to ``[n, channel]``, both on `device`.
    device : torch.device
        Where to compute.
    most : int
        Patterns at a time. It is halved whenever memory runs out, which others may take as well.
    """

    def __init__(
        self, function: Callable[[torch.Tensor], torch.Tensor], device: torch.device, most: int
    ) -> None:
        self._function, self._device, self.most = function, device, most

    def __call__(
        self, patterns: torch.Tensor, done: Callable[[int], object] = lambda _: None
    ) -> torch.Tensor:
        """Return the function of `patterns` ``[n, ...]``, float32 on the CPU.

        `done` is called with the number of patterns of each chunk.
        """
        import torch

        found, begin = [], 0
        while begin < len(patterns):
            chunk = patterns[begin : begin + self.most]
            values = self._tried(chunk)
            if values is None:
                # Here, where the error and with it all that the failed attempt kept is gone.
                self.most = len(chunk) // 2
                if self._device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            found.append(values)
            begin += len(chunk)
            done(len(chunk))
        return torch.cat(found)

    def _tried(self, chunk: torch.Tensor) -> torch.Tensor | None:
        """Return the function of a chunk, or None if it has to be smaller."""
        try:
            return self._function(chunk.to(self._device)).float().cpu()
        except (RuntimeError, MemoryError) as error:
            if len(chunk) == 1 or not is_out_of_memory(error):
                raise
        return None
