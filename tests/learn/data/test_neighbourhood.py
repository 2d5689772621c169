"""Neighbourhoods of positions, and variations of patterns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_ferro4d import Scan, ScanError
from napari_ferro4d.learn.data import Augment, Neighbourhood

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("reduce", ["mean", "max"])
@pytest.mark.parametrize("radius", [0, 1, 2])
def test_a_neighbourhood_is_the_square_of_positions_that_exist(reduce, radius):
    import dask.array as da

    counts = RNG.poisson(5.0, (7, 6, 2, 3)).astype(np.uint8)
    scan = Scan.from_array(da.from_array(counts, chunks=(3, 4, 2, 3)))
    result = Neighbourhood(radius, reduce).of(scan).data.compute()
    for y in range(7):
        for x in range(6):
            around = counts[
                max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1
            ]
            expected = getattr(around, reduce)(axis=(0, 1))
            np.testing.assert_allclose(result[y, x], expected, rtol=1e-6)


def test_an_impossible_neighbourhood_is_refused():
    with pytest.raises(ScanError, match="median"):
        Neighbourhood(1, "median")
    with pytest.raises(ScanError, match="-1"):
        Neighbourhood(-1)


def test_variations_keep_the_mean_and_have_the_noise_of_counting():
    torch.manual_seed(0)
    x = torch.log1p(torch.full((4000, 1, 4, 4), 9.0))
    for shots, variance in ((1, 9.0), (9, 1.0), (0, 0.0)):
        counts = torch.expm1(Augment(shots, gain=0.0, shift=0.3)(x))
        assert float(counts.mean()) == pytest.approx(9.0, rel=0.01)
        assert float(counts.var()) == pytest.approx(variance, rel=0.05, abs=1e-6)


def test_a_shift_moves_the_centre_of_mass_by_at_most_that_much():
    torch.manual_seed(0)
    counts = torch.zeros(200, 1, 9, 9)
    counts[:, 0, 4, 4] = 100.0
    moved = torch.expm1(Augment(0, gain=0.0, shift=0.3)(torch.log1p(counts)))[:, 0]
    com = (moved.sum(2) * torch.arange(9.0)).sum(1) / moved.sum((1, 2)) - 4
    assert float(com.abs().max()) <= 0.3 + 1e-4
    assert float(com.max()) > 0.2 > -0.2 > float(com.min())
