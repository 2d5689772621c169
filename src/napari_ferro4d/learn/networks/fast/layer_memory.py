"""Memory for the results of layers, used again and again."""

from __future__ import annotations

import math
import weakref
from collections import defaultdict
from typing import Any

import numpy as np
import torch

__all__ = ["Memory"]


class Memory:
    """Hands out arrays whose memory earlier ones have left.

    A result of the paper's largest layers takes 32 MB. So much is fetched from the operating system
    anew each time, which empties it and hands it over in pages of 4 kB: 27 ms, a third of the time
    of a convolution. What comes from here returns when the last array or tensor that refers to it
    is gone, and to the system when this object is.
    """

    def __init__(self) -> None:
        self._free: dict[tuple[int, np.dtype[Any]], list[np.ndarray]] = defaultdict(list)

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """Return an array without gaps, of arbitrary values."""
        size = math.prod(shape)
        free = self._free[size, dtype]
        # Another thread may take the last one between the question and the answer.
        try:
            block = free.pop()
        except IndexError:
            block = np.empty(size, dtype)
        # Views of an array on a buffer refer to this array; views of a view would to the block.
        array = np.frombuffer(memoryview(block), dtype)  # type: ignore[arg-type]
        weakref.finalize(array, free.append, block).atexit = False
        return array.reshape(shape)

    def image(self, n: int, channels: int, ny: int, nx: int, dtype: np.dtype[Any]) -> torch.Tensor:
        """Return a tensor ``[n, channel, y, x]``, channels last, of arbitrary values."""
        # Turned before it becomes a tensor: autograd adds in place only to what is no view.
        return torch.from_numpy(self.array((n, ny, nx, channels), dtype).transpose(0, 3, 1, 2))

    def clear(self) -> None:
        """Give back to the system what is not in use."""
        self._free.clear()

    def __deepcopy__(self, _: object) -> Memory:
        return Memory()

    def __reduce__(self) -> tuple[type[Memory], tuple[()]]:
        return Memory, ()
