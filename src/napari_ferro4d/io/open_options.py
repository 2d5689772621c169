"""What can be said about a scan file: how the beam went, how the bytes lie, what to correct."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

Incomplete = Literal["error", "pad", "trim"]
Crop = tuple[tuple[int | None, int | None], tuple[int | None, int | None]]


@dataclass(frozen=True)
class OpenOptions:
    """All that `open_scan` can be told, which explains each; None and 0 are "as the file says"."""

    format: str | None = None  # one of `napari_ferro4d.open.FORMATS`
    scan_shape: tuple[int, int] | None = None  # probe positions (y, x)
    scan_step: float | tuple[float, float] | None = None  # nm, of both directions or of (y, x)
    k_step: float | tuple[float, float] | None = None  # 1/angstrom, a detector pixel
    centre: tuple[float, float] | None = None  # detector pixels (ky, kx)
    first_frame: int = 0  # patterns before the scan
    flyback: int = 0  # patterns after each row
    snake: bool = False  # every second row runs from right to left
    incomplete: Incomplete = "error"  # refuse, fill with zeros, or leave rows out
    dtype: str | None = None  # as numpy spells it (">u2"), in a file without a header
    detector_shape: tuple[int, int] | None = None  # pixels (ky, kx), without a header
    offset: int = 0  # bytes before the first pattern, without a header
    gap: int = 0  # bytes between two patterns, without a header
    dark: str | os.PathLike[str] | None = None  # image, counts
    gain: str | os.PathLike[str] | None = None  # image, a factor
    bad_pixels: str | os.PathLike[str] | None = None  # image, "ky,kx;ky,kx" or "auto"
    crop: Crop | None = None  # detector pixels ((ky0, ky1), (kx0, kx1))
    bin: int = 1  # detector pixels, in each direction
    saturation: float | None = None  # counts

    def given(self) -> dict[str, Any]:
        """Return what is not as by default, as values that can be looked up.

        Workers of a cluster keep open what they opened, and find it again by these.
        """
        plain = {
            name: tuple(value) if isinstance(value, list | np.ndarray) else value
            for name, value in vars(self).items()
        }
        default = vars(OpenOptions())
        return {name: value for name, value in plain.items() if value != default[name]}

    def uncorrected(self) -> OpenOptions:
        """Return the same without corrections: what opens the counts as they were recorded."""
        return replace(self, dark=None, gain=None, bad_pixels=None, crop=None, bin=1)
