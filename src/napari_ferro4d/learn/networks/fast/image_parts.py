"""Work on parts of an image with several threads, and images as arrays.

The threads are not torch's own (OpenMP's): those wait busily for some milliseconds after whatever
torch did with them, on cores that these need. What is small is therefore done with numpy.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

__all__ = ["array", "in_parts", "pixels"]


def pixels(x: torch.Tensor) -> np.ndarray:
    """Return a channels-last image as an array ``[n, y, x, channel]``, the same memory."""
    return array(x.permute(0, 2, 3, 1))


def array(x: torch.Tensor) -> np.ndarray:
    """Return the values as an array, the same memory."""
    return x.detach().numpy()


@functools.cache
def _workers(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "ferro4d-layers")


def in_parts(
    work: Callable[[int, int], Any], count: int, least: int = 256, *, each: int = 1
) -> list[Any]:
    """Return ``work(first, last)`` of parts of `count`, computed with as many threads as torch has.

    Parameters
    ----------
    work : callable
        What to do for a part.
    count, least : int
        Of what, and how many are worth a thread.
    each : int
        Parts per thread. More keep all busy where a core is taken away for a while; sums, which
        depend on the parts, have one.
    """
    threads = max(1, min(torch.get_num_threads(), count // least))
    if threads == 1:
        return [work(0, count)]
    # In whole pieces of `least`, in which the loops work; the last may be shorter.
    pieces = -(-count // least)
    parts = min(threads * each, pieces)
    ends = [min(count, pieces * i // parts * least) for i in range(parts + 1)]
    return list(_workers(threads).map(work, ends[:-1], ends[1:]))
