"""Labels that can be learnt from, and what is said of others."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ferro4d import LabelsError
from napari_ferro4d.learn.data import check_labels


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.ones((3, 4), int), r"3 x 4.* 4 x 4"),
        (np.ones((4, 4)), "float64"),
        (-np.ones((4, 4), int), "from -1"),
        (np.zeros((4, 4), int), "no position is labelled"),
        (np.eye(4, dtype=int) * 3, "only class 3"),
        (np.eye(4, dtype=int) * 70_000, "70000"),
    ],
)
def test_unusable_labels_are_explained(labels, words):
    with pytest.raises(LabelsError, match=words):
        check_labels(labels, (4, 4))
