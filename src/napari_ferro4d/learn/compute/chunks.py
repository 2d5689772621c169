"""A network over many patterns, some at a time: fewer where memory runs out."""

from __future__ import annotations

from collections.abc import Callable

import torch

from .memory import is_out_of_memory

__all__ = ["Pieces"]


class Pieces:
    """Applies a function to patterns, piece by piece.

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

        `done` is called with the number of patterns of each piece.
        """
        found, begin = [], 0
        while begin < len(patterns):
            piece = patterns[begin : begin + self.most]
            values = self._tried(piece)
            if values is None:
                # Here, where the error and with it all that the failed attempt kept is gone.
                self.most = len(piece) // 2
                if self._device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            found.append(values)
            begin += len(piece)
            done(len(piece))
        return torch.cat(found)

    def _tried(self, piece: torch.Tensor) -> torch.Tensor | None:
        """Return the function of a piece, or None if it has to be smaller."""
        try:
            return self._function(piece.to(self._device)).float().cpu()
        except (RuntimeError, MemoryError) as error:
            if len(piece) == 1 or not is_out_of_memory(error):
                raise
        return None
