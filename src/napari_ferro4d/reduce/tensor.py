"""Reductions of patterns that lie in a torch tensor, on a GPU or wherever it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.io import Place, over_blocks
from napari_ferro4d.jobs import Report
from napari_ferro4d.scan import Scan

from .block_sums import reduce_block
from .engine import finished
from .reductions import Reduction
from .segments import Segments

if TYPE_CHECKING:
    import torch

__all__ = ["load_tensor", "reduce_tensor"]

_CHUNK_BYTES = 2**29
"""Patterns worked on at once, as float64; what is made of them is a few times as large."""


def load_tensor(
    scan: Scan, device: str | torch.device = "cuda", report: Report | None = None
) -> torch.Tensor:
    """Copy all patterns of a scan to a device, once, for `reduce_tensor` to use many times.

    Parameters
    ----------
    scan : Scan
        The scan; it must fit the device's memory.
    device : str or torch.device
        Where to.
    report : callable, optional
        Receives `Progress`, counted in probe positions; may raise `Cancelled`.

    Returns
    -------
    torch.Tensor
        ``[y, x, ky, kx]`` with the counts as they are.

    Raises
    ------
    ScanError
        If the device is not on this machine, the scan is larger than its free memory, or the scan
        cannot be read.
    """
    import torch

    where = torch.device(device)
    if where.type == "cuda" and (where.index or 0) >= torch.cuda.device_count():
        raise ScanError(f"device {device}: not on this machine; use 'cpu', or `reduce_scan`.")
    size = int(np.prod(scan.shape)) * scan.dtype.itemsize
    if where.type == "cuda" and size > torch.cuda.mem_get_info(where)[0]:
        raise ScanError(
            f"{scan.where()}: {size / 1e9:.1f} GB of patterns do not fit the memory of {where}; "
            "reduce the scan where it lies, with `reduce_scan`."
        )
    native = scan.dtype.newbyteorder("=")
    patterns = torch.empty(scan.shape, dtype=_torch_type(native), device=where)
    for place, block in over_blocks(scan, lambda block, place: block, report, "copying patterns"):
        # A mapped file is read-only, which torch warns of; it is only read from.
        patterns[place] = torch.from_numpy(np.array(block, native)).to(where)
    return patterns


def reduce_tensor(
    scan: Scan, patterns: torch.Tensor, reductions: Sequence[Reduction[Any]]
) -> list[Any]:
    """Run reductions over the patterns of a scan that lie in a tensor, on its device.

    Parameters
    ----------
    scan : Scan
        The scan that the reductions were made for.
    patterns : torch.Tensor
        Its patterns ``[y, x, ky, kx]``; see `load_tensor`.
    reductions : sequence of Reduction
        What to compute.

    Returns
    -------
    list
        As of `reduce_scan`: sums of integer counts are exact (every partial sum is an integer that
        a double holds), those of floats are added in another order.

    Raises
    ------
    ScanError
        If the tensor has another shape than the scan.
    """
    if tuple(patterns.shape) != scan.shape:
        raise ScanError(
            f"{scan.where()}: the tensor has shape {tuple(patterns.shape)}, the scan {scan.shape}."
        )
    wholes = [reduction.empty(scan.scan_shape) for reduction in reductions]
    ny, nx = scan.scan_shape
    row_bytes = max(1, patterns[0].numel() * 8)
    rows = max(1, _CHUNK_BYTES // row_bytes)
    for y in range(0, ny, rows):
        place = slice(y, min(y + rows, ny)), slice(0, nx)
        block = _summable(patterns[place[0]])
        for reduction, whole in zip(reductions, wholes, strict=True):
            reduction.merge(whole, _part(block, place, reduction), place)
    return finished(scan, reductions, wholes)


def _part(block: torch.Tensor, place: Place, reduction: Reduction[Any]) -> np.ndarray:
    """Return what one block gives for a reduction."""
    known, shape = reduction.known, (int(block.shape[0]), int(block.shape[1]))
    if known is None:
        return reduce_block(block.cpu().numpy(), place, [reduction])[0]
    part = reduction.empty(shape)
    arguments = known.arguments(part, place)
    detector = int(block.shape[2]), int(block.shape[3])
    if known.kind == "moment":
        first, last = arguments[:2]
        ky, kx = np.indices(detector)
        inside = (kx >= first[:, None]) & (kx < last[:, None])
        part[...] = _weighted(block, np.stack([inside, inside * ky, inside * kx]), inside)
    elif known.kind in ("masked", "weighted"):
        segments = Segments(*arguments[:2])
        for number in range(part.shape[-1]):
            weights = segments.mask(number, detector)
            if known.kind == "masked":
                weights = weights != 0
            part[..., number] = _weighted(block, weights[None], weights != 0)[..., 0]
    elif known.kind == "pooled":
        regions = arguments[0]
        for region in range(len(part)):
            chosen = np.argwhere(regions == region)
            if len(chosen):
                y, x = chosen.T
                part[region] = _numpy(block[y, x].sum(0, dtype=_wide(block)), part.dtype)
    elif known.kind == "largest":
        part[...] = _numpy(block.amax(dim=(0, 1)), part.dtype)
    else:
        part[...] = _numpy((block.double() ** 2).sum(dim=(0, 1)), part.dtype)
    return part


def _weighted(block: torch.Tensor, weights: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Return the sums ``[y, x, n]`` of counts times weights ``[n, ky, kx]``, where `there`."""
    import torch

    pixels = np.flatnonzero(there)
    factors = weights.reshape(len(weights), -1)[:, pixels].astype(np.float64).T
    flat = block.flatten(2)
    if len(pixels) < flat.shape[2]:
        flat = flat[..., torch.from_numpy(pixels).to(block.device)]
    sums = flat.double() @ torch.from_numpy(np.ascontiguousarray(factors)).to(block.device)
    return _numpy(sums, np.dtype(np.float64))


def _numpy(tensor: torch.Tensor, dtype: np.dtype[Any]) -> np.ndarray:
    return np.asarray(tensor.cpu().numpy()).astype(dtype)


def _torch_type(dtype: np.dtype[Any]) -> torch.dtype:
    import torch

    return torch.from_numpy(np.zeros(1, dtype)).dtype


def _summable(block: torch.Tensor) -> torch.Tensor:
    """Return counts in a type that torch can index and add."""
    import torch

    wider = {torch.uint16: torch.int32, torch.uint32: torch.int64, torch.uint64: torch.int64}
    return block.to(wider[block.dtype]) if block.dtype in wider else block


def _wide(block: torch.Tensor) -> torch.dtype:
    import torch

    return torch.float64 if block.is_floating_point() else torch.int64
