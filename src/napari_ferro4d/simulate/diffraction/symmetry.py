"""Mirrors and turns of patterns, and which beams they make of one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from napari_ferro4d.simulate.crystal import Array

TURNS: Mapping[str, tuple[tuple[int, int], tuple[int, int]]] = {
    "same": ((1, 0), (0, 1)),
    "left-right": ((1, 0), (0, -1)),
    "up-down": ((-1, 0), (0, 1)),
    "half turn": ((-1, 0), (0, -1)),
    "quarter turn": ((0, 1), (-1, 0)),  # clockwise as drawn: up becomes right
    "three-quarter turn": ((0, -1), (1, 0)),
    "diagonal": ((0, 1), (1, 0)),
}
"""Mirrors and turns of a pattern as matrices that act on ``(ky, kx)``."""


def turned_grid(array: Array, matrix: Array) -> Array:
    """Turn the last two axes ``(ky, kx)``, the grid being symmetric about zero."""
    if matrix[0, 0] == 0:
        array = np.swapaxes(array, -1, -2)
    signs = matrix.sum(axis=1)
    return array[..., :: int(signs[0]), :: int(signs[1])]


def find(g: Array, wanted: Array) -> Array:
    """Return for each vector of `wanted` its index in `g`, -1 where it is not."""
    distance = np.abs(wanted[:, None] - g[None]).max(axis=-1)
    nearest = distance.argmin(axis=1)
    return np.where(distance[np.arange(len(wanted)), nearest] < 1e-5, nearest, -1)


def copies(g: Array, symmetries: Sequence[str]) -> tuple[Array, list[Array]]:
    """Return for each beam the beam it is a copy of, and the matrix that makes it of that one."""
    group = [np.eye(2, dtype=int)]
    for name in symmetries:
        matrix = np.array(TURNS[name])
        group += [matrix @ one for one in group]
    original = np.full(len(g), -1)
    matrices = [group[0]] * len(g)
    for beam in range(len(g)):
        if original[beam] >= 0:
            continue
        for matrix in group:
            copy = int(find(g, g[beam : beam + 1] @ matrix.T)[0])
            if copy >= 0 and original[copy] < 0:
                original[copy], matrices[copy] = beam, matrix
    return original, matrices
