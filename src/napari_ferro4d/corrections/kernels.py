"""Compiled inner loops of the detector corrections: one pattern at a time, inside the cache."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def correct_patterns(  # type: ignore[no-untyped-def]
    patterns, dark, gain, bad, first, near, top, left, bin, work, out
):
    """Subtract dark, multiply by gain, replace bad pixels, cut out, and sum squares of pixels.

    Parameters
    ----------
    patterns : array
        ``[pattern, ky, kx]``, in native byte order.
    dark, gain : float32 array
        ``[ky, kx]``.
    bad : int64 array
        ``[n]``: the places of the bad pixels, counted row by row.
    first, near : int64 array
        Bad pixel ``i`` takes the mean of the pixels ``near[first[i] : first[i + 1]]``.
    top, left, bin : int
        Where the squares begin, and how many pixels they are wide.
    work : float32 array
        Work space ``[ky, kx]``.
    out : float32 array
        ``[pattern, ky, kx]`` of the corrected patterns.
    """
    lines = np.empty(out.shape[2] * bin)
    whole = out.shape[1:] == work.shape
    for p in range(patterns.shape[0]):
        # What is neither cut off nor summed is worked on where it ends up.
        work = out[p] if whole else work
        flat = work.reshape(-1)
        for ky in range(work.shape[0]):
            counts, line, d, g = patterns[p, ky], work[ky], dark[ky], gain[ky]
            for kx in range(len(line)):
                line[kx] = (np.float32(counts[kx]) - d[kx]) * g[kx]
        for i in range(len(bad)):
            total = 0.0
            for j in range(first[i], first[i + 1]):
                total += flat[near[j]]
            flat[bad[i]] = total / (first[i + 1] - first[i])
        for oy in range(0 if whole else out.shape[1]):
            if bin == 1:
                part, to = work[top + oy], out[p, oy]
                for ox in range(len(to)):
                    to[ox] = part[left + ox]
                continue
            lines[:] = 0.0
            for b in range(bin):
                part = work[top + oy * bin + b]
                for kx in range(len(lines)):
                    lines[kx] += part[left + kx]
            _add_columns(lines, bin, out[p, oy])


@numba.njit(nogil=True, cache=True)
def bin_patterns(patterns, bin, lines, out):  # type: ignore[no-untyped-def]
    """Sum squares of `bin` x `bin` pixels; `lines` is work space ``[kx]`` of the sums' type."""
    kind = lines.dtype.type
    for p in range(patterns.shape[0]):
        for oy in range(out.shape[1]):
            lines[:] = kind(0)
            for b in range(bin):
                part = patterns[p, oy * bin + b]
                for kx in range(len(lines)):
                    lines[kx] += kind(part[kx])
            _add_columns(lines, bin, out[p, oy])


@numba.njit(nogil=True, cache=True, inline="always")
def _add_columns(lines, bin, out):  # type: ignore[no-untyped-def]
    if bin == 2:
        # A known distance becomes vector code.
        for ox in range(len(out)):
            out[ox] = lines[2 * ox] + lines[2 * ox + 1]
        return
    for ox in range(len(out)):
        total = lines[ox * bin]
        for b in range(1, bin):
            total += lines[ox * bin + b]
        out[ox] = total


@numba.njit(nogil=True, cache=True)
def add_counts(patterns, sums, squares):  # type: ignore[no-untyped-def]
    """Add the counts of patterns ``[pattern, ky, kx]``, and their squares, to ``[ky, kx]``."""
    whole, real = sums.dtype.type, squares.dtype.type
    for p in range(patterns.shape[0]):
        for ky in range(patterns.shape[1]):
            line, total, square = patterns[p, ky], sums[ky], squares[ky]
            for kx in range(len(line)):
                total[kx] += whole(line[kx])
                square[kx] += real(line[kx]) * real(line[kx])
