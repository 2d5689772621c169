"""One pass over a scan: several reductions at once, piece by piece, cancelled or half done."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from helpers.scan_counts import DTYPES, random_scan
from napari_ferro4d import Scan, ScanError, com, open_scan, virtual
from napari_ferro4d.jobs import Cancelled
from napari_ferro4d.reduce import (
    Annulus,
    Disk,
    centre_of_mass,
    pattern_statistics,
    reduce_scan,
    region_means,
    virtual_image,
    virtual_images,
)


def test_cancel_stops_a_pass_between_two_blocks():
    seen = []

    def report(progress):
        seen.append(progress)
        if progress.done:
            raise Cancelled

    scan = Scan.from_array(da.ones((40, 10, 8, 8), chunks=(1, 10, 8, 8), dtype=np.uint8))
    with pytest.raises(Cancelled):
        com(scan, centre=(4, 4), report=report)
    assert seen[-1].done < seen[-1].total == 400


def test_a_chunk_that_cannot_be_read_names_its_rows():
    def broken(block, block_info=None):
        if block_info[0]["chunk-location"][0] == 1:
            raise OSError("bad sector")
        return block

    # rechunk=False: already whole patterns, several rows a chunk
    lazy = da.zeros((6, 2, 4, 4), chunks=(3, 2, 4, 4)).map_blocks(
        broken, dtype=float, meta=np.empty(0)
    )
    scan = Scan(data=lazy)
    with pytest.raises(ScanError, match="rows 3 to 5 cannot be read"):
        com(scan, centre=(1, 1))


@pytest.mark.parametrize("dtype", DTYPES)
def test_statistics_of_every_detector_pixel(dtype):
    array = random_scan(9, (5, 6, 7, 8), dtype)
    found = pattern_statistics(Scan.from_array(da.from_array(array, chunks=(2, 4, 7, 8))))
    np.testing.assert_allclose(found.mean, array.astype(float).mean((0, 1)), rtol=1e-6)
    np.testing.assert_allclose(found.deviation, array.astype(float).std((0, 1)), rtol=1e-6)
    np.testing.assert_array_equal(found.maximum, array.max((0, 1)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_reductions_that_share_a_pass_give_what_each_gives_alone(dtype):
    array = random_scan(10, (9, 8, 12, 14), dtype)
    labels = np.random.default_rng(0).integers(0, 4, (9, 8))
    scan = Scan.from_array(da.from_array(array, chunks=(2, 5, 12, 14)))
    seen = []
    maps, disk, weighted, means = reduce_scan(
        scan,
        [
            centre_of_mass(scan, centre=(5, 6), mask_radius=4),
            virtual_image(scan, Disk(3), centre=(5, 6)),
            virtual_image(scan, np.linspace(0, 1, 168).reshape(12, 14)),
            region_means(scan, labels),
        ],
        seen.append,
    )
    assert seen[-1].done == seen[-1].total == 72  # every position once
    np.testing.assert_array_equal(maps.com_y, com(scan, centre=(5, 6), mask_radius=4).com_y)
    np.testing.assert_array_equal(disk.image, virtual(scan, Disk(3), centre=(5, 6)).image)
    expected = (array.astype(float) * np.linspace(0, 1, 168).reshape(12, 14)).sum((2, 3))
    np.testing.assert_allclose(weighted.image, expected, rtol=1e-5)
    for number in (1, 2, 3):
        expected = array[labels == number].astype(float).mean(0)
        np.testing.assert_allclose(means[number], expected, rtol=1e-6)


def test_a_progressive_pass_shows_a_coarse_map_first_and_ends_the_same(monkeypatch):
    monkeypatch.setattr("napari_ferro4d.io.blocks.PARTIAL_EVERY_S", 0)
    array = random_scan(11, (32, 6, 8, 8), "u2")
    scan = Scan.from_array(da.from_array(array, chunks=(1, 6, 8, 8)))
    shown = []

    def report(progress):
        if progress.partial is not None:
            shown.append((progress.done, progress.partial[0].image.copy()))

    whole = np.ones((8, 8), bool)
    reductions = [virtual_image(scan, whole), region_means(scan, np.ones((32, 6), int))]
    image, means = reduce_scan(scan, reductions, report, progressive=True)
    np.testing.assert_array_equal(image.image, array.sum((2, 3)))
    np.testing.assert_allclose(means[1], array.mean((0, 1)))
    assert len(shown) == 32
    for done, partial in shown:
        known = np.isfinite(partial)
        assert known.sum() == done
        np.testing.assert_array_equal(partial[known], image.image[known])
    # A quarter of the way, every fourth row is there.
    quarter = np.isfinite(shown[7][1]).all(axis=1)
    assert np.flatnonzero(quarter).tolist() == list(range(0, 32, 4))


def test_a_pass_over_a_large_file_lets_go_of_its_pages(tmp_path, monkeypatch):
    import psutil

    path = tmp_path / "large.npy"
    shape = (24, 16, 256, 256)
    np.lib.format.open_memmap(path, "w+", np.uint16, shape)[:] = 1
    here = psutil.Process()
    grown = {}
    for name, limit in (("kept", 2**40), ("let go", 0)):
        monkeypatch.setattr("napari_ferro4d.io.blocks.LET_GO_BYTES", limit)
        scan = open_scan(path)
        before = here.memory_info().rss
        assert np.all(com(scan, centre=(127.5, 127.5)).sum == 65536)
        grown[name] = (here.memory_info().rss - before) / 2**20
    # 48 MB of file: mapped and counted the first time, gone the second.
    assert grown["let go"] < grown["kept"] / 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_many_detectors_in_one_reduction(dtype):
    array = random_scan(12, (3, 4, 14, 11), dtype)
    scan = Scan.from_array(array)
    detectors = [Disk(3), Annulus(2, 6), np.eye(14, 11, dtype=bool)]
    centres = [(6, 5), (4.5, 7), None]
    (images,) = reduce_scan(scan, [virtual_images(scan, detectors, centres)])
    for image, detector, centre in zip(images, detectors, centres, strict=True):
        alone = virtual(scan, detector, centre=centre)
        np.testing.assert_allclose(image.image, alone.image, rtol=1e-7)
        np.testing.assert_array_equal(image.mask, alone.mask)
        assert image.name == alone.name
    with pytest.raises(ScanError, match="weights"):
        virtual_images(scan, [np.ones((14, 11))], [None])
