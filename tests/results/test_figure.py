"""Figures: what is drawn where, and how long a scale bar is."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.image import imread

from napari_ferro4d.results import Panel, draw_panels

RED, BLUE = (1.0, 0.0, 0.0, 1.0), (0.0, 0.0, 1.0, 1.0)
CLASSES = {1: ("up", RED), 2: ("down", BLUE)}


def drawn(tmp_path, *panels, **options):
    draw_panels(panels, tmp_path / "figure.png", **options)
    return np.round(imread(tmp_path / "figure.png")[..., :3] * 255).astype(int)


def longest_run(row):
    """Return the length of the longest run of True."""
    ends = np.flatnonzero(np.diff(np.concatenate([[0], row, [0]])))
    return int(np.max(np.diff(ends)[::2], initial=0))


def test_the_first_row_is_on_top_and_the_first_column_left(tmp_path):
    labels = np.full((20, 20), 2, np.uint8)
    labels[:5, :10] = 1
    picture = drawn(tmp_path, Panel("labels", labels, classes=CLASSES), columns=1)
    red, blue = ((picture == np.multiply(c[:3], 255)).all(-1) for c in (RED, BLUE))
    # The same colours in the legend are small.
    height = [sum(longest_run(column) > 20 for column in part.T) for part in (red, blue)]
    assert height[0] == pytest.approx(height[1] / 2, rel=0.03)
    assert np.argwhere(red).min(0)[0] < np.argwhere(blue).min(0)[0] + 2
    ny = max(longest_run(column) for column in blue.T)
    assert max(longest_run(column) for column in red.T) == pytest.approx(ny / 4, rel=0.05)


@pytest.mark.parametrize(("step", "share"), [((2.0, 2.0), 20 / 80), (None, 10 / 40)])
def test_a_scale_bar_is_as_long_as_it_says(tmp_path, step, share):
    labels = np.ones((40, 40), np.uint8)
    panel = Panel("labels", labels, classes={1: CLASSES[1]})
    picture = drawn(tmp_path, panel, columns=1, scan_step=step)
    red = (picture == [255, 0, 0]).all(-1)
    width = max(longest_run(row) for row in red)
    black = [longest_run(row) for row in (picture < 60).all(-1)]
    bar = max(run for run in black if run < width / 2)  # not the frame
    assert bar / width == pytest.approx(share, rel=0.03)


def test_steps_that_differ_stretch_a_map(tmp_path):
    labels = np.ones((20, 20), np.uint8)
    panel = Panel("labels", labels, classes={1: CLASSES[1]})
    red = (drawn(tmp_path, panel, columns=1, scan_step=(1.0, 2.0)) == [255, 0, 0]).all(-1)
    width, height = (max(longest_run(row) for row in part) for part in (red, red.T))
    assert height / width == pytest.approx(0.5, rel=0.03)


def test_what_colours_mean_is_drawn_beside_them(tmp_path):
    colours = np.zeros((10, 10, 3), np.uint8)
    colours[..., 1] = 255
    key = np.full((5, 5, 3), (255, 0, 255), np.uint8)
    picture = drawn(tmp_path, Panel("direction", colours, key=key), columns=1)
    map_, beside = ((picture == colour).all(-1) for colour in ([0, 255, 0], [255, 0, 255]))
    assert beside.sum() > 100
    assert np.argwhere(beside)[:, 1].min() > np.argwhere(map_)[:, 1].max()
