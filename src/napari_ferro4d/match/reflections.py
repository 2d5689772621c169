"""Reflections of a pattern: what is in each disk above its surroundings, and how sure that is.

An integrated intensity is a sum of pixels with fixed weights: one inside the disk, and minus the
share of the background outside. Whatever is made of it, a ratio or an asymmetry, gets its
uncertainty from the Poisson statistics of those same pixels, correlations included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.simulate import positive

from .pattern_arrays import Array, beam_at, disk_radius_of, usable

_FEWEST_BACKGROUND = 6
"""Pixels that a background needs; fewer give it a larger error than the weaker disks have."""

_LEAST_COVER = 0.5
"""Share of a disk that has to be good; of less, the rest would be a guess."""

SURE = 3.0
"""Standard deviations by which a sum of intensities has to be positive to be divided by."""


class Indexed(Protocol):
    """Reflections with their indices, as `Beams` has them."""

    @property
    def hkl(self) -> Array:
        """Miller indices, ``[n, 3]``."""

    @property
    def g(self) -> Array:
        """Detector components ``(ky, kx)`` in 1/angstrom, ``[n, 2]``."""


@dataclass(frozen=True, eq=False)
class Asymmetry:
    """One reflection against its Friedel partner, in one pattern.

    Parameters
    ----------
    hkl : tuple of int
        The reflection ``+g``; its partner is ``-g``.
    value : float
        ``(I(+g) - I(-g)) / (I(+g) + I(-g))``, from -1 to 1 but for noise; NaN where the sum is less
        than three standard deviations above zero, or half of a disk is on bad pixels.
    error : float
        One standard deviation from counting statistics; NaN where the counts are not known.
    intensity, partner : float
        ``I(+g)`` and ``I(-g)`` above background, in the units of the pattern.
    """

    hkl: tuple[int, int, int]
    value: float
    error: float
    intensity: float
    partner: float

    def __str__(self) -> str:
        """Say it as one would in a paper."""
        name = " ".join(map(str, self.hkl))
        return f"{name}: {self.value:+.3f} ± {self.error:.3f}"


@dataclass(frozen=True, eq=False)
class Disks:
    """Where the disks of a list of reflections are: pixels and weights of each of them."""

    hkl: Array
    g: Array
    inside: list[Array]  # indices into the flat pattern
    around: list[Array]
    covered: Array  # share of the disk that is good, 0 where its background is bad, [n]
    pixels: Array  # of the whole disk, [n]

    def weights(self, i: int, size: int) -> Array:
        """Return the weights ``[pixel]`` whose sum with the pattern is the intensity."""
        out = np.zeros(size)
        # Bad pixels are taken to be like the mean of the others in the disk.
        out[self.inside[i]] = self.pixels[i] / max(len(self.inside[i]), 1)
        if len(self.around[i]):
            out[self.around[i]] -= self.pixels[i] / len(self.around[i])
        return out


def weights_of(
    reflections: Indexed,
    good: Array,
    *,
    k_step: float,
    centre: tuple[float, float],
    disk_radius: float,
    background: bool = True,
    symmetric: bool = False,
) -> Disks:
    """Find the pixels of every disk and of the background around it.

    A disk is every pixel within its radius and one pixel more, so that its blurred edge is in it,
    that is nearer to this reflection than to any other listed. Its background is the good pixels
    beyond, up to twice the radius, that are in no listed disk.

    Parameters
    ----------
    reflections : Indexed
        The reflections; the undiffracted beam need not be among them to be kept out.
    good : ndarray
        Bool ``[ky, kx]``.
    k_step, disk_radius : float
        1/angstrom.
    centre : tuple of float
        Pixels.
    background : bool
        Whether to take one off.
    symmetric : bool
        Use only pixels whose image under a half turn about the centre is good as well.

    Raises
    ------
    ScanError
        If a disk is not on the detector or there is no room for its background.
    """
    hkl, g = np.asarray(reflections.hkl), np.asarray(reflections.g, dtype=float)
    if hkl.ndim != 2 or hkl.shape[1] != 3 or g.shape != (len(hkl), 2) or not len(hkl):
        raise ScanError(
            f"reflections: needs hkl [n, 3] and g [n, 2], not {hkl.shape} and {g.shape}."
        )
    if not np.isfinite(g).all() or not np.array_equal(hkl, np.round(hkl)):
        raise ScanError("reflections: hkl has to be of integers and g finite.")
    hkl = hkl.astype(int)
    radius = disk_radius / k_step
    at = np.asarray(centre) + g / k_step
    last = np.array(good.shape) - 1
    off = ((at - radius < -0.5) | (at + radius > last + 0.5)).any(axis=1)
    if off.any():
        name = " ".join(map(str, hkl[off][0].tolist()))
        raise ScanError(
            f"reflections: {off.sum()} of {len(hkl)} disks are not wholly on the detector, the "
            f"first is ({name}); leave them out, see `on_detector`."
        )
    if symmetric:
        good = good & _turned(good, centre)
    pixels_at = np.indices(good.shape)[:, None]
    all_at = np.vstack([at, np.asarray(centre)[None]])  # the undiffracted beam last
    distance = np.hypot(*(pixels_at - all_at.T[:, :, None, None]))
    owner = distance.argmin(axis=0)
    # The undiffracted beam may be listed as well: the first one, in the list, then owns its pixels.
    in_a_disk = distance.min(axis=0) <= radius + 1
    inside: list[Array] = []
    around: list[Array] = []
    covered: list[float] = []
    pixels: list[int] = []
    for i in range(len(hkl)):
        disk = in_a_disk & (owner == i)
        whole, lit = int(np.count_nonzero(disk)), np.flatnonzero(disk & good)
        near = ~in_a_disk & (distance[i] <= max(2 * radius, radius + 4))
        empty = np.flatnonzero(near & good) if background else np.zeros(0, dtype=int)
        room = int(np.count_nonzero(near))
        if background and room < _FEWEST_BACKGROUND:
            name = " ".join(map(str, hkl[i].tolist()))
            raise ScanError(
                f"reflections: around ({name}) only {room} pixels lie between the disks, too few "
                "for a background; give a smaller disk_radius, or background=False."
            )
        known = not background or len(empty) >= _FEWEST_BACKGROUND
        inside.append(lit)
        around.append(empty)
        covered.append(len(lit) / max(whole, 1) if known else 0.0)
        pixels.append(whole)
    return Disks(hkl, g, inside, around, np.array(covered), np.array(pixels))


def _turned(good: Array, centre: tuple[float, float]) -> Array:
    """Return where the half turn of a mask about the centre is wholly good."""
    from scipy.ndimage import map_coordinates

    ky, kx = np.indices(good.shape)
    image = [2 * centre[0] - ky, 2 * centre[1] - kx]
    sampled = map_coordinates(good.astype(float), image, order=1, mode="constant", cval=1.0)
    return np.asarray(sampled > 0.99)


def friedel_pairs(
    pattern: Array,
    reflections: Indexed,
    *,
    k_step: float,
    centre: tuple[float, float] | None = None,
    disk_radius: float | None = None,
    counts: float | None = None,
    bad: Array | None = None,
    background: bool = True,
) -> tuple[Asymmetry, ...]:
    """Compare every listed reflection with its Friedel partner, in one pattern.

    Parameters
    ----------
    pattern : ndarray
        ``[ky, kx]``, measured or simulated.
    reflections : Indexed
        ``hkl [n, 3]`` and ``g [n, 2]`` (ky, kx) in 1/angstrom, for example `Beams`; all that are on
        the detector, because a disk that is not listed ends up in the background of its
        neighbours.
    k_step : float
        Size of a detector pixel in 1/angstrom.
    centre : tuple of float, optional
        The undiffracted beam ``(ky, kx)`` in pixels; the middle of the array by default.
    disk_radius : float, optional
        1/angstrom; by default estimated from the undiffracted disk.
    counts : float, optional
        Total counts that the pattern stands for: N times its sum for a mean of N. Without it
        errors are NaN.
    bad : ndarray, optional
        Bool ``[ky, kx]``: dead, hot or saturated pixels. A pixel whose partner under the half turn
        is bad is left out too, so that both disks are read on the same pixels.
    background : bool
        Take off the mean of what surrounds each disk.

    Returns
    -------
    tuple of Asymmetry
        One for each pair, in the order of the list.

    Raises
    ------
    ScanError
        If an argument does not fit the pattern, or a disk is not wholly on the detector.
    """
    values, good = usable("pattern", pattern, bad)
    step = positive("k_step", k_step)
    beam = beam_at(centre, values.shape)
    radius = disk_radius_of(values, beam) * step if disk_radius is None else disk_radius
    radius = positive("disk_radius", radius)
    disks = weights_of(
        reflections,
        good,
        k_step=step,
        centre=beam,
        disk_radius=radius,
        background=background,
        symmetric=True,
    )
    per_unit = None if counts is None else positive("counts", counts) / values.sum()
    index = {tuple(map(int, hkl)): i for i, hkl in enumerate(disks.hkl)}
    pairs = []
    for hkl, i in index.items():
        j = index.get((-hkl[0], -hkl[1], -hkl[2]))
        # Each pair once, by the member that is listed first.
        if j is not None and i < j:
            pairs.append(_pair(values.ravel(), disks, i, j, per_unit))
    return tuple(pairs)


def _pair(x: Array, disks: Disks, i: int, j: int, per_unit: float | None) -> Asymmetry:
    plus, minus = disks.weights(i, x.size), disks.weights(j, x.size)
    intensity, partner = float(plus @ x), float(minus @ x)
    total = intensity + partner
    value = (intensity - partner) / total if total else np.nan
    error = np.nan
    if min(disks.covered[i], disks.covered[j]) < _LEAST_COVER or total <= 0:
        value = np.nan
    if per_unit is not None and np.isfinite(value):
        variance = np.clip(x, 0, None) / per_unit
        if total < SURE * np.sqrt(float((plus + minus) ** 2 @ variance)):
            value = np.nan
        else:
            gradient = ((1 - value) * plus - (1 + value) * minus) / total
            error = float(np.sqrt(gradient**2 @ variance))
    h, k, l = (int(n) for n in disks.hkl[i])  # noqa: E741
    return Asymmetry((h, k, l), float(value), error, intensity, partner)


def asymmetry(
    pattern: Array,
    hkl: tuple[int, int, int],
    reflections: Indexed,
    *,
    k_step: float,
    centre: tuple[float, float] | None = None,
    disk_radius: float | None = None,
    counts: float | None = None,
    bad: Array | None = None,
    background: bool = True,
) -> Asymmetry:
    """Return one reflection against its Friedel partner: "004 against 00-4" as a number.

    Parameters
    ----------
    pattern : ndarray
        ``[ky, kx]``.
    hkl : tuple of int
        The reflection; it and its partner have to be listed.
    reflections, k_step, centre, disk_radius, counts, bad, background
        As for `friedel_pairs`.

    Returns
    -------
    Asymmetry
        Its sign turns round with that of `hkl`.

    Raises
    ------
    ScanError
        As `friedel_pairs`, or if `hkl` or its partner is not listed.

    Examples
    --------
    >>> from napari_ferro4d.simulate import Beams
    >>> beams = Beams(np.array([[0, 0, 4], [0, 0, -4]]), np.array([[-0.4, 0], [0.4, 0]]))
    >>> pattern = np.zeros((21, 21))
    >>> pattern[6, 10], pattern[14, 10] = 3, 1
    >>> print(asymmetry(pattern, (0, 0, 4), beams, k_step=0.1, disk_radius=0.1, counts=10_000))
    0 0 4: +0.500 ± 0.009
    """
    wanted = tuple(int(n) for n in hkl)
    listed = {tuple(map(int, one)) for one in np.asarray(reflections.hkl)}
    if len(wanted) != 3 or not any(wanted):
        raise ScanError(f"hkl: a reflection is three indices, not all zero; not {hkl}.")
    if wanted not in listed or tuple(-n for n in wanted) not in listed:
        raise ScanError(f"hkl: {wanted} or its Friedel partner is not among the reflections.")
    pairs = friedel_pairs(
        pattern,
        reflections,
        k_step=k_step,
        centre=centre,
        disk_radius=disk_radius,
        counts=counts,
        bad=bad,
        background=background,
    )
    h, k, l = wanted  # noqa: E741
    pair = next(one for one in pairs if one.hkl in (wanted, (-h, -k, -l)))
    if pair.hkl == wanted:
        return pair
    return Asymmetry((h, k, l), -pair.value, pair.error, pair.partner, pair.intensity)
