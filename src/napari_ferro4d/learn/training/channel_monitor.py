"""The channels while they are learnt: how many are active, what they look like."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from napari_ferro4d.learn.compute import InChunks, Ranks
from napari_ferro4d.learn.data import Cache
from napari_ferro4d.learn.moran import active_channels
from napari_ferro4d.learn.networks import Autoencoder

SIDE = 32
"""Most rows and columns of the grid of positions that are looked at, of each scan."""

SHARE = 0.25
"""Of the patterns, most that are encoded per epoch for it. To encode a pattern takes about a sixth
of a step of training, so that this is less than 5 %."""

THUMBNAILS = 6


class ChannelMonitor:
    """Embeds a thinned grid of every scan now and then.

    Parameters
    ----------
    cache : Cache
        The patterns.
    ranks : Ranks
        The processes, each of which looks at its own patterns.
    device : torch.device
        Where the network is.
    """

    def __init__(self, cache: Cache, ranks: Ranks, device: torch.device) -> None:
        self._ranks, self._device = ranks, device
        self._grids = [_grid(place) for place in cache.places]
        wanted = np.concatenate([grid.ravel() for grid in self._grids])
        end = cache.first + len(cache.patterns)
        self._own = np.flatnonzero((wanted >= cache.first) & (wanted < end))
        self._count = len(wanted)
        # A copy: a few megabytes, in one piece.
        own = cache.patterns[wanted[self._own] - cache.first]
        self.patterns = torch.from_numpy(own)[:, None]
        """Those on the grid that are here."""
        self.every = max(1, math.ceil(np.count_nonzero(wanted >= 0) / (SHARE * cache.total)))
        """Epochs from one look to the next: more than one in small scans only."""

    @torch.no_grad()
    def maps(self, network: Autoencoder, channels: int, most: int) -> list[npt.NDArray[np.float32]]:
        """Return the channels ``[channel, y, x]`` of every scan on its grid, NaN where none is.

        Parameters
        ----------
        network : Autoencoder
            As it is now.
        channels : int
            How many it has.
        most : int
            Patterns at a time.
        """
        network.eval()
        values = torch.zeros(self._count, channels)
        if len(self._own):
            found = InChunks(network.encode, self._device, most)(self.patterns)
            values[torch.from_numpy(self._own)] = found
        values = values.to(self._device)
        self._ranks.sum(values)
        everything = values.T.cpu().numpy()
        maps, begin = [], 0
        for grid in self._grids:
            here = slice(begin, begin + grid.size)
            image = everything[:, here].reshape(-1, *grid.shape)
            if (grid >= 0).any():
                maps.append(np.where(grid >= 0, image, np.float32(np.nan)))
            begin += grid.size
        return maps


def active_in(maps: Sequence[npt.NDArray[np.float32]]) -> tuple[int, ...]:
    """Return the channels that are active in any of the scans."""
    return tuple(sorted({channel for one in maps for channel in active_channels(one)}))


def thumbnails(maps: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Return the most structured channels of the first scan, ``[k, y, x]``."""
    return maps[0][list(active_channels(maps[0])[:THUMBNAILS])].copy()


def likeness(
    now: Sequence[npt.NDArray[np.float32]], before: Sequence[npt.NDArray[np.float32]]
) -> float:
    """Return how alike two states of the maps are: the mean correlation of the active channels.

    1 is that every active channel shows the same, up to a factor and an offset; a channel that was
    constant before counts as 0. One that is the same to the bit is not trained and does not count.

    Examples
    --------
    >>> y, x = np.indices((8, 8)).astype(np.float32)
    >>> round(likeness([np.stack([y, x])], [np.stack([2 * y + 1, x])]), 6)
    1.0
    """
    found = []
    for new, old in zip(now, before, strict=True):
        for channel in active_channels(new):
            if np.array_equal(new[channel], old[channel], equal_nan=True):
                continue
            there = np.isfinite(new[channel])
            a = new[channel][there].astype(np.float64)
            b = old[channel][there].astype(np.float64)
            a, b = a - a.mean(), b - b.mean()
            norm = math.sqrt(float(a @ a) * float(b @ b))
            found.append(float(a @ b) / norm if norm > 0 else 0.0)
    return float(np.mean(found)) if found else 1.0


def _grid(place: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    ny, nx = place.shape
    return place[:: math.ceil(ny / SIDE), :: math.ceil(nx / SIDE)]
