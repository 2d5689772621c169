"""Which channels say something about the specimen's structure, best first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from napari_ferro4d.errors import ScanError
from napari_ferro4d.learn.structure import active_channels, morans_i

__all__ = ["ChannelReport", "rank"]

EXTRINSIC = ("thickness", "tilt_y", "tilt_x", "shift_y", "shift_x")
"""Proxies that do not see polarity. The others do, so that a channel that follows them may be about
domains."""

_LEAST = 0.7
"""Rank correlation from which on a channel is said to be about such a proxy."""


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
    stack = np.asarray(channels, np.float32)
    if stack.ndim != 3 or 0 in stack.shape:
        raise ScanError(f"channels have shape {stack.shape}; a stack of maps is [channel, y, x].")
    maps = {name: np.asarray(proxy, np.float64) for name, proxy in (proxies or {}).items()}
    for name, proxy in maps.items():
        if proxy.shape != stack.shape[1:]:
            raise ScanError(
                f"the proxy {name!r} has shape {proxy.shape}, but the channels are of "
                f"{stack.shape[1]} x {stack.shape[2]} probe positions."
            )
    active = set(active_channels(stack))
    reports = [_report(number, one, maps, number in active) for number, one in enumerate(stack)]
    return tuple(
        sorted(reports, key=lambda one: (not one.active, one.extrinsic is not None, -one.structure))
    )


def _report(
    number: int,
    channel: npt.NDArray[np.float32],
    maps: Mapping[str, npt.NDArray[np.float64]],
    active: bool,
) -> ChannelReport:
    found = {name: _rank_correlation(channel, proxy) for name, proxy in maps.items()}
    strong = {name: abs(found[name]) for name in EXTRINSIC if abs(found.get(name, 0.0)) >= _LEAST}
    extrinsic = max(strong, key=lambda name: strong[name]) if active and strong else None
    return ChannelReport(number, morans_i(channel)[0], found, extrinsic, active)


def _rank_correlation(a: npt.NDArray[np.float32], b: npt.NDArray[np.float64]) -> float:
    from scipy.stats import rankdata

    known = np.isfinite(a) & np.isfinite(b)
    if np.count_nonzero(known) < 3:
        return float("nan")
    ranks = rankdata(np.stack([a[known], b[known]]), axis=1)
    about = ranks - ranks.mean(axis=1, keepdims=True)
    norm = float(np.sqrt((about[0] ** 2).sum() * (about[1] ** 2).sum()))
    return float((about[0] * about[1]).sum() / norm) if norm > 0 else float("nan")
