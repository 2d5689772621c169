"""Classes proposed from maps and label images, and which of them become labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from napari_ferro4d.embedding import (
    Sector,
    area_at,
    in_polygons,
    likely_matches,
    propose_directions,
    propose_gates,
    propose_matches,
    propose_ranges,
    taken,
    without_small,
)
from napari_ferro4d.errors import ScanError

SHAPES = array_shapes(min_dims=2, max_dims=2, max_side=12)
KINDS = st.sampled_from([np.uint8, np.int16, np.uint16, np.int64])
MAPS = arrays(
    st.sampled_from([np.float32, np.float64, np.int32]),
    SHAPES,
    elements=st.integers(-20, 20),
)
NUMBERS = st.one_of(st.integers(1, 9), st.integers(250, 300))
RANGES = st.dictionaries(NUMBERS, st.tuples(st.integers(-20, 20), st.integers(-20, 20)), max_size=4)


@st.composite
def proposed(draw):
    """Proposals, labels and a region of one shape, of any integers."""
    shape = draw(SHAPES)
    few = st.integers(0, 3)
    return (
        draw(arrays(draw(KINDS), shape, elements=few)),
        draw(arrays(draw(KINDS), shape, elements=few)),
        draw(arrays(bool, shape)),
    )


@given(MAPS, RANGES)
def test_a_position_is_proposed_where_its_value_is_in_the_range_of_one_class(values, ranges):
    found = propose_ranges(values, ranges)
    assert found.shape == values.shape
    assert found.dtype == (np.uint8 if max(ranges, default=0) < 256 else np.uint16)
    for value, number in zip(values.ravel(), found.ravel(), strict=True):
        fits = [n for n, ends in ranges.items() if min(ends) <= value <= max(ends)]
        assert number == (fits[0] if len(fits) == 1 else 0)


@given(MAPS, RANGES)
def test_a_range_of_one_map_is_a_strip_in_the_plane_of_two(values, ranges):
    strips = {
        n: [[(low - 0.5, -1), (high + 0.5, -1), (high + 0.5, 1), (low - 0.5, 1)]]
        for n, (low, high) in ((n, sorted(ends)) for n, ends in ranges.items())
    }
    found = propose_gates(values, np.zeros(values.shape), strips)
    np.testing.assert_array_equal(found, propose_ranges(values, ranges))


@given(
    arrays(np.float64, 12, elements=st.floats(-5, 5).filter(lambda v: v == 0 or abs(v) > 1e-3)),
    st.floats(-720, 720),
    st.sampled_from([30.0, 60.0, 90.0]),
)
def test_turning_the_field_and_the_sectors_together_changes_nothing(values, turn, width):
    y, x = values.reshape(2, 2, 3)
    sectors = {n: Sector(120 * n, width) for n in (1, 2, 3)}
    turned = {n: Sector(s.direction + turn, s.width) for n, s in sectors.items()}
    angle = np.radians(turn)
    right, down = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    before, after = propose_directions(y, x, sectors), propose_directions(down, right, turned)
    off = np.abs((np.degrees(np.arctan2(y, x)) + 60) % 120 - 60)
    sure = np.abs(off - width / 2) > 1e-6
    np.testing.assert_array_equal(before[sure], after[sure])


def test_directions_go_from_right_to_down_and_short_vectors_propose_nothing():
    down = np.array([[0.0, -2.0, 0.0, 2.0, -0.1, np.nan, 0.0]])
    right = np.array([[2.0, 0.0, -2.0, 0.0, 0.0, 1.0, 0.0]])
    quarters = {n + 1: Sector(90 * n, 80) for n in range(4)}  # right, down, left, up
    found = propose_directions(down, right, quarters, least=0.5)
    assert found.tolist() == [[1, 4, 3, 2, 0, 0, 0]]


@given(
    arrays(KINDS, SHAPES, elements=st.integers(0, 5)), st.dictionaries(st.integers(1, 5), NUMBERS)
)
def test_values_of_a_label_image_propose_the_classes_they_are_said_to_mean(values, classes):
    found = propose_matches(values, classes)
    expected = [[classes.get(int(value), 0) for value in row] for row in values]
    np.testing.assert_array_equal(found, expected)


@given(proposed())
def test_a_value_means_the_class_that_it_shares_most_positions_with(given):
    values, labels, _ = given
    found = likely_matches(values, labels)
    for value in (1, 2, 3):
        shared = [np.sum((values == value) & (labels == number)) for number in (1, 2, 3)]
        assert (value in found) == any(shared)
        if value in found:
            assert shared[found[value] - 1] == max(shared)


@given(proposed(), st.one_of(st.none(), st.integers(1, 8)))
def test_what_is_labelled_stays_and_only_what_is_proposed_there_is_taken(given, most):
    proposals, labels, where = given
    found = taken(proposals, labels, where, most)
    free = where & (proposals > 0) & (labels == 0)
    assert found.dtype == bool
    assert not (found & ~free).any()
    for number in (1, 2, 3):
        there = int(np.sum(free & (proposals == number)))
        assert np.sum(found & (proposals == number)) == (
            there if most is None else min(there, most)
        )


@given(proposed(), st.integers(0, 11), st.integers(0, 11))
def test_an_area_is_all_that_is_connected_and_of_one_class(given, y, x):
    proposals, _, _ = given
    area = area_at(proposals, y, x)
    if y >= proposals.shape[0] or x >= proposals.shape[1] or proposals[y, x] == 0:
        assert not area.any()
        return
    assert area[y, x]
    assert set(proposals[area].tolist()) == {proposals[y, x]}
    grown = np.pad(area, 1)
    grown = grown[:-2, 1:-1] | grown[2:, 1:-1] | grown[1:-1, :-2] | grown[1:-1, 2:]
    assert not (grown & ~area & (proposals == proposals[y, x])).any()
    for one in np.argwhere(area):
        np.testing.assert_array_equal(area_at(proposals, *one), area)


@given(proposed(), st.integers(0, 6))
def test_small_areas_propose_nothing_and_the_others_stay(given, least):
    proposals, _, _ = given
    found = without_small(proposals, least)
    assert found.dtype == proposals.dtype
    for y, x in np.argwhere(proposals):
        stays = area_at(proposals, y, x).sum() >= least
        assert found[y, x] == (proposals[y, x] if stays else 0)
    assert not found[proposals == 0].any()


def test_a_few_labels_of_a_domain_are_spread_over_it_and_away_from_its_walls():
    proposals = np.ones((40, 60), np.uint8)
    proposals[:, 20:] = 2
    found = taken(proposals, np.zeros_like(proposals), np.ones(proposals.shape, bool), most=12)
    assert [np.sum(found & (proposals == n)) for n in (1, 2)] == [12, 12]
    ys, xs = np.nonzero(found)
    assert np.abs(xs - 19.5).min() >= 1.5
    # No quarter of either domain goes without.
    for left, right in ((0, 10), (10, 20), (20, 40), (40, 60)):
        for top in (0, 20):
            inside = (ys >= top) & (ys < top + 20) & (xs >= left) & (xs < right)
            assert inside.sum() >= 2


def test_positions_are_in_a_region_by_their_middle():
    square = [(0.5, 0.5), (0.5, 3.5), (2.5, 3.5), (2.5, 0.5)]
    outside = [(-9.0, -9.0), (-9.0, -5.0), (-5.0, -5.0)]
    found = in_polygons((4, 5), [square, outside, [(0, 0), (1, 1)]])
    expected = np.zeros((4, 5), bool)
    expected[1:3, 1:4] = True
    np.testing.assert_array_equal(found, expected)
    assert not in_polygons((4, 5), []).any()


def test_what_cannot_be_proposed_from_is_said():
    flat = np.zeros((3, 4))
    with pytest.raises(ScanError, match="3 dimensions"):
        propose_ranges(np.zeros((2, 3, 4)), {1: (0, 1)})
    with pytest.raises(ScanError, match="class numbers"):
        propose_ranges(flat, {0: (0, 1)})
    with pytest.raises(ScanError, match="class numbers"):
        propose_matches(flat.astype(int), {1: 70_000})
    with pytest.raises(ScanError, match="shape"):
        propose_directions(flat, flat.T, {1: Sector(0, 90)})
    with pytest.raises(ScanError, match="shape"):
        propose_gates(flat, flat.T, {1: [[(0, 0), (1, 0), (1, 1)]]})
    with pytest.raises(ScanError, match="one shape"):
        taken(flat, flat.T, flat)
    assert likely_matches(flat, flat.T) == {}
