"""The embedded scan: what it is, that it can be made again, and how hard it is."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from napari_ferro4d.simulate import demo_scan, demo_scan_path, demo_truth, preset
from napari_ferro4d.simulate.scans import expected_patterns, prepare, scan

ROWS = range(2, 56, 9)


@pytest.fixture(scope="module")
def counts():
    return np.asarray(demo_scan().data)


@pytest.fixture(scope="module")
def expected():
    """Mean counts of a few rows: ``[as scanned / all +P / all -P, row, x, ky, kx]``."""
    simulation = prepare(preset("demo"))
    made = []
    for number in ROWS:
        row = simulation.specimen.row(number)
        alone = [replace(row, fractions=np.eye(2)[[n]].T.repeat(60, axis=1)) for n in (0, 1)]
        made.append([expected_patterns(simulation, one, slice(None)) for one in (row, *alone)])
    return np.moveaxis(np.array(made, float), 1, 0)


def separation(values, labels):
    auc = roc_auc_score(labels.ravel() == 1, values.ravel())
    return max(auc, 1 - auc)


def test_scan_is_calibrated_and_small():
    scan = demo_scan()
    assert scan.name == "demo"
    assert scan.shape == (56, 60, 64, 64)
    assert scan.dtype == np.uint8
    assert scan.scan_step == pytest.approx((1.4, 1.4))
    assert scan.k_step == pytest.approx((0.02, 0.02))
    assert scan.data.chunksize[2:] == (64, 64)
    assert demo_scan_path().stat().st_size < 3.5e6


def test_truth_fits_the_scan_and_the_specimen():
    truth, spec = demo_truth(), preset("demo")
    assert truth.labels.shape == truth.wall.shape == truth.thickness.shape == (56, 60)
    assert truth.scan_step == pytest.approx(demo_scan().scan_step)
    assert truth.states == ("+P", "-P")
    assert set(np.unique(truth.labels)) == {1, 2}
    assert 0.4 < np.mean(truth.labels == 1) < 0.6
    thin, thick = spec.specimen.thickness
    assert thin <= truth.thickness.min() < truth.thickness.max() <= thick
    assert truth.tilt[0].min() < 0 < truth.tilt[0].max() <= spec.specimen.bend


def test_wall_lies_on_the_boundary_and_mixes_both_states():
    truth = demo_truth()
    columns = [np.flatnonzero(row) for row in truth.wall]
    boundary = [np.flatnonzero(np.diff(row.astype(int)))[0] for row in truth.labels]
    for row, change in zip(columns, boundary, strict=True):
        assert abs(row.mean() - change - 0.5) <= 1
        assert len(row) <= 4
    # Neither along an axis nor straight.
    line = np.polyfit(np.arange(56), boundary, 2)
    assert 10 < np.ptp(boundary) < 40
    assert abs(line[0]) * 28**2 > 2
    # P points up the image in +P, along the polar axis everywhere.
    along = -truth.polarization[0]
    assert np.array_equal(along > 0, truth.labels == 1)
    assert np.abs(along[truth.wall]).max() < 0.91
    assert np.abs(along[~truth.wall]).min() > 0.89


def test_the_scan_can_be_made_again_count_for_count(counts):
    made = scan(preset("demo"))
    for row in ROWS:
        assert np.array_equal(np.asarray(made.data[row]), counts[row])


def test_noise_is_poisson(counts, expected):
    mean = expected[0]
    lit = mean > 0.5
    deviation = (counts[list(ROWS)][lit] - mean[lit]) ** 2 / mean[lit]
    error = np.sqrt(np.mean(2 + 1 / mean[lit]) / lit.sum())
    assert deviation.mean() == pytest.approx(1, abs=5 * error)
    assert counts[list(ROWS)][mean == 0].sum() == 0


def test_polarity_is_there_but_not_in_plain_images(counts, expected):
    truth = demo_truth()
    total = counts.sum(axis=(2, 3), dtype=float)
    k = np.arange(64) - 31.5
    com_y = np.einsum("yxkl,k->yx", counts, k, dtype=float) / total
    com_x = np.einsum("yxkl,l->yx", counts, k, dtype=float) / total
    for plain in (total, com_y, com_x, truth.thickness, *truth.tilt):
        assert separation(plain, truth.labels) < 0.65

    # The best that physics allows: which of the two known patterns is the likelier one?
    _, plus, minus = expected
    n = counts[list(ROWS)]
    ratio = np.where(plus > 0, n * np.log(np.maximum(plus, 1e-9) / np.maximum(minus, 1e-9)), 0)
    likelier_plus = (ratio - plus + minus).sum(axis=(2, 3)) > 0
    away = ~truth.wall[list(ROWS)]
    assert np.array_equal(likelier_plus[away], (truth.labels[list(ROWS)] == 1)[away])


def test_bend_and_wedge_change_patterns_more_than_polarity(expected):
    _, plus, minus = expected
    nuisance = np.sqrt(((plus - plus.mean(axis=(0, 1))) ** 2).sum(axis=(2, 3))).mean()
    polarity = np.sqrt(((plus - minus) ** 2).sum(axis=(2, 3))).mean() / 2
    assert nuisance > 3 * polarity


def test_importing_the_room_is_light():
    code = "import sys, napari_ferro4d.simulate; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "napari", "qtpy", "scipy", "dask", "h5py", "matplotlib", "numba"}
    assert not heavy & set(done.stdout.split())
