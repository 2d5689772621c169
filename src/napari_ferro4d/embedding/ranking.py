"""Which channels say something about the specimen's structure, best first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from napari_ferro4d.errors import ScanError
from napari_ferro4d.learn import active_channels, morans_i

Floats = npt.NDArray[np.float64]

EXTRINSIC = ("thickness", "tilt_y", "tilt_x", "shift_y", "shift_x")
"""Proxies that do not see polarity. The others do, so that a channel that follows them may be about
domains."""

LEAST = 0.7
"""Rank correlation from which on a channel is said to be about such a proxy."""

TIE = 0.05
"""Difference of two correlations that says nothing. Descan often runs as the wedge does; then it is
the thickness that is named."""

STEEPER = 3.0
"""Times as steep as the proxy, in units of their ranges, that a channel may be somewhere and still
be about it. Domain walls are steeper: a wall that happens to cross a wedge makes polarity and
thickness correlate by up to 0.87."""


@dataclass(frozen=True, eq=False)
class ChannelReport:
    """What is known of one channel.

    Parameters
    ----------
    channel : int
        Its number.
    structure : float
        Moran's I: 1 for a smooth map, 0 for noise.
    correlations : mapping of str to float
        Spearman's rank correlation with each proxy, -1 to 1; NaN where one of the two is constant.
    extrinsic : str or None
        The proxy of the specimen's shape (thickness, tilt) that explains the channel; None for a
        channel that shows more than that.
    active : bool
        It shows more than noise.
    """

    channel: int
    structure: float
    correlations: Mapping[str, float] = field(default_factory=dict)
    extrinsic: str | None = None
    active: bool = True


def rank(
    channels: npt.ArrayLike, proxies: Mapping[str, npt.ArrayLike] | None = None
) -> tuple[ChannelReport, ...]:
    """Order channels by what they say, best first.

    Active channels with the largest spatial structure come first, then active ones that thickness
    or tilt explain, then those that are noise or constant.

    Parameters
    ----------
    channels : array
        ``[channel, y, x]``; NaN is left out.
    proxies : mapping of str to array, optional
        Maps ``[y, x]``, see `proxies`; without them nothing is said of correlations.

    Returns
    -------
    tuple of ChannelReport
        One for each channel.

    Raises
    ------
    ScanError
        If the channels are no stack of maps, or a proxy has another shape.

    Notes
    -----
    A channel is extrinsic if the modulus of its rank correlation with thickness, tilt or shift is
    0.7 or more, and it is nowhere more than three times as steep as that proxy: walls between
    domains are. Polarity takes no part in these proxies, see `proxies`; centre of mass and dark
    field see domains and therefore mark nothing.

    Examples
    --------
    >>> y, x = np.indices((32, 32))
    >>> noise = np.random.default_rng(0).normal(size=(32, 32))
    >>> for one in rank(np.stack([noise, y, x // 16]), {"thickness": y**2.0}):
    ...     print(one.channel, one.active, one.extrinsic)
    2 True None
    1 True thickness
    0 False None
    """
    stack = np.asarray(channels, np.float64)
    if stack.ndim != 3 or 0 in stack.shape:
        raise ScanError(f"channels have shape {stack.shape}; a stack of maps is [channel, y, x].")
    maps = {name: np.asarray(proxy, np.float64) for name, proxy in (proxies or {}).items()}
    for name, proxy in maps.items():
        if proxy.shape != stack.shape[1:]:
            raise ScanError(
                f"the proxy {name!r} has shape {proxy.shape}, but the channels are of "
                f"{stack.shape[1]} x {stack.shape[2]} probe positions."
            )
    active = set(active_channels(stack.astype(np.float32)))
    correlations = _rank_correlations(stack, maps)
    reports = []
    for number, channel in enumerate(stack):
        found = {name: float(values[number]) for name, values in correlations.items()}
        extrinsic = _extrinsic(channel, found, maps) if number in active else None
        structure = morans_i(channel)[0]
        reports.append(ChannelReport(number, structure, found, extrinsic, number in active))
    return tuple(
        sorted(reports, key=lambda one: (not one.active, one.extrinsic is not None, -one.structure))
    )


def _rank_correlations(stack: Floats, maps: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return Spearman's correlation of every channel with every proxy, ``[channel]`` by name."""
    there = {name: np.isfinite(proxy) for name, proxy in maps.items()}
    # What is nowhere known, as the tilt where disks are too small, has no say in what is.
    known = np.isfinite(stack).any(axis=0)
    for one in there.values():
        known &= one | (not one.any())
    ranks = _ranks(stack[:, known])
    return {name: ranks @ _ranks(proxy[known][None])[0] for name, proxy in maps.items()}


def _ranks(values: Floats) -> Floats:
    """Return ranks ``[n, position]`` of mean 0 and length 1; NaN where all values are the same."""
    from scipy.stats import rankdata

    if values.shape[1] < 3:
        return np.full(values.shape, np.nan)
    known = np.isfinite(values)
    # An unknown value takes the middle rank: it says nothing.
    ranks = rankdata(np.where(known, values, np.inf), axis=1)
    count = known.sum(axis=1, keepdims=True)
    about = np.where(known, ranks - (count + 1) / 2, 0.0)
    length = np.sqrt((about**2).sum(axis=1, keepdims=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(about / np.where(length > 0, length, np.nan))


def _extrinsic(
    channel: Floats, correlations: Mapping[str, float], maps: Mapping[str, Floats]
) -> str | None:
    strong = {
        name: abs(correlations[name])
        for name in EXTRINSIC
        if abs(correlations.get(name, 0.0)) >= LEAST
        and _steepness(channel) <= STEEPER * _steepness(maps[name])
    }
    nearly_best = [name for name in strong if strong[name] >= max(strong.values()) - TIE]
    return nearly_best[0] if nearly_best else None


def _steepness(image: Floats) -> float:
    """Return the gradient of the steepest 2 % of an image, in units of its range per position."""
    from scipy.ndimage import gaussian_gradient_magnitude

    known = np.isfinite(image)
    low, high = np.percentile(image[known], (5, 95))
    filled = np.where(known, np.clip(image, low, high), (low + high) / 2)
    # Blurred in proportion to the scan, so that noise is not steep.
    width = max(1.0, max(image.shape) / 32)
    gradient = gaussian_gradient_magnitude(filled.astype(np.float64), width)
    return float(np.percentile(gradient[known], 98) / max(high - low, 1e-30))
