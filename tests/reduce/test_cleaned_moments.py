"""Centre of mass with any mask, a background and a threshold, against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ferro4d import Scan, ScanError, com


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    dtype=st.sampled_from(["u1", "<u2", ">u2", "<i4", "<f4", ">f8"]),
    density=st.floats(0.2, 1),
    least=st.one_of(st.none(), st.floats(-5, 60)),
    image=st.booleans(),
    weighted=st.booleans(),
    bottom_up=st.booleans(),
)
def test_any_mask_background_and_threshold(seed, dtype, density, least, image, weighted, bottom_up):
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 99, (2, 3, 13, 17)).astype(dtype)
    array = array[:, :, ::-1] if bottom_up else array
    mask = rng.random((13, 17)) < density
    mask[6, 8] = True
    weights = mask * rng.random((13, 17)) if weighted else mask
    background = rng.random((13, 17)) * 20 if image else 7.5
    maps = com(
        Scan.from_array(array),
        centre=(0, 0),
        mask=weights,
        background=background,
        threshold=least,
    )
    clean = array.astype(float) - background
    clean = np.where(clean < (-np.inf if least is None else least), 0, clean) * weights
    total = clean.sum((2, 3))
    ky, kx = np.indices((13, 17))
    np.testing.assert_allclose(maps.sum, total, rtol=1e-5, atol=1e-3)
    clear = total > 50  # a sum near zero has no centre to speak of
    np.testing.assert_allclose(
        maps.com_y[clear], ((clean * ky).sum((2, 3)) / total)[clear], rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(
        maps.com_x[clear], ((clean * kx).sum((2, 3)) / total)[clear], rtol=1e-4, atol=1e-4
    )


def test_a_mask_within_a_radius_counts_where_both_do():
    array = np.random.default_rng(1).integers(0, 99, (2, 2, 16, 16)).astype(np.uint16)
    half = np.zeros((16, 16), bool)
    half[:, :8] = True
    maps = com(Scan.from_array(array), centre=(8, 8), mask_radius=5, mask=half)
    ky, kx = np.indices((16, 16))
    inside = half & (np.hypot(ky - 8, kx - 8) <= 5)
    np.testing.assert_array_equal(maps.sum, (array * inside).sum((2, 3)))


def test_no_cleaning_is_the_plain_centre_of_mass():
    array = np.random.default_rng(2).integers(0, 99, (3, 2, 9, 10)).astype(np.uint8)
    plain = com(Scan.from_array(array), centre=(4, 4))
    cleaned = com(Scan.from_array(array), centre=(4, 4), mask=np.ones((9, 10)), threshold=0)
    np.testing.assert_array_equal(plain.sum, cleaned.sum)
    np.testing.assert_allclose(plain.com_y, cleaned.com_y, atol=1e-6)


def test_nan_shows_where_it_counts():
    array = np.ones((1, 2, 8, 8), np.float32)
    array[0, 0, 2, 3] = np.nan
    mask = np.ones((8, 8), bool)
    assert np.isnan(com(Scan.from_array(array), centre=(4, 4), threshold=0).sum[0, 0])
    mask[2, 3] = False
    assert np.all(com(Scan.from_array(array), centre=(4, 4), mask=mask).sum == 63)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mask": np.ones((3, 3))}, "mask has shape"),
        ({"mask": np.zeros((8, 8))}, "no detector pixel"),
        ({"mask": -np.ones((8, 8))}, "negative weights"),
        ({"background": np.full((8, 8), np.nan)}, "background holds"),
        ({"background": np.inf}, "background holds"),
        ({"threshold": np.nan}, "threshold is a number"),
    ],
)
def test_impossible_cleaning_is_refused(options, said):
    scan = Scan.from_array(np.ones((1, 2, 8, 8), np.uint8))
    with pytest.raises(ScanError, match=said):
        com(scan, centre=(4, 4), **options)
