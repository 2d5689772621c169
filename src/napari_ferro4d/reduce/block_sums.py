"""What one block of patterns gives for several reductions at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_ferro4d.io import Place

from .flat_patterns import Patterns
from .reductions import Kind, Reduction

_CACHED_BYTES = 2**19
"""Patterns that several reductions work on in turn: they fit a processor's cache, so memory is read
once for all."""


def reduce_block(
    block: np.ndarray, place: Place, reductions: Sequence[Reduction[Any]]
) -> list[np.ndarray]:
    """Return what one block gives for each of the reductions."""
    patterns = Patterns.of(block)
    parts = [reduction.empty(block.shape[:2]) for reduction in reductions]
    if len(reductions) == 1:
        reductions[0].add(patterns, parts[0], place)
        return parts
    _, _, nky, nkx = block.shape
    run = max(1, _CACHED_BYTES // max(1, nky * nkx * block.dtype.itemsize))
    fused, others = _fused(reductions, parts, place)
    if fused:
        from . import kernels

        kernels.add_up(patterns, **fused)
    _in_turn(patterns, [(reductions[n], parts[n]) for n in others], place, run)
    return parts


def _fused(
    reductions: Sequence[Reduction[Any]], parts: Sequence[np.ndarray], place: Place
) -> tuple[dict[Kind, tuple[Any, ...]], list[int]]:
    """Return what the compiled loop over several reductions takes, and the numbers of the rest."""
    taken: dict[Kind, tuple[Any, ...]] = {}
    others = []
    for number, (reduction, part) in enumerate(zip(reductions, parts, strict=True)):
        one = reduction.fusible
        if one is None or one.kind in taken:
            others.append(number)
        else:
            taken[one.kind] = one.arguments(part, place)
    if len(taken) > 1:
        return taken, others
    return {}, list(range(len(reductions)))


def _in_turn(
    patterns: Patterns,
    reductions: Sequence[tuple[Reduction[Any], np.ndarray]],
    place: Place,
    run: int,
) -> None:
    """Let each of the reductions add `run` patterns in turn."""
    if not reductions:
        return
    top, left = place[0].start, place[1].start
    ny, nx = patterns.layout[:2]
    for y in range(ny):
        for x in range(0, nx, run):
            some = patterns.run(y, x, run)
            end = x + some.layout[1]
            at = slice(top + y, top + y + 1), slice(left + x, left + end)
            for reduction, part in reductions:
                out = part[y : y + 1, x:end] if reduction.per_position else part
                reduction.add(some, out, at)
