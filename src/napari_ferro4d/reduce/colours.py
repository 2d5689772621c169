"""Vector fields as colour: hue is the direction, brightness the magnitude."""

from __future__ import annotations

import numpy as np


def direction_colours(
    com_y: np.ndarray, com_x: np.ndarray, limit: float | None = None
) -> np.ndarray:
    """Colour a vector field: hue = angle, value = magnitude.

    Right is red; going counter-clockwise as drawn, up is yellow-green, left cyan, down violet.

    Parameters
    ----------
    com_y, com_x : array
        ``[y, x]``, positive down and right; NaN is drawn black.
    limit : float, optional
        Magnitude of full brightness; by default the 99th percentile.

    Returns
    -------
    array
        uint8 ``[y, x, 3]``.
    """
    from matplotlib.colors import hsv_to_rgb

    magnitude = np.nan_to_num(np.hypot(com_y, com_x))
    if limit is None:
        limit = float(np.percentile(magnitude, 99)) if magnitude.size else 0.0
    angle = np.nan_to_num(np.arctan2(-np.asarray(com_y), com_x)) / (2 * np.pi) % 1.0
    value = np.clip(magnitude / limit, 0, 1) if limit > 0 else np.zeros_like(magnitude)
    hsv = np.stack([angle, np.ones_like(angle), value], axis=-1)
    return np.round(255 * hsv_to_rgb(hsv)).astype(np.uint8)


def colour_wheel(size: int = 128) -> np.ndarray:
    """Draw the key of `direction_colours`: uint8 ``[size, size, 4]``, transparent outside."""
    axis = np.linspace(-1, 1, size)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    colours = direction_colours(y, x, limit=1.0)
    alpha = np.where(np.hypot(y, x) <= 1, 255, 0).astype(np.uint8)
    return np.dstack([colours, alpha])
