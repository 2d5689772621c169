"""A trained network over a whole scan, block by block."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from napari_ferro4d.io import over_blocks
from napari_ferro4d.jobs import Report, Steps
from napari_ferro4d.learn.compute import InChunks, call_between_layers
from napari_ferro4d.learn.data import Preprocess, prepare
from napari_ferro4d.scan import Scan


def apply(
    scan: Scan,
    how: Preprocess,
    function: Callable[[torch.Tensor], torch.Tensor],
    network: nn.Module,
    device: torch.device,
    report: Report | None,
    message: str,
) -> npt.NDArray[np.float32]:
    """Apply `function`, which uses `network`, to every pattern of a scan.

    Returns
    -------
    ndarray
        float32 ``[channel, y, x]``; NaN where the file lacks a pattern.
    """
    ny, nx = scan.scan_shape
    steps = Steps(report, ny * nx, message)
    # On a CPU few at a time: the paper's network takes a quarter of a second for one pattern, and
    # cancel acts after each. A GPU wants more to be busy.
    most = max(1, 2 ** (17 if device.type == "cpu" else 22) // how.size**2)
    in_chunks = InChunks(function, device, most)
    maps: npt.NDArray[np.float32] | None = None

    def work(block: np.ndarray, _: tuple[slice, slice]) -> npt.NDArray[np.float32]:
        return prepare(block, how, scan.centre, scan.where())

    with torch.inference_mode(), call_between_layers(network, lambda: steps.add(0), device):
        for where, patterns in over_blocks(scan, work):
            rows, cols = patterns.shape[:2]
            inputs = torch.from_numpy(patterns).reshape(rows * cols, 1, how.size, how.size)
            values = in_chunks(inputs, steps.add).numpy()
            if maps is None:
                maps = np.empty((values.shape[1], ny, nx), np.float32)
            maps[:, where[0], where[1]] = values.T.reshape(-1, rows, cols)
    assert maps is not None, "a scan has at least one pattern"
    if scan.missing is not None:
        maps[:, scan.missing] = np.nan  # zeros that were filled in are no counts
    return maps
