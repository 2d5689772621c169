"""Centre of mass of every pattern: where the beam went."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Report
from napari_ferro4d.scan import Scan

from .detectors import Disk
from .engine import reduce_scan
from .mean_patterns import Centre, find_centre, known_centre, mean_pattern
from .reductions import Reduction, cleaned_moments, moments

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True, eq=False)
class ComMaps:
    """Centre-of-mass maps.

    Parameters
    ----------
    com_y, com_x : array
        float32 ``[y, x]``, pixels from the beam centre, positive down and right; NaN where a
        pattern holds no counts.
    magnitude : array
        float32 ``[y, x]``, pixels.
    sum : array
        float32 ``[y, x]``, counts inside the mask.
    centre : tuple of float
        The beam centre used, ``(ky, kx)`` in detector pixels.
    rotation : float
        Angle in degrees by which the field was turned; see `com`.
    """

    com_y: np.ndarray
    com_x: np.ndarray
    magnitude: np.ndarray
    sum: np.ndarray
    centre: tuple[float, float]
    rotation: float


def com(
    scan: Scan,
    *,
    centre: tuple[float, float] | Literal["mean"] | None = None,
    mask_radius: float | None = None,
    mask: np.ndarray | None = None,
    background: float | np.ndarray = 0.0,
    threshold: float | None = None,
    descan: Literal["none", "plane", "robust"] = "none",
    rotation: float | Literal["auto"] = 0.0,
    report: Report | None = None,
    client: Client | None = None,
    progressive: bool = False,
) -> ComMaps:
    """Map the centre of mass of every pattern, in one pass over the scan.

    Parameters
    ----------
    scan : Scan
        The scan.
    centre : tuple of float or "mean", optional
        Beam centre ``(ky, kx)`` in detector pixels; ``"mean"`` is the centre of mass of the mean
        pattern. By default the scan's own; where that is unknown, the mean pattern's.
    mask_radius : float, optional
        Only counts within this radius (pixels) of the centre; all of them by default. An unknown
        centre then costs a pass of its own.
    mask : array, optional
        ``[ky, kx]``: which detector pixels count, or with which weights; within `mask_radius`, if
        that is given too.
    background : float or array
        Counts to subtract from every pixel, or an image ``[ky, kx]`` of them.
    threshold : float, optional
        Leave out pixels with fewer counts than this, the background subtracted.
    descan : {"none", "plane", "robust"}
        Remove the shift of the whole pattern that imperfect descanning causes: nothing, the plane
        of least squares, or a plane from differences between probe positions of one domain, which
        the steps at domain walls do not tilt.
    rotation : float or "auto"
        Turn the field by this angle, in degrees counter-clockwise as drawn, from detector to scan
        axes; ``"auto"`` takes the angle of least curl.
    report : callable, optional
        Receives `Progress`; may raise `Cancelled`.
    client : distributed.Client, optional
        Run on this cluster; the scan must be a file on storage that all workers share.
    progressive : bool
        Go over the scan coarsely first, and report the maps so far; see `reduce_scan`.

    Returns
    -------
    ComMaps
        Maps in pixels.

    Raises
    ------
    ScanError
        If the centre or the mask lies outside the detector, or an option is unknown.

    References
    ----------
    Ludacka et al., npj Comput. Mater. 10, 106 (2024), Fig. 2.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_ferro4d.scan import Scan
    >>> patterns = np.zeros((1, 2, 5, 5), np.uint8)
    >>> patterns[0, 0, 2, 2] = patterns[0, 1, 3, 4] = 1
    >>> maps = com(Scan.from_array(patterns), centre=(2, 2))
    >>> maps.com_y.tolist(), maps.com_x.tolist()
    ([[0.0, 1.0]], [[0.0, 2.0]])
    """
    beam = centre_for_com(scan, centre, mask_radius, report, client)
    reduction = centre_of_mass(
        scan,
        centre=beam,
        mask_radius=mask_radius,
        mask=mask,
        background=background,
        threshold=threshold,
        descan=descan,
        rotation=rotation,
    )
    (maps,) = reduce_scan(
        scan, [reduction], report, "centre of mass", client, progressive=progressive
    )
    return cast("ComMaps", maps)


def centre_for_com(
    scan: Scan,
    centre: Centre,
    mask_radius: float | None,
    report: Report | None,
    client: Client | None,
) -> tuple[float, float] | None:
    """Return the beam centre, if `centre_of_mass` needs it or it is known."""
    beam = known_centre(scan, centre)
    if beam is None and mask_radius is not None:
        beam = find_centre(mean_pattern(scan, report=report, client=client), mask_radius)
    return beam


def centre_of_mass(
    scan: Scan,
    *,
    centre: tuple[float, float] | None = None,
    mask_radius: float | None = None,
    mask: np.ndarray | None = None,
    background: float | np.ndarray = 0.0,
    threshold: float | None = None,
    descan: Literal["none", "plane", "robust"] = "none",
    rotation: float | Literal["auto"] = 0.0,
) -> Reduction[ComMaps]:
    """Return `com` as a reduction, to share a pass with others; parameters are the same.

    With a mask, the centre has to be known. Without one it may be None: it is then that of the
    mean pattern, which the same pass gives.

    Raises
    ------
    ScanError
        If the centre or the mask lies outside the detector, or an option is unknown.
    """
    _check(scan, centre, mask_radius, descan, rotation)
    first, last = _spans(scan, centre, mask_radius)

    def finish(sums: np.ndarray) -> ComMaps:
        return _maps(scan, sums, centre or _overall_centre(scan, sums), descan, rotation)

    if mask is None and threshold is None and np.ndim(background) == 0 and background == 0:
        return moments(scan, first, last, finish)
    weights, under, least = _cleaning(scan, mask, background, threshold)
    columns = np.arange(scan.detector_shape[1])
    weights = np.where((columns >= first[:, None]) & (columns < last[:, None]), weights, 0.0)
    if not weights.any():
        raise ScanError(f"{scan.where()}: the mask leaves no detector pixel.")
    return cleaned_moments(scan, weights, under, least, finish)


def _cleaning(
    scan: Scan, mask: np.ndarray | None, background: float | np.ndarray, threshold: float | None
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return weights and background ``[ky, kx]``, and the least count, after a check of them."""
    images = []
    for name, image in (("mask", True if mask is None else mask), ("background", background)):
        array = np.asarray(image)
        if array.ndim and array.shape != scan.detector_shape:
            raise ScanError(
                f"{scan.where()}: the {name} has shape {array.shape}, but the detector has "
                f"{scan.detector_shape[0]} x {scan.detector_shape[1]} pixels."
            )
        if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
            raise ScanError(f"{scan.where()}: the {name} holds something that is no finite number.")
        images.append(np.broadcast_to(array.astype(np.float64), scan.detector_shape))
    if images[0].min() < 0:
        raise ScanError(f"{scan.where()}: the mask holds negative weights.")
    if threshold is not None and not math.isfinite(threshold):
        raise ScanError(f"{scan.where()}: the threshold is a number of counts, not {threshold}.")
    return images[0], images[1], -math.inf if threshold is None else float(threshold)


def _maps(
    scan: Scan,
    sums: np.ndarray,
    beam: tuple[float, float],
    descan: str,
    rotation: float | Literal["auto"],
) -> ComMaps:
    total = sums[..., 0]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        counts = total.astype(np.float32)
        means = (sums[..., i] / total for i in (1, 2))
        com_y, com_x = (
            np.where((total > 0) & np.isfinite(mean), mean, np.nan) - middle
            for mean, middle in zip(means, beam, strict=True)
        )
    if descan != "none":
        com_y, com_x = (
            field - _plane(field, robust=descan == "robust") for field in (com_y, com_x)
        )
    angle = _least_curl(scan, com_y, com_x) if rotation == "auto" else float(rotation)
    com_y, com_x = rotate(com_y, com_x, angle)
    return ComMaps(
        com_y=com_y.astype(np.float32),
        com_x=com_x.astype(np.float32),
        magnitude=np.hypot(com_y, com_x).astype(np.float32),
        sum=counts,
        centre=beam,
        rotation=angle,
    )


def _check(
    scan: Scan,
    centre: tuple[float, float] | None,
    mask_radius: float | None,
    descan: str,
    rotation: float | str,
) -> None:
    ky, kx = scan.detector_shape
    if centre is not None and not (-0.5 <= centre[0] < ky and -0.5 <= centre[1] < kx):
        raise ScanError(
            f"{scan.where()}: the beam centre ({centre[0]:g}, {centre[1]:g}) lies outside the "
            f"detector of {ky} x {kx} pixels."
        )
    if mask_radius is not None and not 0 < mask_radius < math.inf:
        raise ScanError(f"{scan.where()}: the mask radius must be positive, not {mask_radius}.")
    if descan not in ("none", "plane", "robust"):
        raise ScanError(f"{scan.where()}: descan is none, plane or robust, not {descan!r}.")
    if rotation != "auto" and not (isinstance(rotation, int | float) and math.isfinite(rotation)):
        raise ScanError(f"{scan.where()}: the rotation is an angle or 'auto', not {rotation!r}.")


def _spans(
    scan: Scan, beam: tuple[float, float] | None, radius: float | None
) -> tuple[np.ndarray, np.ndarray]:
    # A disk is convex: on every detector row one span of columns lies inside.
    ky, kx = scan.detector_shape
    if radius is None:
        return np.zeros(ky, np.int64), np.full(ky, kx, np.int64)
    if beam is None:
        raise ScanError(f"{scan.where()}: a mask needs the beam centre.")
    mask = Disk(radius).mask((ky, kx), beam)
    inside = mask.any(axis=1)
    if not inside.any():
        raise ScanError(
            f"{scan.where()}: no detector pixel lies within {radius:g} pixels of the beam centre."
        )
    first = np.where(inside, mask.argmax(axis=1), 0)
    last = np.where(inside, kx - mask[:, ::-1].argmax(axis=1), 0)
    return first.astype(np.int64), last.astype(np.int64)


def _overall_centre(scan: Scan, sums: np.ndarray) -> tuple[float, float]:
    # The centre of mass of the mean pattern, from the moments already summed.
    finite = sums[np.isfinite(sums).all(axis=-1)]
    with np.errstate(over="ignore"):
        total, down, right = (float(finite[:, i].sum()) for i in range(3))
    if not 0 < total < math.inf:
        return ((scan.shape[2] - 1) / 2, (scan.shape[3] - 1) / 2)
    return down / total, right / total


def _plane(field: np.ndarray, *, robust: bool) -> np.ndarray:
    y, x = np.indices(field.shape, dtype=float)
    known = np.isfinite(field)
    if not known.any():
        return np.zeros_like(field)
    if robust:
        plane = _gradient(field, 0) * y + _gradient(field, 1) * x
        return np.asarray(plane + np.nanmedian(field - plane))
    design = np.column_stack([np.ones(known.sum()), y[known], x[known]])
    plane, *_ = np.linalg.lstsq(design, field[known], rcond=None)
    return np.asarray(plane[0] + plane[1] * y + plane[2] * x)


def _gradient(field: np.ndarray, axis: int) -> float:
    # Differences over an eighth of the scan: most pairs lie in one domain, where the plane is all
    # that differs; the pairs that straddle a wall are outliers, and are left out.
    lag = max(1, field.shape[axis] // 8)
    ahead = np.moveaxis(field, axis, 0)
    differences = (ahead[lag:] - ahead[:-lag]).ravel()
    differences = differences[np.isfinite(differences)]
    if differences.size == 0:
        return 0.0
    middle = np.median(differences)
    spread = 1.4826 * np.median(np.abs(differences - middle))
    near = differences[np.abs(differences - middle) <= 3 * spread + 1e-9]
    return float(near.mean() / lag)


def rotate(com_y: np.ndarray, com_x: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Turn a vector field by an angle, counter-clockwise as drawn (y points down).

    >>> y, x = rotate(np.array(0.0), np.array(1.0), 90)
    >>> round(float(y), 6), round(float(x), 6)
    (-1.0, 0.0)
    """
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return cos * com_y - sin * com_x, sin * com_y + cos * com_x


def _least_curl(scan: Scan, com_y: np.ndarray, com_x: np.ndarray) -> float:
    # Angles are between true directions, so pixels that are not square count in their lengths.
    ky, kx = scan.k_step or (1.0, 1.0)
    return rotation_of_least_curl(com_y * (ky / kx), com_x, scan.scan_step or (1.0, 1.0))


def rotation_of_least_curl(
    com_y: np.ndarray, com_x: np.ndarray, scan_step: tuple[float, float] = (1.0, 1.0)
) -> float:
    """Return the angle (degrees, in (-90, 90]) by which the field must be turned to lose its curl.

    An electrostatic field has no curl, so what curl there is tells how far the detector is turned
    against the scan. The opposite direction has the same curl; the sign of the field decides that
    and has to be known otherwise.

    Parameters
    ----------
    com_y, com_x : array
        ``[y, x]``; NaN is left out.
    scan_step : tuple of float
        Distance between probe positions ``(y, x)``; only the ratio matters.
    """
    if min(com_y.shape) < 2:
        return 0.0
    # Curl and divergence rotate into each other: curl(angle) = cos curl + sin div, up to sign.
    dy_y, dy_x = np.gradient(com_y, *scan_step)
    dx_y, dx_x = np.gradient(com_x, *scan_step)
    curl, div = dy_x - dx_y, dy_y + dx_x
    known = np.isfinite(curl) & np.isfinite(div)
    cc, dd, cd = (
        float((a[known] * b[known]).sum()) for a, b in ((curl, curl), (div, div), (curl, div))
    )
    if cc + dd == 0:
        return 0.0
    # Turned by t: dy' = c y - s x, dx' = s y + c x, so curl' = c curl - s div; least squares in t.
    return float(np.degrees(0.5 * np.arctan2(2 * cd, dd - cc)))
