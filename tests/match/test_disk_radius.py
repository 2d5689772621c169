"""The radius of the diffraction disks, where they stand apart and where they touch."""

import numpy as np
import pytest

from napari_ferro4d.match import disk_radius_of

BEAM = (63.4, 63.7)


@pytest.mark.parametrize("gap", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("radius", [5.3, 10.0, 20.0])
def test_the_radius_is_that_of_one_disk_of_a_row(radius, gap):
    ky, kx = np.indices((128, 128))
    expected = np.zeros((128, 128))
    for order in range(-3, 4):
        distance = np.hypot(ky - BEAM[0], kx - BEAM[1] - order * (2 * radius + gap))
        expected += np.clip(radius + 0.5 - distance, 0, 1) * (200 if order == 0 else 120)
    pattern = np.random.default_rng(0).poisson(expected).astype(float)
    assert disk_radius_of(pattern, BEAM) == pytest.approx(radius, rel=0.05)


@pytest.mark.parametrize("radius", [1.5, 2.0, 3.0, 4.75, 12.0])
@pytest.mark.parametrize("at", [15.0, 15.25, 15.5])
def test_a_disk_that_stands_alone_has_the_radius_of_its_area(radius, at):
    ky, kx = np.indices((32, 32))
    disk = np.hypot(ky - at, kx - at) < radius
    expected = max(1.0, np.sqrt(disk.sum() / np.pi))
    assert disk_radius_of(1 + 100.0 * disk, (at, at)) == pytest.approx(expected)


def test_a_blank_pattern_has_the_least_radius():
    assert disk_radius_of(np.zeros((16, 16)), (7.5, 7.5)) == 1.0
