"""Reductions on a dask.distributed cluster: the same bits, and no harm from a killed worker."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest
from distributed import Client, LocalCluster

from napari_ferro4d import Scan, ScanError, com, open_scan, virtual
from napari_ferro4d.jobs import Cancelled
from napari_ferro4d.reduce import Disk, mean_pattern

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


@pytest.fixture
def scan(tmp_path):
    # Floats, whose sums depend on the order; big enough for many blocks.
    path = tmp_path / "scan.npy"
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


def test_cancel_reaches_the_cluster(client, scan):
    def report(progress):
        if progress.done:
            raise Cancelled

    started = time.monotonic()
    with pytest.raises(Cancelled):
        com(scan, report=report, client=client)
    assert time.monotonic() - started < 60


def test_a_scan_in_memory_cannot_travel(client):
    with pytest.raises(ScanError, match="in memory"):
        com(Scan.from_array(np.ones((2, 2, 4, 4))), client=client)


def test_workers_notice_that_the_file_is_another(client, scan):
    np.save(scan.source.path, np.ones((96, 64, 64, 64), np.float32))
    with pytest.raises(ScanError, match="other counts"):
        com(scan, client=client)


def test_the_command_runs_on_a_scheduler(client, scan, tmp_path, capsys):
    from napari_ferro4d.cli import main
    from napari_ferro4d.io import read_results

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
    monkeypatch.setattr("napari_ferro4d.reduce._cluster.PATIENCE_S", 0.5)
    with (
        LocalCluster(n_workers=0, dashboard_address=":0") as empty,
        Client(empty, set_as_default=False) as client,
        pytest.raises(ScanError, match="no worker"),
    ):
        com(scan, client=client)


def test_what_fails_on_a_worker_is_one_line(client, scan, monkeypatch):
    """As when the package is not installed there."""

    def fails(*arguments):
        raise ModuleNotFoundError("No module named 'napari_ferro4d'")

    monkeypatch.setattr("napari_ferro4d.reduce._cluster._reduce_numbered", fails)
    with pytest.raises(ScanError, match="could not reduce it"):
        com(scan, client=client)
