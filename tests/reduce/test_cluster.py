"""Reductions on a dask.distributed cluster: the same bits, and no harm from a killed worker.

Starting workers takes as long as all that is asked of them, so everything about clusters is here.
"""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
from distributed import Client, Future, LocalCluster

from napari_ferro4d import Scan, ScanError, com, open_scan, virtual
from napari_ferro4d.corrections import correct
from napari_ferro4d.jobs import Cancelled
from napari_ferro4d.reduce import (
    Disk,
    centre_of_mass,
    com_flagged,
    mean_pattern,
    reduce_scan,
)

# Workers are processes that the scheduler restarts; what they warn about at their end is not ours.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(scope="module")
def client():
    # Two workers of one thread each, and any free port for what they show in a browser.
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", processes=True
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    # Floats, whose sums depend on the order; big enough for several blocks.
    path = tmp_path_factory.mktemp("scan") / "scan.npy"
    np.save(path, np.random.default_rng(0).random((96, 64, 64, 64), np.float32) * 1000)
    return open_scan(path)


def test_a_cluster_gives_the_same_bits(client, scan):
    for run in (
        lambda c: com(scan, mask_radius=20, client=c),
        lambda c: virtual(scan, Disk(9.5), client=c),
        lambda c: mean_pattern(scan, client=c),
    ):
        here, there = run(None), run(client)
        if isinstance(here, np.ndarray):
            np.testing.assert_array_equal(here, there)
            continue
        for name, value in vars(here).items():
            np.testing.assert_array_equal(value, getattr(there, name), err_msg=name)


def test_a_killed_worker_costs_a_retry_not_the_run(client, scan):
    here = com(scan)
    victim = next(iter(client.run(os.getpid).values()))
    killed = threading.Event()

    def report(progress):
        if progress.done and not killed.is_set():
            os.kill(victim, signal.SIGKILL)
            killed.set()

    there = com(scan, report=report, client=client)
    assert killed.is_set()
    np.testing.assert_array_equal(here.com_y, there.com_y)
    client.wait_for_workers(2, timeout=30)


def test_what_a_cluster_lost_is_handed_out_again(client, scan):
    """As when a worker dies that is the only one to hold the reductions yet."""
    here, lost = com(scan), []

    def report(progress):
        given = [key for key in client.futures if not str(key).startswith("_reduce_numbered")]
        if given and not lost:
            lost.extend(given)
            client.cancel([Future(key, client=client) for key in given])

    there = com(scan, report=report, client=client)
    assert lost
    np.testing.assert_array_equal(here.com_y, there.com_y)


def test_cancel_reaches_the_cluster(client, scan):
    seen = []

    def report(progress):
        seen.append(progress)
        if progress.done:
            raise Cancelled

    with pytest.raises(Cancelled):
        com(scan, report=report, client=client)
    assert 0 < seen[-1].done < seen[-1].total
    # The workers have nothing left to do: what was not done is taken back.
    assert "pending" not in {future.status for future in client.futures.values()}


def test_a_scan_in_memory_cannot_travel(client):
    with pytest.raises(ScanError, match="in memory"):
        com(Scan.from_array(np.ones((2, 2, 4, 4))), client=client)


def test_workers_notice_that_the_file_is_another(client, tmp_path):
    path = tmp_path / "scan.npy"
    np.save(path, np.zeros((4, 5, 8, 8), np.float32))
    scan = open_scan(path)
    np.save(path, np.ones((4, 5, 8, 8), np.float32))
    with pytest.raises(ScanError, match="other counts"):
        com(scan, client=client)


def test_the_command_runs_on_a_scheduler(client, scan, tmp_path, capsys):
    from napari_ferro4d.cli import main
    from napari_ferro4d.results import read_results

    out = tmp_path / "r.zarr"
    address = client.scheduler.address
    assert main(["com", scan.source.path, "-o", str(out), "--scheduler", address]) == 0
    maps = {one.name: one.data for one in read_results(out).maps}
    np.testing.assert_array_equal(maps["com_y"], com(scan).com_y)


def test_no_scheduler_is_one_line(scan, tmp_path, capsys):
    from napari_ferro4d.cli import main

    arguments = ["com", scan.source.path, "-o", str(tmp_path / "r.zarr")]
    assert main([*arguments, "--scheduler", "nonsense://there"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "nonsense://there" in error


def test_hints_may_be_lists(client, tmp_path):
    """A worker keeps open what it opened, so it has to look the hints up."""
    counts = np.random.default_rng(0).integers(0, 99, (12, 8, 8), np.uint16)
    np.save(tmp_path / "scan.npy", counts)
    scan = open_scan(tmp_path / "scan.npy", scan_shape=[3, 4], scan_step=np.array([1.0, 2.0]))
    np.testing.assert_array_equal(com(scan, client=client).sum, com(scan).sum)


def test_a_cluster_without_workers_is_no_hang(scan, monkeypatch):
    monkeypatch.setattr("napari_ferro4d.reduce.dask_cluster.PATIENCE_S", 0.5)
    with (
        LocalCluster(n_workers=0, dashboard_address=":0") as empty,
        Client(empty, set_as_default=False) as client,
        pytest.raises(ScanError, match="no worker"),
    ):
        com(scan, client=client)


def test_what_fails_on_a_worker_is_one_line(client, scan):
    """As when the package is not installed there."""

    def fails(patterns, part, place):
        raise ModuleNotFoundError("No module named 'napari_ferro4d'")

    reduction = replace(centre_of_mass(scan), add=fails)
    with pytest.raises(ScanError, match="could not reduce it"):
        reduce_scan(scan, [reduction], client=client)


# --- corrected scans: workers open them with the same corrections


@pytest.fixture(scope="module")
def counts():
    counts = np.random.default_rng(0).poisson(20, (48, 64, 64, 64)).astype(np.uint16)
    counts[..., 10, 20], counts[..., 40, 7] = 500, 0
    for n in range(10):
        counts[10 + 3 * n, 3, 5 + n, 30] = 65535
    return counts


@pytest.fixture
def folder(tmp_path, monkeypatch, counts):
    rng = np.random.default_rng(0)
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
def test_a_cluster_gives_the_same_bits_of_corrected_counts(client, folder, which):
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
