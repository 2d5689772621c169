"""Turning and mirroring a pattern about the undiffracted beam. Knows no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ferro4d.errors import LabelsError

Matrix = tuple[tuple[int, int], tuple[int, int]]
"""Where a point ``(ky, kx)`` about the centre goes: ky points down, kx right, as drawn."""

MATRICES: dict[str, Matrix] = {
    "identity": ((1, 0), (0, 1)),
    "rot90": ((0, -1), (1, 0)),
    "rot180": ((-1, 0), (0, -1)),
    "rot270": ((0, 1), (-1, 0)),
    "mirror-x": ((1, 0), (0, -1)),
    "mirror-y": ((-1, 0), (0, 1)),
    "mirror-diagonal": ((0, 1), (1, 0)),
    "mirror-antidiagonal": ((0, -1), (-1, 0)),
}
"""Turning is counterclockwise as drawn, so that rot90 takes right to up. mirror-x exchanges left
and right, mirror-y up and down, mirror-diagonal ky and kx."""

NAMES = {matrix: name for name, matrix in MATRICES.items()}


@dataclass(frozen=True)
class Operation:
    """A turn or a mirror of patterns, and what it makes of their classes.

    Parameters
    ----------
    name : str
        One of `MATRICES`.
    pairs : tuple
        Class before and class after, for every class, by the class before.
    """

    name: str
    pairs: tuple[tuple[int, int], ...]

    @property
    def becomes(self) -> dict[int, int]:
        """Class after, by class before."""
        return dict(self.pairs)

    @property
    def matrix(self) -> Matrix:
        """Where a point ``(ky, kx)`` about the centre goes."""
        return MATRICES[self.name]

    def after(self, first: Operation) -> Operation:
        """Return this operation done after another one."""
        product = np.array(self.matrix) @ np.array(first.matrix)
        (a, b), (c, d) = product.tolist()
        becomes = self.becomes
        pairs = tuple((before, becomes[after]) for before, after in first.pairs)
        return Operation(NAMES[((a, b), (c, d))], pairs)

    def turn(
        self, patterns: npt.NDArray[Any], centre: tuple[float, float] | None = None
    ) -> npt.NDArray[Any]:
        """Return patterns ``[..., ky, kx]`` turned or mirrored about the undiffracted beam.

        Parameters
        ----------
        patterns : ndarray
            ``[..., ky, kx]``.
        centre : tuple of float, optional
            The beam ``(ky, kx)`` in pixels; None is the middle of the pattern. It stays in its
            place to half a pixel: no count is interpolated. What comes in from outside is 0.

        Raises
        ------
        LabelsError
            If a pattern that is not square would be laid on its side.
        """
        ky, kx = patterns.shape[-2:]
        matrix = np.array(self.matrix)
        if matrix[0, 1] and ky != kx:
            raise LabelsError(
                f"{self.name} lays a pattern on its side, and {ky} x {kx} pixels then no longer "
                "fit the detector; turn patterns that are prepared as a square."
            )
        turned = patterns.swapaxes(-1, -2) if matrix[0, 1] else patterns
        turned = np.flip(turned, tuple(np.flatnonzero(matrix.sum(axis=1) < 0) - 2))
        if centre is None:
            return turned
        off = np.array(centre) - (np.array([ky, kx]) - 1) / 2
        return _moved(turned, np.rint(off - matrix @ off).astype(int).tolist())

    def __str__(self) -> str:
        return f"{self.name}: " + ", ".join(f"{a}->{b}" for a, b in self.pairs)


def _moved(patterns: npt.NDArray[Any], by: Sequence[int]) -> npt.NDArray[Any]:
    """Return patterns moved by whole pixels; 0 comes in."""
    result = np.zeros_like(patterns)
    into: list[slice] = []
    from_: list[slice] = []
    for length, step in zip(patterns.shape[-2:], by, strict=True):
        step = max(-length, min(length, step))
        into.append(slice(max(step, 0), length + min(step, 0)))
        from_.append(slice(max(-step, 0), length - max(step, 0)))
    result[..., into[0], into[1]] = patterns[..., from_[0], from_[1]]
    return result
