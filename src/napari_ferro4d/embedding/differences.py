"""What distinguishes the patterns of a channel: mean patterns of its extremes, and their errors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Report
from napari_ferro4d.reduce import Reduction, reduce_scan, region_means, squares
from napari_ferro4d.scan import Scan

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Difference:
    """Mean patterns of two groups of probe positions, and their difference.

    Parameters
    ----------
    high, low : ndarray
        float64 ``[ky, kx]``, mean counts of the two groups.
    difference : ndarray
        float64 ``[ky, kx]``, ``high - low``, counts per pattern.
    error : ndarray
        float64 ``[ky, kx]``, one standard deviation of it.
    high_positions, low_positions : ndarray
        bool ``[y, x]``, the two groups.
    """

    high: Floats
    low: Floats
    difference: Floats
    error: Floats
    high_positions: Bools
    low_positions: Bools

    def significant(self, errors: float = 3.0) -> Bools:
        """Return the pixels that differ by more than so many errors: bool ``[ky, kx]``."""
        return np.abs(self.difference) > errors * self.error


def difference(
    scan: Scan,
    channel: npt.ArrayLike,
    *,
    share: float = 0.05,
    against: npt.ArrayLike | None = None,
    errors: Literal["counting", "scatter"] = "counting",
    report: Report | None = None,
) -> Difference:
    """Subtract the mean pattern where a channel is lowest from that where it is highest.

    Both definitions of the paper are here: the top less the bottom 5 % of one channel, and, with
    `against`, the top 5 % of one channel less those of another.

    Parameters
    ----------
    scan : Scan
        The scan that the channel is of.
    channel : array
        ``[y, x]``; NaN is in neither group.
    share : float
        Share of the positions in each group, above 0 and at most 0.5. Positions with the value at
        the border are all taken: a channel of rectified values may have more than that at zero.
        Where it is above zero in fewer than that, as at walls, these are the group.
    against : array, optional
        Another channel. Positions that are among the highest of both belong to neither group.
    errors : str
        ``"counting"``, of counting statistics; or ``"scatter"``, of how much the patterns of a
        group differ from one another, thickness and tilt included.
    report : callable, optional
        Receives `Progress`; may raise `Cancelled`.

    Returns
    -------
    Difference
        Patterns, error and positions, from one pass over the scan. Integer counts are summed as
        integers, so the means are exact.

    Raises
    ------
    ScanError
        If a channel does not fit the scan or has no contrast, or the share is none.

    Notes
    -----
    ``"counting"``: a mean of n patterns with the sum S of counts in a pixel has the variance S / n²
    (Poisson), and the two groups share no pattern, so that their variances add. A pixel without
    counts has no error. Numbers that a dark image was subtracted from, or that a gain multiplied,
    are taken for counts. ``"scatter"``: the variance of the counts in a group, with n - 1 degrees
    of freedom, over n; NaN for a single pattern. Both are errors of the mean, and say nothing of
    how much of thickness or tilt is in the difference.

    References
    ----------
    Ludacka et al., npj Comput. Mater. 10, 106 (2024), doi:10.1038/s41524-024-01265-y.

    Examples
    --------
    >>> patterns = np.ones((1, 40, 4, 4), np.uint16)
    >>> patterns[0, 20:, 1, 2] = 9
    >>> scan = Scan.from_array(patterns)
    >>> found = difference(scan, np.arange(40.0)[None] // 20, share=0.5)
    >>> float(found.difference[1, 2]), round(float(found.error[1, 2]), 2)
    (8.0, 0.71)
    """
    high, low = _groups(scan, channel, share, against)
    regions = np.where(high, 1, np.where(low, 2, 0))
    reductions: list[Reduction[Any]] = [region_means(scan, regions)]
    if errors == "scatter":
        # What is missing of a scan is in no sum, so that all but one group may be called missing.
        reductions += [squares(replace(scan, missing=~group), np.asarray) for group in (high, low)]
    elif errors != "counting":
        raise ScanError(f"errors are of 'counting' or 'scatter', not {errors!r}.")
    means, *squared = reduce_scan(scan, reductions, report, "averaging patterns")
    counts = [int(np.count_nonzero(group)) for group in (high, low)]
    deviations = (
        [_scatter_error(means[i + 1], squared[i], counts[i]) for i in (0, 1)]
        if squared
        else [_counting_error(means[i + 1], counts[i]) for i in (0, 1)]
    )
    return Difference(
        high=means[1],
        low=means[2],
        difference=means[1] - means[2],
        error=np.hypot(*deviations),
        high_positions=high,
        low_positions=low,
    )


def mean_pattern(
    scan: Scan, mask: npt.ArrayLike, *, report: Report | None = None
) -> tuple[Floats, Floats]:
    """Average the patterns of some probe positions.

    Parameters
    ----------
    scan : Scan
        The scan.
    mask : array
        bool ``[y, x]``: which, for example of `within` or `gate`.
    report : callable, optional
        Receives `Progress`; may raise `Cancelled`.

    Returns
    -------
    mean, standard_error : ndarray
        float64 ``[ky, kx]``; the error is that of counting, see `difference`.

    Raises
    ------
    ScanError
        If the mask has another shape than the scan, or chooses nothing.

    Examples
    --------
    >>> scan = Scan.from_array(np.full((1, 4, 2, 2), 9, np.uint8))
    >>> mean, error = mean_pattern(scan, np.array([[True, True, True, True]]))
    >>> float(mean[0, 0]), float(error[0, 0])
    (9.0, 1.5)
    """
    from napari_ferro4d.reduce import mean_pattern as averaged

    chosen = _there(scan, np.asarray(mask, bool), "mask")
    if not chosen.any():
        raise ScanError(f"{scan.where()}: no probe position is chosen, so there is no mean.")
    mean = averaged(scan, chosen, report)
    return mean, _counting_error(mean, int(np.count_nonzero(chosen)))


def log_difference(found: Difference) -> Floats:
    """Return the difference of the patterns' logarithms, ``log(1 + high) - log(1 + low)``.

    Weak reflections far out show in it, which the difference itself leaves to the strong ones.

    Examples
    --------
    >>> one, none = np.full((1, 1), np.e - 1), np.zeros((1, 1))
    >>> log_difference(Difference(one, none, one, none, one > 0, one < 0)).round(6).tolist()
    [[1.0]]
    """
    return np.asarray(
        np.log1p(np.clip(found.high, 0, None)) - np.log1p(np.clip(found.low, 0, None))
    )


def _groups(
    scan: Scan, channel: npt.ArrayLike, share: float, against: npt.ArrayLike | None
) -> tuple[Bools, Bools]:
    if not 0 < share <= 0.5:
        raise ScanError(f"a share of {share:g} makes no two groups; give more than 0, at most 0.5.")
    values = _map_of(scan, channel, "channel")
    high = _top(values, share)
    low = _top(-values, share) if against is None else _top(_map_of(scan, against, "other"), share)
    both = high & low
    if against is None and (high & ~both).any() and not (low & ~both).any():
        high = high & ~both  # a channel that is at its lowest nearly everywhere
    elif against is None and (low & ~both).any() and not (high & ~both).any():
        low = low & ~both
    else:
        high, low = high & ~both, low & ~both
    if not high.any() or not low.any():
        raise ScanError(
            "the channel has no contrast: its highest and its lowest values are the same."
            if against is None
            else "the two channels are highest at the same probe positions; choose another one."
        )
    return high, low


def _map_of(scan: Scan, channel: npt.ArrayLike, name: str) -> Floats:
    values = np.asarray(channel, np.float64)
    there = _there(scan, np.isfinite(values), name)
    if not there.any():
        raise ScanError(f"{scan.where()}: the {name} holds no finite value.")
    return np.where(there, values, np.nan)


def _there(scan: Scan, chosen: Bools, name: str) -> Bools:
    if chosen.shape != scan.scan_shape:
        raise ScanError(
            f"{scan.where()}: the {name} has shape {chosen.shape}, the scan {scan.scan_shape}."
        )
    return chosen if scan.missing is None else chosen & ~scan.missing


def _top(values: Floats, share: float) -> Bools:
    finite = np.sort(values[np.isfinite(values)])
    border = finite[-max(1, round(share * finite.size))]
    return np.asarray(values >= border)


def _counting_error(mean: Floats, patterns: int) -> Floats:
    return np.asarray(np.sqrt(np.clip(mean, 0, None) / patterns))


def _scatter_error(mean: Floats, squared: Floats, patterns: int) -> Floats:
    """Return the standard error of a mean, from the sum of squared counts."""
    if patterns < 2:
        return np.full_like(mean, np.nan)
    # Rounding may leave a pixel that never varies just below zero.
    variance = np.maximum(squared / patterns - mean**2, 0) / (patterns - 1)
    return np.asarray(np.sqrt(variance))
