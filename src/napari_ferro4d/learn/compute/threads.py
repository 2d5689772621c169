"""One thread for small networks: more would mostly wait for each other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_lock = threading.Lock()
_inside = 0
_before = 1


@contextmanager
def single_thread(wanted: bool = True) -> Iterator[None]:
    """Let torch compute with one CPU thread within the block, if `wanted`.

    The layers of the compact networks take microseconds. Shared among threads they gain little on
    an idle machine and lose a factor of ten on a busy one, where every layer waits for the thread
    that the system has put aside. It also makes results independent of the number of cores.

    The number is torch's own, one for the process; blocks may overlap in several threads.
    """
    global _inside, _before
    if not wanted:
        yield
        return
    with _lock:
        if _inside == 0:
            _before = torch.get_num_threads()
        _inside += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                torch.set_num_threads(_before)
