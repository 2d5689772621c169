"""Axes as files state them: scale, offset and unit, to steps, a centre and the order of axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .stored import Step, pair, positive
from .units import is_of_detector, length_in_nm, reciprocal_in_inverse_angstrom


@dataclass(frozen=True)
class Axis:
    """One axis of an array: value = offset + scale * index, in `unit`; a scale of 0 is unknown."""

    scale: float = 0.0
    offset: float = 0.0
    unit: str = ""

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any]) -> Axis:
        """Read the attributes ``scale``, ``offset`` and ``units``, as HyperSpy writes them."""
        return cls(
            _number(attributes.get("scale")),
            _number(attributes.get("offset")),
            str(attributes.get("units") or ""),
        )


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


def steps(axes: Sequence[Axis]) -> tuple[Step, Step]:
    """Turn the axes into the scan step (nm) and the size of a detector pixel (1/angstrom)."""
    scan = [_step(axis, length_in_nm(axis.unit)) for axis in axes[:-2]]
    detector = [_step(axis, reciprocal_in_inverse_angstrom(axis.unit)) for axis in axes[-2:]]
    return pair(scan), pair(detector)


def _step(axis: Axis, factor: float | None) -> float | None:
    return None if factor is None else positive(abs(axis.scale) * factor)


def centre_of(axes: Sequence[Axis]) -> tuple[float, float] | None:
    """Return the centre ``(ky, kx)`` in pixels where the values of both detector axes are zero.

    An offset of zero says nothing: it is what is written when nobody knows.
    """
    ky, kx = (
        -axis.offset / axis.scale
        if axis.scale and math.isfinite(axis.scale) and math.isfinite(axis.offset)
        else 0.0
        for axis in axes[-2:]
    )
    return (ky, kx) if ky > 0 and kx > 0 else None


@dataclass(frozen=True)
class Transposed:
    """An array with its axes in another order, read when asked for."""

    array: Any
    order: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in the new order."""
        return tuple(int(self.array.shape[axis]) for axis in self.order)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.order)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        stored: np.dtype[Any] = np.dtype(self.array.dtype)
        return stored

    def __getitem__(self, where: Any) -> np.ndarray:
        given = where if isinstance(where, tuple) else (where,)
        parts = (*given, *[slice(None)] * (self.ndim - len(given)))
        stored: dict[int, Any] = dict(zip(self.order, parts, strict=True))
        values = np.asarray(self.array[tuple(stored[axis] for axis in range(self.ndim))])
        # An axis of which one position was asked for is gone.
        kept = [axis for axis in self.order if not isinstance(stored[axis], int | np.integer)]
        return values.transpose([sorted(kept).index(axis) for axis in kept])


def arranged(array: Any, axes: Sequence[Axis], *, reverse: bool = False) -> tuple[Any, list[Axis]]:
    """Put the detector axes last, where the units say that they are not.

    Parameters
    ----------
    array : array
        As stored.
    axes : sequence of Axis
        Of every axis of `array`.
    reverse : bool
        The file counts axes the other way round, so that ``x`` comes before ``y``.

    Returns
    -------
    tuple
        The array, untouched or `Transposed`, and its axes.
    """
    detector = [n for n, axis in enumerate(axes) if is_of_detector(axis.unit)]
    scan = [n for n in range(len(axes)) if n not in detector]
    if len(scan) != 2 or len(detector) != 2 or detector == [2, 3]:
        return array, list(axes)
    step = -1 if reverse else 1
    order = (*scan[::step], *detector[::step])
    return Transposed(array, order), [axes[axis] for axis in order]
