"""Neighbourhoods of positions."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ferro4d import Scan, ScanError
from napari_ferro4d.learn.data import Neighbourhood

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
