"""Corrected scans on a dask.distributed cluster: workers open them with the same corrections."""

from __future__ import annotations

import numpy as np
import pytest
from distributed import Client, LocalCluster

from napari_ferro4d import ScanError, com, open_scan, virtual
from napari_ferro4d.correction import correct
from napari_ferro4d.reduce import Disk
from napari_ferro4d.reduce._saturation import com_flagged

# Workers are processes that the scheduler restarts; what they warn about at their end is not ours.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", processes=True
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def folder(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    counts = rng.poisson(20, (48, 64, 64, 64)).astype(np.uint16)
    counts[..., 10, 20], counts[..., 40, 7] = 500, 0
    for n in range(10):
        counts[10 + 3 * n, 3, 5 + n, 30] = 65535
    np.save(tmp_path / "scan.npy", counts)
    np.save(tmp_path / "dark.npy", rng.random((64, 64)))
    np.save(tmp_path / "gain.npy", 0.5 + rng.random((64, 64)))
    # Workers were started elsewhere: names without a folder are not enough for them.
    monkeypatch.chdir(tmp_path)
    return tmp_path


HINTS = {
    "all": {
        "dark": "dark.npy",
        "gain": "gain.npy",
        "bad_pixels": "auto",
        "crop": ((4, 60), (0, 62)),
        "bin": 2,
    },
    "images": {"dark": "dark.npy", "gain": "gain.npy"},
    "cropped": {"crop": ((4, 60), (1, 62))},
    "binned": {"bin": 2},
}


@pytest.mark.parametrize("which", HINTS)
def test_a_cluster_gives_the_same_bits(client, folder, which):
    scan = open_scan("scan.npy", **HINTS[which])
    for run in (
        lambda c: com(scan, mask_radius=20, client=c),
        lambda c: virtual(scan, Disk(9.5), client=c),
    ):
        here, there = run(None), run(client)
        for name, value in vars(here).items():
            np.testing.assert_array_equal(value, getattr(there, name), err_msg=name)


def test_saturated_pixels_are_counted_on_a_cluster(client, folder):
    scan = open_scan("scan.npy", **HINTS["all"])
    assert scan.source.hints["bad_pixels"] == "10,20;40,7"
    (here, found), (there, counted) = com_flagged(scan), com_flagged(scan, client=client)
    np.testing.assert_array_equal(here.com_y, there.com_y)
    np.testing.assert_array_equal(here.com_y, com(scan).com_y)
    np.testing.assert_array_equal(found.image, counted.image)
    assert (found.patterns, counted.pixels) == (10, 10)


def test_workers_notice_another_dark_image(client, folder):
    scan = open_scan("scan.npy", dark="dark.npy")
    np.save(folder / "dark.npy", np.zeros((64, 64)))
    with pytest.raises(ScanError, match="other counts"):
        com(scan, client=client)


def test_workers_name_an_image_that_is_gone(client, folder):
    scan = open_scan("scan.npy", dark="dark.npy")
    (folder / "dark.npy").unlink()
    with pytest.raises(ScanError, match=r"dark\.npy: there is no such dark image"):
        com(scan, client=client)


def test_arrays_in_memory_cannot_travel(client, folder):
    scan = correct(open_scan("scan.npy"), dark=np.ones((64, 64)))
    with pytest.raises(ScanError, match="in memory"):
        com(scan, client=client)
