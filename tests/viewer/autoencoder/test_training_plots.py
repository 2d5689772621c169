"""The plots of a training: what they show of numbers of any kind."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.plots import picture
from napari_ferro4d.learn import TrainingState
from napari_ferro4d.viewer.autoencoder import Course, Curve, CurveRows, LossPlot, Thumbnails


def where(pixels: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Return rows and columns of the pixels of about this colour."""
    return np.argwhere(np.abs(pixels[..., :3] - colour).max(axis=-1) < 40)


@pytest.mark.parametrize(
    "losses", [(1.0,), (5.0, 5.0), (900.0, 3.0, 0.5), (float("nan"), 2.0, 1.0), (0.0, -1.0)]
)
def test_the_loss_plot_draws_any_number_of_losses(qtbot, losses):
    plot = LossPlot()
    qtbot.addWidget(plot)
    plot.resize(260, 140)
    empty = picture(plot)
    plot.show_losses(losses)
    assert (picture(plot) != empty).any()


def test_a_curve_falls_where_its_values_fall(qtbot):
    rows = CurveRows()
    qtbot.addWidget(rows)
    falling, rising = np.geomspace(1e3, 1e-3, 4000), np.arange(4000.0)
    curves = [
        Curve("falling", tuple(falling), "#ff0000"),
        Curve("rising", tuple(rising), "#00ff00"),
        Curve("none", (float("nan"), float("nan")), "#0000ff"),
        Curve("one", (3.0,), "#ff00ff"),
    ]
    rows.show_curves(curves)
    rows.resize(340, rows.height())
    pixels = picture(rows)
    red = where(pixels, (255, 0, 0))
    # A straight line on a logarithmic scale, from the top left to the bottom right of its row.
    middle = red[np.abs(red[:, 1] - np.median(red[:, 1])) < 3, 0].mean()
    assert middle == pytest.approx((red[:, 0].min() + red[:, 0].max()) / 2, abs=2)
    assert np.corrcoef(red.T)[0, 1] > 0.9
    green = where(pixels, (0, 255, 0))
    assert np.corrcoef(green.T)[0, 1] < -0.9
    assert green[:, 0].min() > red[:, 0].max()
    assert not len(where(pixels, (0, 0, 255)))
    assert len(where(pixels, (255, 0, 255)))


def test_thumbnails_keep_the_shape_of_the_scan_and_leave_out_what_is_missing(qtbot):
    thumbnails = Thumbnails(count=3, colormap="gray")
    qtbot.addWidget(thumbnails)
    maps = np.zeros((2, 10, 20), np.float32)
    maps[:, :, 10:] = 1
    maps[1] = -maps[1]
    maps[1, 0] = np.nan
    thumbnails.resize(200, 40)
    thumbnails.show_maps(maps)
    first, _ = thumbnails.images
    assert first.get_size() == (10, 20)
    assert thumbnails.height() == 32  # half of a third of the width
    pixels = picture(thumbnails)[..., :3]
    assert (pixels[10, 40] == 255).all()
    assert (pixels[10, 10] == 0).all()
    # The second is 68 pixels further, and misses a row of three pixels and a fifth.
    assert (pixels[10, 78] == 255).all()
    assert (pixels[10, 108] == 0).all()
    assert (pixels[1, 78] == pixels[1, 190]).all()
    assert (pixels[1, 108] == pixels[1, 190]).all()


def test_the_course_of_a_training_shows_terms_that_count(qtbot):
    course = Course()
    qtbot.addWidget(course)
    course.show_state(TrainingState(0, 5))
    assert course.thumbnails.isHidden()
    terms = {
        "reconstruction": (0.6, 0.5),
        "activity": (3.0, 2.0),
        "similarity": (0.0, 0.0),
        "divergence": (0.0, 1.0),
        "kl": (0.2, 0.1),
    }
    maps = np.random.default_rng(0).random((6, 8, 9), np.float32)
    state = TrainingState(
        2, 5, (2.0, 1.0), (), terms, learning_rates=(1e-3, 1e-4), active=(4, 3), thumbnails=maps
    )
    course.show_state(state)
    assert [(curve.name, curve.values[-1]) for curve in course.rows.curves] == [
        ("reconstruction", 0.5),
        ("activity", 2.0),
        ("divergence", 1.0),
        ("KL", 0.1),
        ("learning rate", 1e-4),
        ("active channels", 3),
    ]
    assert not course.thumbnails.isHidden()
    images = course.thumbnails.images
    course.show_state(state)
    assert course.thumbnails.images is images  # not drawn again
    course.clear()
    assert course.thumbnails.isHidden()
    assert not course.rows.curves
