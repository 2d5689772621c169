"""Which channels show something: spatial structure against counting noise. Knows no torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

CONSTANT = 1e-3
"""A channel that varies by less than this share of the one that varies most is constant."""

SURE = 5.0
"""Standard deviations of Moran's I of pure noise by which a channel has to exceed it."""


def morans_i(image: npt.ArrayLike) -> tuple[float, int]:
    """Return Moran's I of an image and the number of neighbours it rests on.

    The mean product of neighbouring values about the mean, in units of the variance: 1 for a
    smooth image, 0 for noise, -1 for a chequerboard. For noise, its standard deviation is one over
    the square root of the number of pairs of neighbours.

    Parameters
    ----------
    image : array
        ``[y, x]``; NaN is left out, with its neighbourhoods.

    References
    ----------
    P. A. P. Moran, Biometrika 37, 17 (1950), with the four nearest neighbours weighted equally.

    Examples
    --------
    >>> y, x = np.indices((20, 20))
    >>> round(morans_i((y + x) % 2)[0], 3), morans_i(y)[0] > 0.9
    (-1.0, True)
    """
    values = np.asarray(image, np.float64)
    if not np.isfinite(values).any():
        return 0.0, 0
    about = values - np.nanmean(values)
    variance = np.nanmean(about**2)
    products = np.concatenate(
        [(about[1:] * about[:-1]).ravel(), (about[:, 1:] * about[:, :-1]).ravel()]
    )
    products = products[np.isfinite(products)]
    if products.size == 0 or not variance > 0:
        return 0.0, 0
    return float(products.mean() / variance), int(products.size)


def active_channels(channels: npt.NDArray[np.float32]) -> tuple[int, ...]:
    """Return the channels that show more than noise, the most structured first.

    Where not one does - in a scan of few positions, say - all that are not constant.

    Parameters
    ----------
    channels : array
        ``[channel, y, x]``; NaN is left out. A channel that is NaN everywhere shows nothing.
    """
    known = np.isfinite(channels).any(axis=(1, 2))
    spread = np.zeros(len(channels))
    spread[known] = np.nanstd(channels[known], axis=(1, 2), dtype=np.float64)
    varying = [int(i) for i in np.flatnonzero(spread > CONSTANT * spread.max(initial=0.0))]
    structure = {i: morans_i(channels[i]) for i in varying}
    shown = [i for i, (value, pairs) in structure.items() if value * pairs**0.5 > SURE]
    return tuple(sorted(shown, key=lambda i: -structure[i][0]) or varying)
