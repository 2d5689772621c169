"""Walls and tables of label maps."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ferro4d.domains import domain_table, walls
from napari_ferro4d.errors import LabelsError


def test_a_wall_has_two_sides_and_unlabelled_makes_none():
    labels = np.array([[1, 1, 2, 2], [1, 0, 2, 2], [1, 1, 1, 1]])
    expected = np.array([[0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 1, 1]], bool)
    np.testing.assert_array_equal(walls(labels), expected)


def test_the_table_lists_connected_domains_largest_first():
    labels = np.ones((10, 12), np.uint8)
    labels[2:5, 3:6] = 2
    labels[8, 8] = 2
    rows = domain_table(labels, (2.0, 3.0), {2: "-P"})
    assert [(r.class_number, r.positions, r.area_nm2) for r in rows] == [
        (1, 110, 660.0),
        (2, 9, 54.0),
        (2, 1, 6.0),
    ]
    assert rows[1].centre == (3.0, 4.0)
    assert [r.touches_edge for r in rows] == [True, False, False]
    assert rows[1].class_name == "-P"
    assert domain_table(labels)[0].area_nm2 is None


def test_no_label_image_is_refused():
    with pytest.raises(LabelsError):
        walls(np.zeros((2, 2)))
    with pytest.raises(LabelsError):
        domain_table(np.zeros((2, 2, 2), int))
