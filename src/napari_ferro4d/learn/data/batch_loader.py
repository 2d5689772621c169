"""Batches of patterns on the device, ready when they are wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch

from napari_ferro4d.learn.compute import is_out_of_memory

RESIDENT_SHARE = 0.4
"""Of the free memory of a GPU, for patterns that stay there; the rest is for training."""


class BatchLoader:
    """Hands out batches of patterns.

    On a GPU all patterns stay there if they fit in its memory. Where they do not, and where they
    lie in a file, the next batch is fetched while the current one is computed: by a thread, on a
    GPU through page-locked memory and a stream of its own.

    Parameters
    ----------
    patterns : ndarray
        ``[n, size, size]`` float32.
    device : torch.device
        Where they are wanted.
    on_disk : bool
        Whether they are mapped from a file.
    """

    def __init__(
        self, patterns: npt.NDArray[np.float32], device: torch.device, on_disk: bool = False
    ) -> None:
        self._patterns = patterns
        self._device = device
        self._resident: torch.Tensor | None = None
        if device.type == "cuda":
            self._resident = _resident(patterns, device)
        elif not on_disk:
            self._resident = torch.from_numpy(patterns)[:, None]

    def batches(self, chosen: Sequence[npt.NDArray[np.int64]]) -> Iterator[torch.Tensor]:
        """Yield ``[len(index), 1, size, size]`` for each index in `chosen`, on the device."""
        if self._resident is not None:
            for index in chosen:
                yield self._resident[torch.from_numpy(index).to(self._device)]
            return
        # Two of each: one is on its way while the other is in use.
        longest = max(map(len, chosen), default=0)
        pinned = self._device.type == "cuda"
        shape = (longest, 1, *self._patterns.shape[1:])
        buffers = [torch.empty(shape, pin_memory=pinned) for _ in range(2)]
        stream = torch.cuda.Stream(self._device) if pinned else None  # type: ignore[no-untyped-call]

        def fetch(number: int) -> torch.Tensor:
            index = chosen[number]
            buffer = buffers[number % 2][: len(index)]
            # `take` lets other threads run, also while it waits for the disk.
            np.take(self._patterns, index, axis=0, out=buffer.numpy()[:, 0], mode="clip")
            if stream is None:
                return buffer
            with torch.cuda.stream(stream):
                batch = buffer.to(self._device, non_blocking=True)
            stream.synchronize()
            return batch

        with ThreadPoolExecutor(1, thread_name_prefix="ferro4d-batches") as pool:
            coming = pool.submit(fetch, 0) if chosen else None
            for number in range(len(chosen)):
                assert coming is not None
                batch = coming.result()
                if number + 1 < len(chosen):
                    coming = pool.submit(fetch, number + 1)
                if stream is not None:
                    # Or its memory would be used again before the computation is over.
                    batch.record_stream(torch.cuda.current_stream(self._device))
                yield batch


def _resident(patterns: npt.NDArray[np.float32], device: torch.device) -> torch.Tensor | None:
    free, _ = torch.cuda.mem_get_info(device)
    if patterns.nbytes > RESIDENT_SHARE * free:
        return None
    try:
        return torch.from_numpy(patterns).to(device)[:, None]
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    return None
