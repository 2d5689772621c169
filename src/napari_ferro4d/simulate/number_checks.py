"""Numbers as users give them: what can be used, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_ferro4d.errors import ScanError

Array = np.ndarray[Any, np.dtype[Any]]


def positive(name: str, value: object) -> float:
    """Return a number that has to be positive and finite."""
    if isinstance(value, int | float | np.integer | np.floating) and 0 < value < np.inf:
        return float(value)
    raise ScanError(f"{name}: must be a positive number, not {value!r}.")


def numbers(value: object) -> Array | None:
    """Return finite real numbers as an array, or None if they are none."""
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        return None
    return array.astype(float)
