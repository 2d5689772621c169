"""Which simulated state the pattern at each probe position is likest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_ferro4d.errors import ScanError
from napari_ferro4d.match import map_states
from napari_ferro4d.scan import Scan
from napari_ferro4d.simulate import demo_scan, demo_truth


@pytest.fixture(scope="module")
def known():
    return demo_scan(), demo_truth().labels


def right(found, labels):
    """Share of the positions that are told which are told rightly."""
    told = found.labels > 0
    return np.mean(found.labels[told] == labels[told]), np.mean(told)


def test_both_polarities_of_the_demo_are_told_apart_pattern_by_pattern(known):
    scan, labels = known
    found = map_states(scan, "ermno3", rotation=(-20, 20))
    assert found.states == ("+P", "-P")
    assert found.labels.dtype == np.uint8
    assert found.ahead.dtype == np.float32
    assert not found.half_turn_open
    assert abs(found.registration.rotation) < 2
    assert 50 < found.thickness < 75
    share, told = right(found, labels)
    assert share > 0.998
    assert told > 0.98
    # Those that are nearly as like the other state are left out, and more of them if asked.
    strict = map_states(scan, "ermno3", rotation=(-20, 20), least=8.0)
    np.testing.assert_array_equal(strict.labels > 0, strict.ahead >= 8)
    assert right(strict, labels)[0] == 1.0


def test_half_a_turn_is_open_unless_the_angle_is_given_and_names_choose_states(known):
    scan, labels = known
    found = map_states(scan, "ermno3", states=("-P", "+P"), thickness=64.0)
    assert found.half_turn_open
    assert found.thickness == 64.0
    assert found.states == ("-P", "+P")
    swapped = replace(found, labels=np.where(found.labels, 3 - found.labels, 0))
    assert right(swapped, labels)[0] > 0.998


@pytest.fixture
def spots():
    """Two patterns with the same disks, of different brightness."""
    y, x = np.indices((33, 33)) - 16.0
    places = [(0, 0, 40), (0, 9, 9), (9, 0, 4), (0, -9, 4), (-9, 0, 2), (7, -8, 6)]
    disks = [power * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 5) for a, b, power in places]
    first = np.sum(disks, axis=0)
    second = first - 5 * disks[1] / 9 + 5 * disks[3] / 4
    return first, second


def scan_of(patterns, labels, dose, missing=None):
    shares = np.array([one / one.sum() for one in patterns])[labels - 1]
    counts = np.random.default_rng(5).poisson(dose * shares).astype(np.uint16)
    return Scan.from_array(counts, k_step=0.02, missing=missing)


def test_patterns_that_are_given_are_told_apart_as_far_as_counting_noise_allows(spots):
    labels = np.where(np.arange(20) < 8, 1, 2) + np.zeros((15, 1), int)
    missing = np.zeros(labels.shape, bool)
    missing[3, 4] = True
    clear = map_states(scan_of(spots, labels, 2000, missing), spots, rotation=(-5, 5))
    assert clear.states == ("state 1", "state 2")
    assert clear.thickness is None
    assert clear.labels[3, 4] == 0
    assert np.isnan(clear.ahead[3, 4])
    share, told = right(clear, labels)
    assert share == 1.0
    assert told > 0.95
    faint = map_states(scan_of(spots, labels, 60), spots, rotation=(-5, 5))
    share, told = right(faint, labels)
    assert told < 0.6
    assert share > 0.9


def test_what_cannot_be_compared_is_said(known, spots):
    scan, _ = known
    with pytest.raises(ScanError, match="one only"):
        map_states(scan, "ermno3", states=("+P",))
    with pytest.raises(ScanError, match="no state 'up'"):
        map_states(scan, "ermno3", states=("+P", "up"))
    with pytest.raises(ScanError, match="shapes"):
        map_states(scan, [spots[0], spots[1][:-1]])
    with pytest.raises(ScanError, match="size of a detector pixel"):
        map_states(replace(scan, k_step=None), "ermno3")
