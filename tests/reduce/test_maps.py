"""Maps against analytic answers and scipy, over dtypes, byte orders, shapes and chunkings."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from helpers.scan_counts import DTYPES, random_scan
from napari_ferro4d import Scan, ScanError, com, open_scan, virtual
from napari_ferro4d.reduce import (
    Annulus,
    Disk,
    colour_wheel,
    direction_colours,
    find_centre,
    mean_pattern,
    parse_detector,
    preview,
    radial_profile,
    radial_profiles,
    reduce_scan,
    rotate,
    rotation_of_least_curl,
)


def spot(ny: int, nx: int, where: tuple[int, int], shape=(2, 3)) -> np.ndarray:
    patterns = np.zeros((*shape, ny, nx), np.uint16)
    patterns[..., where[0], where[1]] = 10
    return patterns


def test_a_beam_shifted_by_1_and_2_pixels_has_its_centre_of_mass_there():
    maps = com(Scan.from_array(spot(9, 9, (5, 6))), centre=(4, 4))
    assert np.all(maps.com_y == 1)
    assert np.all(maps.com_x == 2)
    assert np.all(maps.sum == 10)
    np.testing.assert_allclose(maps.magnitude, np.sqrt(5))


def test_down_and_right_are_positive():
    maps = com(Scan.from_array(spot(9, 9, (8, 0))), centre=(4, 4))
    assert maps.com_y[0, 0] > 0 > maps.com_x[0, 0]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    shape=st.tuples(*[st.integers(1, 5)] * 2, *[st.integers(1, 17)] * 2),
    dtype=st.sampled_from(DTYPES),
    chunks=st.tuples(*[st.integers(1, 6)] * 4),
)
def test_centre_of_mass_agrees_with_scipy(seed, shape, dtype, chunks):
    array = random_scan(seed, shape, dtype)
    array[0, 0] += 1  # at least one pattern that is not empty
    maps = com(Scan.from_array(da.from_array(array, chunks=chunks)), centre=(0, 0))
    for y, x in np.ndindex(shape[:2]):
        pattern = array[y, x].astype(float)
        assert maps.sum[y, x] == pytest.approx(pattern.sum(), rel=1e-6)
        if pattern.sum() > 0:
            expected = ndimage.center_of_mass(pattern)
            np.testing.assert_allclose((maps.com_y[y, x], maps.com_x[y, x]), expected, rtol=2e-6)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    dtype=st.sampled_from(DTYPES),
    centre=st.tuples(st.floats(2, 12), st.floats(2, 9)),
    radius=st.floats(0.8, 20),
)
@example(seed=0, dtype="u1", centre=(2.0, 2.0000000000000004), radius=1.0)
def test_masked_centre_of_mass_agrees_with_scipy(seed, dtype, centre, radius):
    array = random_scan(seed, (2, 3, 15, 12), dtype) + np.asarray(1, dtype)
    maps = com(Scan.from_array(array), centre=centre, mask_radius=radius)
    mask = Disk(radius).mask((15, 12), centre)
    for y, x in np.ndindex(2, 3):
        expected = ndimage.center_of_mass(np.where(mask, array[y, x].astype(float), 0))
        got = (maps.com_y[y, x] + centre[0], maps.com_x[y, x] + centre[1])
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_counts_near_the_top_of_their_type_do_not_overflow():
    array = np.full((1, 1, 300, 300), 65535, np.uint16)
    maps = com(Scan.from_array(array), centre=(149.5, 149.5))
    assert maps.sum[0, 0] == np.float32(65535 * 300 * 300)
    assert maps.com_y[0, 0] == pytest.approx(0, abs=1e-6)
    assert maps.com_x[0, 0] == pytest.approx(0, abs=1e-6)


def test_an_empty_pattern_has_no_centre_of_mass():
    array = spot(5, 5, (2, 2))
    array[0, 1] = 0
    maps = com(Scan.from_array(array))
    assert np.isnan(maps.com_y[0, 1])
    assert np.isnan(maps.magnitude[0, 1])
    assert np.isfinite(maps.com_y).sum() == 5


def test_the_default_centre_is_that_of_the_mean_pattern():
    array = random_scan(1, (4, 5, 12, 10), "u2")
    maps = com(Scan.from_array(array))
    assert maps.centre == pytest.approx(ndimage.center_of_mass(array.mean((0, 1))))
    # The scan's own centre is better known than the mean pattern's.
    scan = Scan.from_array(array, centre=(3.0, 4.0))
    assert com(scan).centre == (3.0, 4.0)
    # ... unless somebody knows better.
    assert com(scan, centre="mean").centre == maps.centre


def test_a_plane_of_descan_goes_and_a_domain_stays():
    y, x = np.indices((16, 16))
    shift_y = 16 + 0.25 * (y - 7.5) + 2 * (x >= 12)
    array = np.zeros((16, 16, 40, 40))
    for position in np.ndindex(16, 16):
        low = int(shift_y[position])
        array[(*position, low, 20)] = 1 - (shift_y[position] - low)
        array[(*position, low + 1, 20)] += shift_y[position] - low
    robust = com(Scan.from_array(array), descan="robust").com_y
    # The step of the domain stays whole, on a flat ground.
    np.testing.assert_allclose(robust[:, :12], 0, atol=1e-3)
    np.testing.assert_allclose(robust[:, 12:], 2, atol=1e-3)
    plane = com(Scan.from_array(array), descan="plane").com_y
    assert abs(plane.mean()) < 1e-6
    assert np.abs(plane[:, :12]).max() > 0.1


@pytest.mark.parametrize("step", [(1.0, 1.0), (1.0, 4.0)])
@pytest.mark.parametrize("degrees", [-80.0, -30.0, 0.0, 17.0, 65.0])
def test_the_rotation_of_least_curl_brings_a_gradient_field_back(degrees, step):
    y, x = (np.indices((30, 30)) - 15.0) * np.array(step)[:, None, None]
    field_y, field_x = 2 * y + 0.3 * x, 0.3 * x * 2 + 0.3 * y  # a gradient, so without curl
    turned = rotate(field_y, field_x, degrees)
    angle = rotation_of_least_curl(*turned, step)
    assert (angle + degrees + 90) % 180 - 90 == pytest.approx(0, abs=1e-6)


def test_rotation_turns_counter_clockwise_as_drawn():
    right = com(Scan.from_array(spot(9, 9, (4, 8))), centre=(4, 4), rotation=90)
    np.testing.assert_allclose(right.com_y, -4, atol=1e-5)  # up
    np.testing.assert_allclose(right.com_x, 0, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    dtype=st.sampled_from(DTYPES),
    inner=st.floats(0, 5),
    width=st.floats(1.5, 8),
)
def test_virtual_images_agree_with_masked_sums(seed, dtype, inner, width):
    array = random_scan(seed, (3, 2, 14, 11), dtype)
    scan = Scan.from_array(array)
    for detector in (Disk(inner + width), Annulus(inner, inner + width)):
        mask = detector.mask((14, 11), (6.5, 5.0))
        result = virtual(scan, detector, centre=(6.5, 5.0))
        np.testing.assert_array_equal(result.mask, mask)
        expected = (array.astype(np.float64) * mask).sum((2, 3))
        np.testing.assert_allclose(result.image, expected, rtol=1e-6)
    weights = np.random.default_rng(seed).random((14, 11)) - 0.5
    expected = (array.astype(np.float64) * weights).sum((2, 3))
    np.testing.assert_allclose(virtual(scan, weights).image, expected, rtol=1e-5, atol=1e-3)


def test_files_with_gaps_and_byte_orders_are_reduced_as_arrays_are(tmp_path):
    array = random_scan(3, (7, 5, 16, 18), ">u2")
    path = tmp_path / "scan.npy"
    np.save(path, array)
    scan = open_scan(path)
    assert scan.frames is not None
    for a, b in zip(
        (com(scan).com_y, virtual(scan, Disk(4)).image, mean_pattern(scan)),
        (
            com(Scan.from_array(array)).com_y,
            virtual(Scan.from_array(array), Disk(4)).image,
            array.mean((0, 1)),
        ),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_mean_pattern_of_a_region():
    array = random_scan(4, (4, 6, 5, 5), "u2")
    where = np.zeros((4, 6), bool)
    where[1:3, 2:] = True
    scan = Scan.from_array(da.from_array(array, chunks=(3, 4, 5, 5)))
    np.testing.assert_allclose(mean_pattern(scan, where), array[where].mean(0))
    with pytest.raises(ScanError, match="no probe position"):
        mean_pattern(scan, np.zeros((4, 6), bool))
    with pytest.raises(ScanError, match="region has shape"):
        mean_pattern(scan, np.ones((3, 6), bool))


def test_the_centre_within_a_radius_ignores_a_far_reflection():
    pattern = np.zeros((41, 41))
    pattern[18:23, 20:25] = 1.0
    pattern[5, 38] = 20.0
    assert find_centre(pattern, 8) == pytest.approx((20, 22), abs=1e-6)
    assert find_centre(np.zeros((4, 6))) == (1.5, 2.5)


@pytest.mark.parametrize(
    "options",
    [
        {"centre": (99.0, 0.0)},
        {"mask_radius": 0.0},
        {"descan": "cubic"},
        {"rotation": "best"},
        {"rotation": float("inf")},
        {"rotation": float("nan")},
        {"mask_radius": float("nan")},
    ],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ScanError):
        com(Scan.from_array(np.ones((2, 2, 4, 4))), **options)


@pytest.mark.parametrize(
    "text", ["disk", "disk:x", "disk:-1", "annulus:5", "annulus:9,3", "no.png"]
)
def test_a_detector_that_is_none_is_refused(text):
    with pytest.raises(ScanError):
        parse_detector(text)


def test_a_detector_from_an_image(tmp_path):
    from skimage.io import imsave

    mask = np.zeros((6, 8), np.uint8)
    mask[2:4, 3:6] = 255
    imsave(tmp_path / "mask.png", mask, check_contrast=False)
    detector = parse_detector(str(tmp_path / "mask.png"))
    array = random_scan(5, (2, 2, 6, 8), "u2")
    image = virtual(Scan.from_array(array), detector).image
    np.testing.assert_array_equal(image, array[:, :, 2:4, 3:6].sum((2, 3)))
    with pytest.raises(ScanError, match=r"mask has shape \(6, 8\)"):
        virtual(Scan.from_array(np.ones((2, 2, 8, 8))), detector)


@pytest.mark.parametrize("shape", [(5, 7, 8, 8), (1, 1, 3, 2), (200, 220, 4, 4)])
def test_the_preview_fills_the_scan(tmp_path, shape):
    array = random_scan(6, shape, "u1")
    np.save(tmp_path / "a.npy", array)
    for scan in (open_scan(tmp_path / "a.npy"), Scan.from_array(array)):
        image = preview(scan)
        assert image.shape == shape[:2]
        assert image.dtype == np.float32
        assert np.ptp(image) > 0 or image.size == 1


def test_the_preview_shows_where_the_counts_are():
    array = np.ones((20, 20, 16, 16), np.uint8)
    array[5:9, 3:7] = 9
    image = preview(Scan.from_array(array))
    assert image[5:9, 3:7].min() > 5 * image[0, 0]


def test_direction_is_hue_and_magnitude_is_brightness():
    y = np.array([[0.0, -1.0, 0.0, 0.5, np.nan]])
    x = np.array([[1.0, 0.0, -1.0, 0.0, np.nan]])
    right, up, left, down, unknown = direction_colours(y, x, limit=1.0)[0].astype(int)
    assert right.tolist() == [255, 0, 0]
    assert left.tolist() == [0, 255, 255]
    assert up[1] > up[0] > up[2]  # between yellow and green
    assert down.max() in (127, 128)
    assert unknown.tolist() == [0, 0, 0]
    wheel = colour_wheel(65)
    assert wheel[32, 64].tolist() == [255, 0, 0, 255]
    assert wheel[0, 0, 3] == 0


def test_positions_that_the_file_lacks_are_in_no_map_and_no_mean(tmp_path):
    array = random_scan(8, (4, 5, 6, 7), "u2")
    np.save(tmp_path / "a.npy", array.reshape(20, 6, 7)[:13])
    scan = open_scan(tmp_path / "a.npy", scan_shape=(4, 5), incomplete="pad")
    there = np.arange(20).reshape(4, 5) < 13
    maps, image = com(scan), virtual(scan, np.ones((6, 7), bool)).image
    for one in (maps.com_y, maps.com_x, maps.sum, image):
        np.testing.assert_array_equal(np.isfinite(one), there)
    assert maps.centre == pytest.approx(ndimage.center_of_mass(array[there].mean(0)))
    np.testing.assert_allclose(mean_pattern(scan), array[there].mean(0))
    with pytest.raises(ScanError, match="no probe position"):
        mean_pattern(scan, ~there)


def test_a_mask_that_holds_no_pixel_is_refused():
    with pytest.raises(ScanError, match="no detector pixel"):
        com(Scan.from_array(np.ones((2, 2, 4, 4))), centre=(1.5, 1.5), mask_radius=0.1)


def test_a_radial_profile_of_every_pattern():
    array = np.random.default_rng(1).integers(0, 99, (2, 3, 12, 15)).astype(">u2")
    scan = Scan.from_array(array, centre=(5.0, 7.5))
    (profiles,) = reduce_scan(scan, [radial_profiles(scan)])
    ky, kx = np.indices((12, 15))
    radius = np.rint(np.hypot(ky - 5.0, kx - 7.5))
    for ring in range(profiles.shape[2]):
        expected = array[..., radius == ring].mean(axis=-1) if (radius == ring).any() else np.nan
        np.testing.assert_allclose(profiles[..., ring], expected, rtol=1e-6)
    with pytest.raises(ScanError, match="beam centre"):
        radial_profiles(Scan.from_array(array))


def test_a_radial_profile_is_nan_where_no_pixel_lies():
    profile = radial_profile(np.ones((6, 6)), (2.5, 2.5))
    assert np.isnan(profile[0])
    np.testing.assert_array_equal(profile[1:], 1)
