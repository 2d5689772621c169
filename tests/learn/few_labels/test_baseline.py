"""No map is worse than that of ten lines of scikit-learn."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from helpers.labelled_scans import some, wavy_domains
from napari_ferro4d import Scan, classify
from napari_ferro4d.simulate import demo_scan, demo_truth


@functools.cache
def scan_and_truth(name: str) -> tuple[Scan, np.ndarray]:
    if name == "demo":
        return demo_scan(), demo_truth().labels.astype(int)
    return wavy_domains(int(name.removeprefix("wavy ")))


@functools.cache
def components(name: str) -> np.ndarray:
    """Return 20 principal components of Anscombe counts, each to unit variance."""
    counts = scan_and_truth(name)[0].data.compute().astype(float)
    values = 2 * np.sqrt(counts.reshape(-1, np.prod(counts.shape[2:])) + 3 / 8)
    found = PCA(20, random_state=0).fit_transform(values)
    return found / found.std(axis=0)


@pytest.mark.parametrize("name", ["demo", "wavy 0", "wavy 1"])
@pytest.mark.parametrize("count", [20, 50])
@pytest.mark.parametrize("draw", [0, 1, 2])
def test_fast_is_never_below_the_plain_baseline(name, count, draw):
    scan, truth = scan_and_truth(name)
    labels = some(truth, count, seed=draw)
    elsewhere = labels == 0
    known, x = labels.ravel() > 0, components(name)
    plain = LogisticRegression(max_iter=2000).fit(x[known], labels.ravel()[known])
    baseline = (plain.predict(x).reshape(truth.shape) == truth)[elsewhere].mean()
    fast = (classify(scan, labels).prediction == truth)[elsewhere].mean()
    assert fast >= baseline - 0.005
