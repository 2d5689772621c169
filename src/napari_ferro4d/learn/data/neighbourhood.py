"""Patterns reduced over neighbouring probe positions, lazily. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ferro4d.errors import ScanError
from napari_ferro4d.scan import Scan


@dataclass(frozen=True)
class Neighbourhood:
    """The square of probe positions whose patterns count as one.

    Parameters
    ----------
    radius : int
        0 takes a pattern alone, 1 the 3 x 3 around it.
    reduce : str
        ``"mean"`` or ``"max"``, pixel by pixel. At the border of the scan, and beside positions
        that the file lacks, only the positions that exist count.
    """

    radius: int = 0
    reduce: str = "mean"

    def __post_init__(self) -> None:
        if self.radius < 0:
            raise ScanError(
                f"a neighbourhood of {self.radius} positions is none; ask for 0 or more."
            )
        if self.reduce not in ("mean", "max"):
            raise ScanError(f"a neighbourhood is reduced by mean or max, not by {self.reduce!r}.")

    def to_json(self) -> dict[str, Any]:
        """Return the parameters as JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, header: Mapping[str, Any]) -> Neighbourhood:
        """Read what `to_json` wrote."""
        return cls(int(header["radius"]), str(header["reduce"]))

    def of(self, scan: Scan) -> Scan:
        """Return the scan with every pattern replaced by that of its neighbourhood, lazily."""
        if self.radius == 0:
            return scan
        import dask.array as da

        depth = {0: self.radius, 1: self.radius, 2: 0, 3: 0}
        there = np.ones(scan.scan_shape, np.float32)
        if scan.missing is not None:
            there[scan.missing] = 0
        chunks = (*scan.data.chunks[:2], (1,), (1,))
        weights = da.from_array(there[:, :, None, None], chunks=chunks)
        wide = [
            da.overlap.overlap(array, depth=depth, boundary="none")
            for array in (scan.data, weights)
        ]
        reduced = da.map_blocks(self.reduce_block, *wide, dtype=np.float32, chunks=wide[0].chunks)
        data = da.overlap.trim_internal(reduced, depth, boundary="none")
        # `frames` would map the file itself, past the reduction.
        return replace(scan, data=data, frames=None)

    def reduce_block(
        self, block: npt.NDArray[Any], there: npt.NDArray[np.float32] | None = None
    ) -> npt.NDArray[np.float32]:
        """Reduce every position of a block ``[y, x, ky, kx]`` over its neighbours in the block.

        `there` is 1 where the file has a pattern and 0 where it lacks one, ``[y, x, 1, 1]``.
        """
        result = block.astype(np.float32)
        counts = np.ones((*block.shape[:2], 1, 1), np.float32) if there is None else there
        join = np.add if self.reduce == "mean" else np.maximum
        for axis in (0, 1):
            result, counts = (
                _joined(result, axis, self.radius, join),
                _joined(counts, axis, self.radius, np.add),
            )
        if self.reduce == "mean":
            result /= np.maximum(counts, 1)
        return result


def _joined(
    values: npt.NDArray[np.float32], axis: int, radius: int, join: np.ufunc
) -> npt.NDArray[np.float32]:
    """Join every element with its neighbours up to `radius` away along `axis`."""
    result = values.copy()
    for distance in range(1, min(radius, values.shape[axis] - 1) + 1):
        near = [slice(None)] * values.ndim
        far = [slice(None)] * values.ndim
        near[axis], far[axis] = slice(None, -distance), slice(distance, None)
        for here, there in ((tuple(near), tuple(far)), (tuple(far), tuple(near))):
            join(result[here], values[there], out=result[here])
    return result
