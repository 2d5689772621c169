"""Electron scattering factors of atoms."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np

from napari_ferro4d.errors import ScanError

from .crystal import Array


@cache
def _kirkland() -> dict[str, Array]:
    """Return the parameters ``[a b c d, 3]`` of every element; see the head of the file read."""
    text = files("napari_ferro4d.simulate.crystal").joinpath("kirkland.txt").read_text("utf-8")
    rows = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return {element: np.array(numbers, dtype=float).reshape(4, 3) for element, *numbers in rows}


def scattering_factor(element: str, g: Array) -> Array:
    """Return the electron scattering factor of a resting atom in angstrom, without relativity.

    Parameters
    ----------
    element : str
        Chemical symbol, hydrogen to lawrencium.
    g : ndarray
        ``1/d`` in 1/angstrom, any shape.

    Raises
    ------
    ScanError
        If there is no such element in the table.

    References
    ----------
    E. J. Kirkland, Advanced Computing in Electron Microscopy, 2nd ed. (2010), appendix C.
    """
    if element not in _kirkland():
        raise ScanError(f"{element!r} is not an element with a known scattering factor (H to Lr).")
    a, b, c, d = _kirkland()[element]
    q2 = np.asarray(g, dtype=float)[..., None] ** 2
    return np.asarray((a / (q2 + b) + c * np.exp(-d * q2)).sum(axis=-1))
