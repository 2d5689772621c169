"""How many detector pixels are saturated in every pattern, counted in a pass that others need."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.frames import counted
from napari_ferro4d.io import Place
from napari_ferro4d.jobs import Report
from napari_ferro4d.scan import Correction, Scan

from .com_maps import ComMaps, centre_for_com, centre_of_mass
from .detectors import Shape
from .engine import reduce_scan
from .flat_patterns import Patterns
from .reductions import Reduction, put
from .virtual_detector import VirtualImage, centre_for_detector, virtual_image

if TYPE_CHECKING:
    from distributed import Client

R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class Saturation:
    """Where a scan is saturated.

    Parameters
    ----------
    image : array
        float32 ``[y, x]``, number of saturated detector pixels; NaN where there is no pattern.
    limit : float
        The count from which on a pixel was taken to be saturated.
    """

    image: np.ndarray
    limit: float

    @property
    def patterns(self) -> int:
        """Number of patterns with a saturated pixel."""
        return int(np.count_nonzero(np.nan_to_num(self.image)))

    @property
    def pixels(self) -> int:
        """Number of saturated pixels in all patterns."""
        return int(np.nansum(self.image, dtype=np.float64))

    @property
    def total(self) -> int:
        """Number of patterns."""
        return int(np.count_nonzero(np.isfinite(self.image)))


def saturation_limit(scan: Scan) -> float:
    """Return the count from which on a detector pixel is saturated.

    What was given to `open_scan` wins; then the bits of the counter (Merlin: 1, 6, 12 or 24), if
    the file states them; then the largest number that the type of the counts holds.

    Raises
    ------
    ScanError
        If the counts are floats, and nothing says where the detector ends.

    Examples
    --------
    >>> saturation_limit(Scan.from_array(np.zeros((1, 1, 4, 4), np.uint16)))
    65535.0
    """
    if scan.correction is not None:
        return saturation_limit(scan.correction.raw)
    given = scan.source.hints.get("saturation") if scan.source else None
    if given is not None:
        return float(given)
    most = float(np.iinfo(scan.dtype).max) if scan.dtype.kind != "f" else math.inf
    bits = scan.metadata.get("bit_depth")
    if isinstance(bits, int) and 0 < bits <= 64:
        return min(most, 2.0**bits - 1)
    if math.isinf(most):
        raise ScanError(
            f"{scan.where()}: the counts are {scan.dtype}, and the file does not say from which "
            "count on the detector is saturated; give the saturation."
        )
    return most


def saturated(scan: Scan, limit: float | None = None) -> Reduction[Saturation]:
    """Count the saturated pixels of every pattern, as a reduction.

    Parameters
    ----------
    scan : Scan
        The scan as it was recorded; of one that was corrected only `flag_saturation` can tell.
    limit : float, optional
        The count from which on a pixel is saturated; by default that of `saturation_limit`.

    Raises
    ------
    ScanError
        If the scan was corrected, or nothing says where the detector ends.
    """
    if scan.correction is not None:
        raise ScanError(
            f"{scan.where()}: corrected counts do not tell which pixels are saturated; count them "
            "in the scan as it was recorded."
        )
    return _counting(scan, np.ones(scan.detector_shape, bool), limit)


def flag_saturation(
    scan: Scan,
    reduction: Reduction[R],
    report: Report | None = None,
    message: str = "reading patterns",
    client: Client | None = None,
) -> tuple[R, Saturation]:
    """Run a reduction, and count the saturated pixels of every pattern in the same pass.

    Of a corrected scan the patterns are read as they were recorded: pixels are counted in those
    that are neither cut off nor marked bad, and corrected for the reduction, a few at a time.

    Parameters
    ----------
    scan : Scan
        The scan.
    reduction : Reduction
        What else to compute, such as `centre_of_mass`.
    report : callable, optional
        Receives `Progress`; may raise `Cancelled`.
    message : str
        Said with the progress.
    client : distributed.Client, optional
        Run on this cluster; the scan must be a file on storage that all workers share.

    Returns
    -------
    tuple
        The result of the reduction, and the `Saturation`.

    Raises
    ------
    ScanError
        If nothing says where the detector ends, or a part of the file cannot be read.

    Examples
    --------
    >>> from napari_ferro4d.reduce import Disk, virtual_image
    >>> patterns = np.zeros((1, 2, 5, 5), np.uint8)
    >>> patterns[0, 1, 2] = 255
    >>> scan = Scan.from_array(patterns)
    >>> image, found = flag_saturation(scan, virtual_image(scan, Disk(1), centre=(2, 2)))
    >>> image.image.tolist(), found.image.tolist(), found.patterns
    ([[0.0, 765.0]], [[0.0, 5.0]], 1)
    """
    correction = scan.correction
    if correction is None:
        both: list[Reduction[Any]] = [reduction, saturated(scan)]
        result, found = reduce_scan(scan, both, report, message, client)
        return result, found
    both = [_on_corrected(reduction, correction), _counting(correction.raw, correction.used, None)]
    result, found = reduce_scan(correction.raw, both, report, message, client)
    return result, found


def com_flagged(
    scan: Scan,
    *,
    centre: tuple[float, float] | Literal["mean"] | None = None,
    mask_radius: float | None = None,
    report: Report | None = None,
    client: Client | None = None,
    **options: Any,
) -> tuple[ComMaps, Saturation]:
    """Return what `com` does, with its options, and where the scan is saturated, from one pass.

    Raises
    ------
    ScanError
        As `com` and `flag_saturation`.
    """
    beam = centre_for_com(scan, centre, mask_radius, report, client)
    reduction = centre_of_mass(scan, centre=beam, mask_radius=mask_radius, **options)
    return flag_saturation(scan, reduction, report, "centre of mass", client)


def virtual_flagged(
    scan: Scan,
    detector: Shape | np.ndarray,
    *,
    centre: tuple[float, float] | Literal["mean"] | None = None,
    report: Report | None = None,
    client: Client | None = None,
) -> tuple[VirtualImage, Saturation]:
    """Return what `virtual` does, and where the scan is saturated, from the same pass.

    All of the detector counts, not only the pixels of the virtual one.

    Raises
    ------
    ScanError
        As `virtual` and `flag_saturation`.
    """
    beam = centre_for_detector(scan, detector, centre, report, client)
    reduction = virtual_image(scan, detector, centre=beam)
    return flag_saturation(scan, reduction, report, "virtual image", client)


def _counting(scan: Scan, used: np.ndarray, limit: float | None) -> Reduction[Saturation]:
    """Count the saturated ones of the pixels `used`, bool ``[ky, kx]``: ``[y, x]``."""
    level = saturation_limit(scan) if limit is None else float(limit)
    kind = counted(scan.dtype)
    if not used.any():
        raise ScanError(
            f"{scan.where()}: every detector pixel that is kept is marked bad, so none is left to "
            "count saturated ones among; crop less."
        )
    rows, columns = np.flatnonzero(used.any(axis=1)), np.flatnonzero(used.any(axis=0))
    window = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    holes = np.argwhere(~used[window[0] : window[1], window[2] : window[3]])
    holes = (holes + np.array([window[0], window[2]])).astype(np.int64)
    # No count of a type reaches a level above its largest one. Compared as floats: the largest
    # number of 64 bits is none, and the level was rounded to the next.
    is_float = kind.kind == "f"
    most = float(np.finfo(kind).max) if is_float else int(np.iinfo(kind).max)
    never = level > float(most)
    lowest = 0 if never else level if is_float else min(math.ceil(level), int(most))
    least = np.full(1, lowest, kind)

    def add(patterns: Patterns, part: np.ndarray, place: Place) -> None:
        from .saturation_kernel import count_from

        if never:
            part[:] = 0
        else:
            count_from(patterns.flat, patterns.layout, patterns.swap, window, holes, least, part)

    def finish(counts: np.ndarray) -> Saturation:
        return Saturation(counts.astype(np.float32), level)

    return Reduction(empty=np.empty, add=add, merge=put, finish=finish, per_position=True)


def _on_corrected(reduction: Reduction[R], correction: Correction) -> Reduction[R]:
    """Return the reduction of a corrected scan as one of the scan as it was recorded."""
    apply = correction.apply

    def add(patterns: Patterns, part: np.ndarray, place: Place) -> None:
        reduction.add(Patterns.of(apply(_array(patterns))), part, place)

    return replace(reduction, add=add, fusible=None)


def _array(patterns: Patterns) -> np.ndarray:
    """Return patterns as an array ``[y, x, ky, kx]``, which shows the same memory."""
    ny, nx, nky, nkx, origin, down, right, row = patterns.layout
    flat = patterns.flat
    if patterns.swap:
        flat = flat.view(flat.dtype.newbyteorder())
    item = flat.dtype.itemsize
    return np.lib.stride_tricks.as_strided(
        flat[origin:],
        (ny, nx, nky, nkx),
        (down * item, right * item, row * item, item),
        writeable=False,
    )
