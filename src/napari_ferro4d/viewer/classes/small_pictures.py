"""The small pictures of a pattern and of what is left without each class, off the GUI thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from qtpy.QtCore import Signal

from napari_ferro4d.viewer.widgets import LatestJob, Request

from .picture_strip import pattern_image


class SmallPictures(LatestJob):
    """Draw a pattern, and its difference to the mean pattern of each class.

    ``drawn`` gives the means that were taken off, as they were given, and a list of images: first
    the pattern, then a difference per class.
    """

    drawn = Signal(object, object)

    def request(
        self, pattern: np.ndarray, mean: np.ndarray, means: Mapping[int, np.ndarray], log: bool
    ) -> None:
        """Ask for pictures.

        Parameters
        ----------
        pattern : ndarray
            ``[ky, kx]``, to be shown by itself.
        mean : ndarray
            ``[ky, kx]``, to take the classes off; another one where `pattern` is a maximum.
        means : mapping
            ``[ky, kx]`` by class number.
        log : bool
            Whether to show logarithms.
        """
        self.ask((pattern, mean, means, log))

    def work(self, request: Request) -> None:
        """Draw all, also if passed: who drags the probe wants to see something."""
        pattern, mean, means, log = request.wanted
        images = [pattern_image(pattern, log=log)]
        images += [pattern_image(without(mean, one, log), signed=True) for one in means.values()]
        self.tell(request, images)

    def take(self, wanted: Any, what: Any) -> None:
        """Pass on the pictures."""
        self.drawn.emit(wanted[2], what)


def without(pattern: np.ndarray, mean: np.ndarray, log: bool) -> np.ndarray:
    """Return a pattern less the mean of a class; of their logarithms if `log`."""
    if log:
        pattern, mean = (np.log1p(np.maximum(one, 0).astype(float)) for one in (pattern, mean))
    return np.asarray(pattern - mean)
