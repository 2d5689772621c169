"""Reductions of patterns in torch tensors give what the compiled loops give; on a GPU too."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ferro4d import Scan, ScanError, open_scan
from napari_ferro4d.reduce import (
    Disk,
    centre_of_mass,
    largest,
    load_tensor,
    radial_profile,
    radial_profiles,
    reduce_scan,
    reduce_tensor,
    region_means,
    squares,
    virtual_image,
    virtual_images,
)

torch = pytest.importorskip("torch")
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "<u4", "<i4", "<f4"])
def test_a_tensor_is_reduced_as_the_scan_is(device, dtype, monkeypatch):
    monkeypatch.setattr("napari_ferro4d.reduce.tensor._CHUNK_BYTES", 2**14)
    rng = np.random.default_rng(5)
    array = rng.integers(0, 250, (9, 7, 24, 21)).astype(dtype)
    scan = Scan.from_array(array, centre=(11.3, 9.8))
    labels = rng.integers(0, 4, scan.scan_shape)
    reductions = [
        centre_of_mass(scan),
        centre_of_mass(scan, centre=(11.3, 9.8), mask_radius=6.5),
        virtual_images(scan, [Disk(4), Disk(7)], [(11, 10), (5, 16)]),
        virtual_image(scan, rng.normal(size=(24, 21))),
        region_means(scan, labels),
        radial_profiles(scan),
        largest(scan, np.asarray),
        squares(scan, np.asarray),
    ]
    expected = reduce_scan(scan, reductions)
    patterns = load_tensor(scan, device)
    assert patterns.device.type == device
    got = reduce_tensor(scan, patterns, reductions)
    for one, other in zip(got[:2], expected[:2], strict=True):
        np.testing.assert_array_equal(one.sum, other.sum)
        np.testing.assert_allclose(one.com_y, other.com_y, atol=1e-6)
        np.testing.assert_allclose(one.com_x, other.com_x, atol=1e-6)
    for one, other in zip(got[2], expected[2], strict=True):
        np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_allclose(got[3].image, expected[3].image, rtol=1e-6, atol=1e-3)
    assert got[4].keys() == expected[4].keys()
    for region in got[4]:
        np.testing.assert_allclose(got[4][region], expected[4][region], rtol=1e-14)
    for one, other in zip(got[5:], expected[5:], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_positions_that_the_file_lacks_are_nan(tmp_path):
    path = tmp_path / "scan.npy"
    np.save(path, np.ones((5, 6, 6), np.uint16))
    scan = open_scan(path, scan_shape=(2, 3), incomplete="pad")
    (maps,) = reduce_tensor(
        scan, load_tensor(scan, "cpu"), [centre_of_mass(scan, centre=(2.5, 2.5))]
    )
    assert np.isnan(maps.sum[1, 2])
    assert np.count_nonzero(np.isnan(maps.sum)) == 1


def test_a_dead_pixel_outside_the_mask_does_not_count():
    array = np.ones((1, 2, 8, 8), np.float32)
    array[..., 0, 0] = np.nan
    scan = Scan.from_array(array)
    (image,) = reduce_tensor(
        scan, load_tensor(scan, "cpu"), [virtual_image(scan, Disk(2), centre=(4, 4))]
    )
    assert np.all(image.image == 13)


def test_a_tensor_of_another_scan_is_refused():
    scan = Scan.from_array(np.ones((2, 2, 4, 4), np.uint8))
    with pytest.raises(ScanError, match="tensor has shape"):
        reduce_tensor(scan, torch.ones(2, 3, 4, 4), [])


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


@pytest.mark.skipif(torch.cuda.device_count() > 9, reason="this machine has a tenth GPU")
def test_a_device_that_is_not_there_is_named():
    scan = Scan.from_array(np.ones((2, 2, 8, 8), np.uint16))
    with pytest.raises(ScanError, match="device cuda:9: not on this machine"):
        load_tensor(scan, "cuda:9")


def test_a_radial_profile_is_nan_where_no_pixel_lies():
    profile = radial_profile(np.ones((6, 6)), (2.5, 2.5))
    assert np.isnan(profile[0])
    np.testing.assert_array_equal(profile[1:], 1)
