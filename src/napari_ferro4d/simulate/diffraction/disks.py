"""Compiled inner loop: convergent-beam disks interpolated in a table by cubic B-splines.

A disk's pixels lie on a grid parallel to the table's, so that the spline is taken one axis at a
time: first thickness, for the part of the table that the disk covers, then rows, then columns.
"""

from __future__ import annotations

import math

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def _weights(at, w):  # type: ignore[no-untyped-def]
    """Write the four weights of a cubic B-spline; return the index of the first."""
    first = math.floor(at)
    f = at - first
    w[0] = (1 - f) ** 3 / 6
    w[1] = (4 - 6 * f * f + 3 * f * f * f) / 6
    w[2] = (1 + 3 * f + 3 * f * f - 3 * f * f * f) / 6
    w[3] = f * f * f / 6
    return first - 1


@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "nsz", "contract"})
def add_disks(out, table, centres, radius, scale, tilt, depth, weight, shift):  # type: ignore[no-untyped-def]
    """Add every disk of every place to its pattern.

    Parameters
    ----------
    out : ndarray
        float32 ``[place, ky, kx]``.
    table : ndarray
        float32 ``[beam, thickness, ky, kx]``, spline coefficients.
    centres : ndarray
        ``[beam, 2]`` middle of each disk in pixels.
    radius : float
        Of a disk, in pixels. A pixel that the edge cuts gets its share.
    scale : float
        Grid points of the table per pixel.
    tilt : ndarray
        ``[place, 2]`` grid point of the table that belongs to the middle of a disk.
    depth : ndarray
        ``[place]`` grid point of the table in thickness.
    weight : ndarray
        ``[place]``.
    shift : ndarray
        ``[place, 2]`` in pixels.
    """
    beams, _, nodes_y, nodes_x = table.shape
    height, width = out.shape[1:]
    slab = np.empty((nodes_y, nodes_x), np.float32)
    line = np.empty(nodes_x, np.float32)
    size = int(2 * radius) + 4
    column_first = np.empty(size, np.int64)
    column_weights = np.empty((size, 4), np.float32)
    w = np.empty(4, np.float64)
    row_weights = np.empty(4, np.float32)
    for place in range(len(out)):
        if weight[place] == 0:
            continue
        t0 = _weights(depth[place], w)
        wt0, wt1, wt2, wt3 = np.float32(w[0]), np.float32(w[1]), np.float32(w[2]), np.float32(w[3])
        share = np.float32(weight[place])
        pattern = out[place]
        for beam in range(beams):
            cy = centres[beam, 0] + shift[place, 0]
            cx = centres[beam, 1] + shift[place, 1]
            top = max(0, math.ceil(cy - radius - 0.5))
            bottom = min(height - 1, math.floor(cy + radius + 0.5))
            left = max(0, math.ceil(cx - radius - 0.5))
            right = min(width - 1, math.floor(cx + radius + 0.5))
            if top > bottom or left > right:
                continue
            y0 = tilt[place, 0] + (top - cy) * scale
            y1 = tilt[place, 0] + (bottom - cy) * scale
            x0 = tilt[place, 1] + (left - cx) * scale
            x1 = tilt[place, 1] + (right - cx) * scale
            first_y = max(0, math.floor(y0) - 1)
            last_y = min(nodes_y - 1, math.floor(y1) + 2)
            first_x = max(0, math.floor(x0) - 1)
            last_x = min(nodes_x - 1, math.floor(x1) + 2)
            for i in range(first_y, last_y + 1):
                a, b = table[beam, t0, i], table[beam, t0 + 1, i]
                c, d = table[beam, t0 + 2, i], table[beam, t0 + 3, i]
                row = slab[i]
                for j in range(first_x, last_x + 1):
                    row[j] = wt0 * a[j] + wt1 * b[j] + wt2 * c[j] + wt3 * d[j]
            for x in range(left, right + 1):
                column_first[x - left] = _weights(tilt[place, 1] + (x - cx) * scale, w)
                for n in range(4):
                    column_weights[x - left, n] = w[n]
            for y in range(top, bottom + 1):
                first = _weights(tilt[place, 0] + (y - cy) * scale, w)
                for n in range(4):
                    row_weights[n] = w[n]
                a, b, c, d = slab[first], slab[first + 1], slab[first + 2], slab[first + 3]
                for j in range(first_x, last_x + 1):
                    line[j] = (
                        row_weights[0] * a[j]
                        + row_weights[1] * b[j]
                        + row_weights[2] * c[j]
                        + row_weights[3] * d[j]
                    )
                dy = y - cy
                for x in range(left, right + 1):
                    dx = x - cx
                    inside = radius - math.sqrt(dy * dy + dx * dx) + 0.5
                    if inside <= 0:
                        continue
                    at = column_first[x - left]
                    value = (
                        column_weights[x - left, 0] * line[at]
                        + column_weights[x - left, 1] * line[at + 1]
                        + column_weights[x - left, 2] * line[at + 2]
                        + column_weights[x - left, 3] * line[at + 3]
                    )
                    if value > 0:
                        pattern[y, x] += share * value * np.float32(min(inside, 1.0))


@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "nsz", "contract"})
def add_rings(out, profile, q_step, k_step, centre_y, centre_x, weight, shift):  # type: ignore[no-untyped-def]
    """Add a pattern that depends on the distance from the beam only, linear between samples.

    Parameters
    ----------
    out : ndarray
        float32 ``[place, ky, kx]``.
    profile : ndarray
        float32 ``[sample]``, intensity per pixel at multiples of `q_step`; zero beyond.
    q_step, k_step : float
        1/angstrom per sample and per pixel.
    centre_y, centre_x : float
        Middle of the pattern in pixels.
    weight : float
        Of the pattern.
    shift : ndarray
        ``[place, 2]`` in pixels.
    """
    places, height, width = out.shape
    scale = k_step / q_step
    for place in range(places):
        cy, cx = centre_y + shift[place, 0], centre_x + shift[place, 1]
        pattern = out[place]
        for y in range(height):
            dy2 = (y - cy) ** 2
            row = pattern[y]
            for x in range(width):
                at = math.sqrt(dy2 + (x - cx) ** 2) * scale
                first = int(at)
                if first < len(profile) - 1:
                    part = np.float32(at - first)
                    here = profile[first] + part * (profile[first + 1] - profile[first])
                    row[x] += np.float32(weight) * here


@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "nsz", "contract"})
def blur(patterns, kernel):  # type: ignore[no-untyped-def]
    """Convolve every pattern ``[place, ky, kx]`` in place with a kernel along rows and columns.

    What spreads beyond the edge of the detector is lost.
    """
    places, height, width = patterns.shape
    half = len(kernel) // 2
    passed = np.empty((height, width), np.float32)
    for place in range(places):
        pattern = patterns[place]
        for y in range(height):
            target = passed[y]
            target[:] = 0
            for n in range(max(-half, -y), min(half, height - 1 - y) + 1):
                source, share = pattern[y + n], kernel[n + half]
                for x in range(width):
                    target[x] += share * source[x]
        for y in range(height):
            source, target = passed[y], pattern[y]
            target[:] = 0
            for n in range(-half, half + 1):
                share = kernel[n + half]
                for x in range(max(0, -n), min(width, width - n)):
                    target[x] += share * source[x + n]
