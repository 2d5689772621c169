"""Counts to network input: crop or pad about the beam, bin, log(1 + counts). Knows no torch.

The parameters belong to the model and are stored in its header, so that training and every later
use of the model see the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ferro4d.corrections import sum_squares
from napari_ferro4d.errors import ModelError, ScanError
from napari_ferro4d.learn.model_files import Model
from napari_ferro4d.scan import Scan


@dataclass(frozen=True)
class Preprocess:
    """How a pattern becomes a square network input.

    Parameters
    ----------
    detector : tuple of int
        Shape ``(ky, kx)`` of the patterns.
    binning : int
        Detector pixels per input pixel, in both directions; their counts are summed.
    size : int
        Side of the square input, in input pixels.
    """

    detector: tuple[int, int]
    binning: int
    size: int

    def to_json(self) -> dict[str, Any]:
        """Return the parameters as JSON types, with what is the same for all of them."""
        return {**asdict(self), "detector": list(self.detector), "values": "log(1 + counts)"}

    @classmethod
    def from_json(cls, header: Mapping[str, Any]) -> Preprocess:
        """Read what `to_json` wrote."""
        ky, kx = (int(n) for n in header["detector"])
        return cls((ky, kx), int(header["binning"]), int(header["size"]))

    def beam(self, centre: tuple[float, float] | None = None) -> tuple[float, float]:
        """Return where the undiffracted beam is in the input ``(ky, kx)``, in input pixels.

        `centre` is where it is on the detector; None is the middle of that.

        Examples
        --------
        >>> Preprocess((256, 256), 2, 128).beam(), Preprocess((60, 64), 1, 64).beam((30.0, 30.0))
        ((63.5, 63.5), (32.0, 30.0))
        """
        side = self.size * self.binning
        beam = [
            (middle - first_pixel(length, side, middle) - (self.binning - 1) / 2) / self.binning
            for length, middle in zip(
                self.detector, centre or [(n - 1) / 2 for n in self.detector], strict=True
            )
        ]
        return beam[0], beam[1]


def fit_preprocess(detector: tuple[int, int], size: int) -> Preprocess:
    """Choose the binning that brings a detector closest to a square of `size` pixels.

    The longer side decides; what is then too large is cropped about the beam, what is too small
    is padded with zero counts. No count is ever invented or interpolated.

    Examples
    --------
    >>> fit_preprocess((512, 512), 256).binning, fit_preprocess((300, 300), 256).binning
    (2, 1)
    """
    return Preprocess(detector, max(1, round(max(detector) / size)), size)


def compact_size(detector: tuple[int, int]) -> int:
    """Return the side of a compact network's input: 16, 32, 48 or 64.

    At least two by two pixels are binned where 32 remain: the logarithm of few counts is mostly
    noise, and what tells domains apart is the intensity of whole discs.
    """
    return min(64, max(min(32, _sixteens(max(detector))), _sixteens(max(detector) // 2)))


def _sixteens(length: int) -> int:
    return 16 * -(-length // 16)


def prepare(
    patterns: npt.NDArray[Any],
    how: Preprocess,
    centre: tuple[float, float] | None = None,
    where: str = "the scan",
) -> npt.NDArray[np.float32]:
    """Turn patterns into network input: log(1 + counts) of what `count_patterns` returns.

    Raises
    ------
    ScanError
        If a count is negative, infinite or not a number.
    """
    counts = count_patterns(patterns, how, centre, where)
    return np.log1p(counts, out=counts)


def count_patterns(
    patterns: npt.NDArray[Any],
    how: Preprocess,
    centre: tuple[float, float] | None = None,
    where: str = "the scan",
) -> npt.NDArray[np.float32]:
    """Crop or pad patterns about the beam, and bin them.

    Parameters
    ----------
    patterns : ndarray
        Counts ``[..., ky, kx]``.
    how : Preprocess
        Binning and size.
    centre : tuple of float, optional
        Undiffracted beam ``(ky, kx)`` in detector pixels, about which to crop; None is the middle
        of the detector.
    where : str
        Name of the scan, for the error message.

    Returns
    -------
    ndarray
        ``[..., size, size]`` float32, a copy.

    Raises
    ------
    ScanError
        If a count is negative, infinite or not a number.
    """
    _check_counts(patterns, where)
    side = how.size * how.binning
    for axis, (length, middle) in enumerate(
        zip(how.detector, centre or (None, None), strict=True), start=-2
    ):
        patterns = _window(patterns, axis, side, first_pixel(length, side, middle))
    if how.binning == 1:
        return patterns.astype(np.float32)
    return sum_squares(patterns, how.binning)


def preprocess_of(model: Model, kind: str, scan: Scan) -> Preprocess:
    """Return the preprocessing of a model, checked against a scan.

    Raises
    ------
    ModelError
        If the model is of another kind, for another detector, or its header is incomplete.
    """
    if model.kind != kind:
        raise ModelError(f"the model is of kind {model.kind!r}, not {kind!r}; load or train one.")
    try:
        how = Preprocess.from_json(model.header["preprocess"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"the model's header does not tell how to prepare patterns ({error!r}); train it again."
        ) from error
    if how.detector != scan.detector_shape:
        (ky, kx), (sy, sx) = how.detector, scan.detector_shape
        raise ModelError(
            f"{scan.where()}: the detector has {sy} x {sx} pixels, but the model was trained for "
            f"{ky} x {kx}; train a model on this scan, or bin the scan alike."
        )
    return how


def _check_counts(patterns: npt.NDArray[Any], where: str) -> None:
    if patterns.dtype.kind == "u" or patterns.size == 0:
        return
    # One pass each and no temporary mask: a NaN or an infinity shows in the minimum or maximum.
    low, high = patterns.min(), patterns.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ScanError(
            f"{where}: some counts are not finite (NaN or infinity); replace these pixels, "
            "for example by 0, before learning."
        )
    if low < 0:
        raise ScanError(
            f"{where}: some counts are negative (lowest {low:g}); learning takes counts of 0 or "
            "more. Undo the background subtraction or set these pixels to 0."
        )


def first_pixel(length: int, side: int, middle: float | None) -> int:
    """Return where a window of `side` begins on an axis of `length`; negative where it pads.

    A window that fits on the detector is put about the beam and pushed back inside; one that is
    larger than the detector holds all of it in its middle.
    """
    if side >= length:
        return -((side - length) // 2)
    wanted = round((middle if middle is not None else (length - 1) / 2) - (side - 1) / 2)
    return min(max(wanted, 0), length - side)


def _window(patterns: npt.NDArray[Any], axis: int, side: int, first: int) -> npt.NDArray[Any]:
    length = patterns.shape[axis]
    if first >= 0 and side <= length:
        inside = [slice(None)] * patterns.ndim
        inside[axis] = slice(first, first + side)
        return patterns[tuple(inside)]
    before = -first
    widths = [(0, 0)] * patterns.ndim
    widths[axis] = (before, side - length - before)
    return np.pad(patterns, widths)
