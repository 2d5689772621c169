"""Virtual images: the counts in a part of the detector, per probe position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Report
from napari_ferro4d.scan import Scan

from .detectors import Shape, detector_mask
from .engine import reduce_scan
from .mean_patterns import Centre, find_centre, known_centre, mean_pattern
from .reductions import Reduction, detector_sums, weighted_sum

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True, eq=False)
class VirtualImage:
    """A virtual image.

    Parameters
    ----------
    image : array
        float32 ``[y, x]``, counts.
    mask : array
        bool or float ``[ky, kx]``: the weight of every detector pixel.
    centre : tuple of float or None
        The beam centre used, ``(ky, kx)`` in detector pixels; None if the mask needed none.
    name : str
        Name of the map in a results folder.
    """

    image: np.ndarray
    mask: np.ndarray
    centre: tuple[float, float] | None
    name: str


def virtual(
    scan: Scan,
    detector: Shape | np.ndarray,
    *,
    centre: tuple[float, float] | Literal["mean"] | None = None,
    report: Report | None = None,
    client: Client | None = None,
    progressive: bool = False,
) -> VirtualImage:
    """Sum the counts on a virtual detector for every probe position.

    Parameters
    ----------
    scan : Scan
        The scan.
    detector : Disk, Annulus, Rectangle, Polygon or array
        In pixels about the beam centre, or weights ``[ky, kx]``. Bool weights sum integer counts
        exactly, and only the pixels that count are read.
    centre : tuple of float or "mean", optional
        Beam centre ``(ky, kx)`` in detector pixels; ``"mean"`` is the centre of mass of the mean
        pattern, which costs a pass of its own. By default the scan's own; where that is unknown,
        the mean pattern's.
    report : callable, optional
        Receives `Progress`; may raise `Cancelled`.
    client : distributed.Client, optional
        Run on this cluster; the scan must be a file on storage that all workers share.
    progressive : bool
        Report what is known so far, a `VirtualImage` with NaN elsewhere, as `Progress.partial`;
        see `reduce_scan`.

    Returns
    -------
    VirtualImage
        The image, with the mask it was made with.

    Raises
    ------
    ScanError
        If the mask has another shape than the detector, or no pixel counts.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_ferro4d.reduce import Disk
    >>> from napari_ferro4d.scan import Scan
    >>> scan = Scan.from_array(np.ones((1, 2, 5, 5), np.uint8))
    >>> virtual(scan, Disk(1), centre=(2, 2)).image.tolist()
    [[5.0, 5.0]]
    """
    beam = centre_for_detector(scan, detector, centre, report, client)
    reduction = virtual_image(scan, detector, centre=beam)
    (image,) = reduce_scan(
        scan, [reduction], report, "virtual image", client, progressive=progressive
    )
    return cast("VirtualImage", image)


def centre_for_detector(
    scan: Scan,
    detector: Shape | np.ndarray,
    centre: Centre,
    report: Report | None,
    client: Client | None,
) -> tuple[float, float] | None:
    """Return the beam centre, or None for an image, which needs none."""
    if not isinstance(detector, Shape):
        return None
    return known_centre(scan, centre) or find_centre(
        mean_pattern(scan, report=report, client=client)
    )


def virtual_image(
    scan: Scan,
    detector: Shape | np.ndarray,
    *,
    centre: tuple[float, float] | None = None,
) -> Reduction[VirtualImage]:
    """Return `virtual` as a reduction, to share a pass with others.

    Parameters
    ----------
    scan, detector, centre
        As for `virtual`; a shape needs the centre.

    Raises
    ------
    ScanError
        If the mask has another shape than the detector, no pixel counts, or a centre is missing.
    """
    shaped = isinstance(detector, Shape)
    beam = centre or scan.centre if shaped else None
    mask = detector_mask(detector, scan.detector_shape, beam, scan.where())
    if mask.dtype.kind == "b":
        return detector_sums(scan, [mask], lambda sums: _image(sums[..., 0], mask, beam, detector))
    return weighted_sum(scan, mask, lambda sums: _image(sums, mask, beam, detector))


def virtual_images(
    scan: Scan,
    detectors: Sequence[Shape | np.ndarray],
    centres: Sequence[tuple[float, float] | None],
) -> Reduction[list[VirtualImage]]:
    """Return many virtual images as one reduction, which is faster than as many reductions.

    Parameters
    ----------
    scan : Scan
        The scan.
    detectors : sequence of Disk, Annulus, Rectangle, Polygon or array
        Masks of an image count or not: weights are not possible here.
    centres : sequence of tuple of float
        The centre of each detector; None where it is a mask.

    Raises
    ------
    ScanError
        As for `virtual_image`, and for weights.
    """
    masks = []
    for detector, centre in zip(detectors, centres, strict=True):
        mask = detector_mask(detector, scan.detector_shape, centre, scan.where())
        if mask.dtype.kind != "b":
            raise ScanError(f"{scan.where()}: weights need a virtual image of their own.")
        masks.append(mask)

    def finish(sums: np.ndarray) -> list[VirtualImage]:
        return [
            _image(sums[..., n], masks[n], centres[n], detector)
            for n, detector in enumerate(detectors)
        ]

    return detector_sums(scan, masks, finish)


def _image(
    sums: np.ndarray,
    mask: np.ndarray,
    centre: tuple[float, float] | None,
    detector: Shape | np.ndarray,
) -> VirtualImage:
    name = detector.name if isinstance(detector, Shape) else "virtual_mask"
    return VirtualImage(sums.astype(np.float32), mask, centre, name)
