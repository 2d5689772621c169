"""Virtual detectors: which pixels lie inside, against exact arithmetic and other libraries."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_ferro4d.errors import ScanError
from napari_ferro4d.reduce import (
    Annulus,
    Disk,
    Polygon,
    Rectangle,
    detector_text,
    parse_detector,
    virtual,
)
from napari_ferro4d.scan import Scan

SIZE = (15, 12)

halves = st.integers(-40, 40).map(lambda n: n / 2)
corners = st.tuples(halves, halves)
centres = st.tuples(
    st.integers(0, 28).map(lambda n: n / 2), st.integers(0, 22).map(lambda n: n / 2)
)
polygons = st.lists(corners, min_size=3, max_size=8).map(lambda points: Polygon(tuple(points)))


def contains(points, y, x):
    """Even-odd rule and edges, one pixel at a time, in exact fractions."""
    inside = False
    for (y0, x0), (y1, x1) in zip(points, points[1:] + points[:1], strict=True):
        across = (y1 - y0) * (x - x0) - (x1 - x0) * (y - y0)
        if across == 0 and min(y0, y1) <= y <= max(y0, y1) and min(x0, x1) <= x <= max(x0, x1):
            return True
        if (y0 > y) != (y1 > y) and x < x0 + Fraction((y - y0) * (x1 - x0), y1 - y0):
            inside = not inside
    return inside


@given(polygons, centres)
def test_a_polygon_holds_exactly_the_pixels_whose_centres_it_holds(polygon, centre):
    points = [
        tuple(Fraction(v) + Fraction(c) for v, c in zip(corner, centre, strict=True))
        for corner in polygon.corners
    ]
    expected = [[contains(points, y, x) for x in range(SIZE[1])] for y in range(SIZE[0])]
    np.testing.assert_array_equal(polygon.mask(SIZE, centre), expected)


@given(corners, corners, centres)
def test_a_rectangle_is_the_polygon_of_its_corners_whichever_comes_first(one, other, centre):
    (ky0, kx0), (ky1, kx1) = one, other
    mask = Rectangle(*one, *other).mask(SIZE, centre)
    np.testing.assert_array_equal(mask, Rectangle(*other, *one).mask(SIZE, centre))
    around = Polygon(((ky0, kx0), (ky0, kx1), (ky1, kx1), (ky1, kx0)))
    np.testing.assert_array_equal(mask, around.mask(SIZE, centre))


@given(st.integers(0, 2**32 - 1), st.integers(3, 9))
def test_convex_and_concave_polygons_agree_with_matplotlib_and_scikit_image(seed, count):
    from matplotlib.path import Path
    from skimage.draw import polygon2mask

    # Round the middle, each corner at its own distance; numbers that no pixel centre lies on.
    random = np.random.default_rng(seed)
    angles = np.sort(random.uniform(0, 2 * np.pi, count))
    points = 20 + random.uniform(4, 18, count)[:, None] * np.stack(
        [np.sin(angles), np.cos(angles)], axis=1
    )
    polygon = Polygon(tuple((float(y) - 20, float(x) - 20) for y, x in points))
    mask = polygon.mask((40, 44), (20, 20))
    np.testing.assert_array_equal(mask, polygon2mask((40, 44), points))
    pixels = np.indices((40, 44)).reshape(2, -1).T
    np.testing.assert_array_equal(mask.ravel(), Path(points).contains_points(pixels))


def test_a_rotated_square_has_the_area_of_a_diamond():
    mask = Polygon(((-10, 0), (0, 10), (10, 0), (0, -10))).mask((64, 64), (32, 32))
    assert mask.sum() == 2 * 10**2 + 2 * 10 + 1  # |ky| + |kx| <= 10
    np.testing.assert_array_equal(mask, mask.T)


def test_a_polygon_that_leaves_the_detector_is_cut_off():
    mask = Polygon(((-99, -99), (-99, 99), (99, 99), (99, -99))).mask((6, 8), (3, 3))
    assert mask.all()
    assert not Polygon(((50, 50), (50, 60), (60, 60))).mask((6, 8), (3, 3)).any()


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("disk:20", Disk(20)),
        ("annulus:8,20.5", Annulus(8, 20.5)),
        ("rectangle:-5,-4,3,2.25", Rectangle(-5, -4, 3, 2.25)),
        ("polygon:0,0;0,10;10,0", Polygon(((0, 0), (0, 10), (10, 0)))),
    ],
)
def test_the_text_of_a_detector_is_read_and_written_the_same(text, shape):
    assert parse_detector(text) == shape
    assert detector_text(shape) == text


@given(polygons)
def test_every_polygon_can_be_written_down(polygon):
    assert parse_detector(detector_text(polygon)) == polygon


@pytest.mark.parametrize(
    "text",
    [
        "rectangle:1,2,3",
        "rectangle:1,2,3,x",
        "rectangle:1,2,3,inf",
        "rectangle:1,2;3,4",
        "polygon:0,0;1,1",
        "polygon:0,0;1,1;2",
        "polygon:0,0;1,1;nan,2",
        "polygon:0,0,5;1,1,5;2,3,5",
        "polygon:",
        "disk:inf",
        "disk:3;4",
        "annulus:1,2;3,4",
    ],
)
def test_what_is_no_detector_is_refused_with_the_right_form(text):
    with pytest.raises(ScanError, match="polygon:KY,KX" if text[0] == "p" else text.split(":")[0]):
        parse_detector(text)


def test_maps_of_different_polygons_have_different_names():
    one, other = (Polygon(((0, 0), (0, n), (n, 0))) for n in (5, 6))
    assert one.name != other.name
    assert one.name == Polygon(one.corners).name
    assert Rectangle(-5, -4, 3, 2.5).name == "virtual_rectangle_-5_-4_3_2.5"


@pytest.mark.parametrize("dtype", ["u1", ">u2", "f4"])
@pytest.mark.parametrize(
    "detector", [Rectangle(-2, -3, 4, 1), Polygon(((-4, -4), (-3.5, 3), (5, 0.5)))]
)
def test_an_image_sums_the_counts_inside(detector, dtype):
    counts = np.random.default_rng(1).integers(0, 200, (3, 4, *SIZE)).astype(dtype)
    made = virtual(Scan.from_array(counts), detector, centre=(7, 5.5))
    mask = detector.mask(SIZE, (7, 5.5))
    np.testing.assert_allclose(made.image, counts[:, :, mask].astype(np.float64).sum(axis=-1))
    assert made.name == detector.name
    np.testing.assert_array_equal(made.mask, mask)


@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_an_image_of_floats_is_weights(tmp_path, suffix):
    from tifffile import imwrite

    weights = np.random.default_rng(4).normal(size=SIZE).astype(np.float32)
    path = tmp_path / f"weights{suffix}"
    np.save(path, weights) if suffix == ".npy" else imwrite(path, weights)
    counts = np.random.default_rng(1).integers(0, 200, (3, 4, *SIZE)).astype(np.uint16)
    made = virtual(Scan.from_array(counts), parse_detector(str(path)))
    expected = np.tensordot(counts.astype(np.float64), weights.astype(np.float64), 2)
    np.testing.assert_allclose(made.image, expected, rtol=1e-6)
    weights[2, 3] = np.nan
    np.save(tmp_path / "broken.npy", weights)
    with pytest.raises(ScanError, match=r"broken\.npy.*NaN"):
        parse_detector(str(tmp_path / "broken.npy"))
    np.save(tmp_path / "colours.npy", np.ones((*SIZE, 3)))
    with pytest.raises(ScanError, match="one image"):
        parse_detector(str(tmp_path / "colours.npy"))


def test_a_shape_off_the_detector_is_an_error():
    scan = Scan.from_array(np.ones((2, 2, 6, 6), np.uint8))
    with pytest.raises(ScanError, match="no detector pixel"):
        virtual(scan, Rectangle(20, 20, 30, 30), centre=(3, 3))


def test_a_long_pass_reports_the_image_so_far(monkeypatch):
    monkeypatch.setattr("napari_ferro4d.io.blocks.PARTIAL_EVERY_S", 0.0)
    monkeypatch.setattr("napari_ferro4d.io.blocks.BLOCK_BYTES", 1)
    counts = np.random.default_rng(1).integers(0, 200, (8, 8, *SIZE)).astype(np.uint16)
    path_scan = Scan.from_array(counts)
    seen = []
    whole = virtual(
        path_scan, Rectangle(-3, -3, 3, 3), centre=(7, 5), report=seen.append, progressive=True
    )
    parts = [progress.partial[0].image for progress in seen if progress.partial is not None]
    assert parts
    for part in parts:
        known = np.isfinite(part)
        assert known.any()
        np.testing.assert_array_equal(part[known], whole.image[known])
    assert np.isfinite(whole.image).all()
