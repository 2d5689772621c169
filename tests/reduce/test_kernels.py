"""The compiled loops against plain numpy: byte orders, row orders, odd sizes and ragged masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ferro4d import Scan
from napari_ferro4d.reduce import (
    Segments,
    centre_of_mass,
    detector_sums,
    moments,
    pattern_sums,
    reduce_block,
    reduce_scan,
    region_means,
    virtual_images,
    weighted_sum,
)


@st.composite
def blocks(draw, dtypes):
    shape = draw(st.tuples(*[st.integers(1, top) for top in (3, 11, 21, 80)]))
    dtype = draw(st.sampled_from(dtypes))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    block = rng.integers(0, 200, shape).astype(dtype)
    bottom_up = draw(st.booleans())
    return block[:, :, ::-1] if bottom_up else block, rng


def everywhere(block: np.ndarray) -> tuple[slice, slice]:
    return slice(0, block.shape[0]), slice(0, block.shape[1])


@settings(max_examples=60, deadline=None)
@given(drawn=blocks(["u1", "<u2", ">u2", "<i4"]), count=st.integers(1, 4), density=st.floats(0, 1))
def test_reductions_in_one_loop_are_exact(drawn, count, density):
    block, rng = drawn
    scan = Scan.from_array(block)
    masks = list(rng.random((count, *block.shape[2:])) < density)
    regions = rng.integers(-1, 3, block.shape[:2])
    rows = [masks[0].any(axis=1)] * block.shape[3]  # every row whole, or left out
    first = np.where(rows[0], 0, 0)
    last = np.where(rows[0], block.shape[3], 0)
    reductions = [
        moments(scan, first, last, np.asarray),
        detector_sums(scan, masks, np.asarray),
        pattern_sums(scan, regions, 3, np.asarray),
    ]
    together = reduce_block(block, everywhere(block), reductions)
    counts = block.astype(np.int64)
    taken = counts * rows[0][:, None]
    ky, kx = np.indices(block.shape[2:])
    np.testing.assert_array_equal(
        together[0], np.stack([(taken * w).sum((2, 3)) for w in (1, ky, kx)], axis=-1)
    )
    np.testing.assert_array_equal(
        together[1], np.stack([(counts * mask).sum((2, 3)) for mask in masks], axis=-1)
    )
    np.testing.assert_array_equal(
        together[2], [counts[regions == region].sum(axis=0) for region in range(3)]
    )
    for reduction, part in zip(reductions, together, strict=True):
        (alone,) = reduce_block(block, everywhere(block), [reduction])
        np.testing.assert_array_equal(alone, part)


@settings(max_examples=30, deadline=None)
@given(drawn=blocks([">u2", "<f4", ">f8"]), density=st.floats(0, 1))
def test_weights_are_summed_in_double_precision(drawn, density):
    block, rng = drawn
    weights = rng.normal(size=block.shape[2:]) * (rng.random(block.shape[2:]) < density)
    reduction = weighted_sum(Scan.from_array(block), weights, np.asarray)
    (sums,) = reduce_block(block, everywhere(block), [reduction])
    expected = (block.astype(float) * weights).sum((2, 3))
    np.testing.assert_allclose(sums[..., 0], expected, rtol=1e-12, atol=1e-9)


def test_a_dead_pixel_outside_the_detector_does_not_count():
    array = np.ones((2, 2, 9, 20), np.float32)
    array[..., 3, 5] = np.nan
    mask = np.ones((9, 20), bool)
    mask[3, 5] = False
    (images,) = reduce_scan(
        scan := Scan.from_array(array), [virtual_images(scan, [mask, ~mask], [None, None])]
    )
    assert np.all(images[0].image == 179)
    assert np.all(np.isnan(images[1].image))


@settings(max_examples=80, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 30), st.integers(1, 90)),
    density=st.floats(0, 0.3),
    seed=st.integers(0, 2**31),
)
def test_segments_hold_every_pixel_once(shape, density, seed):
    mask = np.random.default_rng(seed).random(shape) < density
    segments = Segments.of([mask], np.dtype(np.int64))
    covered = np.zeros(shape, int)
    for _, ky, rows, kx, width, start in segments.table:
        part = segments.weights[start : start + rows * width].reshape(rows, width)
        covered[ky : ky + rows, kx : kx + width] += part
    np.testing.assert_array_equal(covered, mask)


@pytest.mark.parametrize("dtype", ["u1", "<u2"])
def test_sums_of_the_largest_counts_do_not_overflow(dtype):
    block = np.full((1, 4, 40, 4000), np.iinfo(dtype).max, dtype)
    scan = Scan.from_array(block)
    maps, means = reduce_scan(
        scan, [centre_of_mass(scan, centre=(0, 0)), region_means(scan, np.ones((1, 4), int))]
    )
    assert np.all(maps.sum == np.float32(block[0, 0].sum(dtype=np.int64)))
    np.testing.assert_allclose(maps.com_y, 19.5)
    np.testing.assert_allclose(maps.com_x, 1999.5)
    assert np.all(means[1] == np.iinfo(dtype).max)
