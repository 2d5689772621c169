"""Files that the commands are run on."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ferro4d.cli import main


@pytest.fixture
def counts():
    """Counts of a scan that shows nothing, the same ones for every test."""
    return np.random.default_rng(0).integers(0, 30, (6, 5, 16, 16)).astype(np.uint16)


@pytest.fixture
def scan(counts, tmp_path):
    """The file of these counts."""
    path = tmp_path / "scan.npy"
    np.save(path, counts)
    return path


@pytest.fixture
def images(scan, tmp_path):
    """Options that correct the scan with a dark and a gain image."""
    rng = np.random.default_rng(1)
    np.save(tmp_path / "dark.npy", rng.random((16, 16)))
    np.save(tmp_path / "gain.npy", 0.5 + rng.random((16, 16)))
    return ["--dark", tmp_path / "dark.npy", "--gain", tmp_path / "gain.npy"]


def half_and_half(rng, ny=12, nx=14, size=32):
    """Return a scan whose left half differs from its right half by one reflection."""
    ky, kx = np.indices((size, size)) - size / 2
    mean = 40 * np.exp(-(ky**2 + kx**2) / 8)
    left, right = (mean + 20 * np.exp(-((ky - s) ** 2 + kx**2) / 6) for s in (9, -9))
    means = np.where((np.arange(nx) < nx // 2)[None, :, None, None], left, right)
    return rng.poisson(np.broadcast_to(means, (ny, nx, size, size))).astype(np.uint8)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Scans of two domains, and labels of them, good and bad."""
    folder = tmp_path_factory.mktemp("learn")
    rng = np.random.default_rng(0)
    np.save(folder / "scan.npy", half_and_half(rng))
    np.save(folder / "other.npy", half_and_half(rng, 5, 6))
    np.save(folder / "small.npy", half_and_half(rng, 5, 6, size=20))
    labels = np.zeros((12, 14), np.uint8)
    labels[::2, 1:4:2], labels[::2, 9:13:2] = 3, 7
    np.save(folder / "labels.npy", labels)
    np.save(folder / "one.npy", np.where(labels == 3, labels, 0))
    np.save(folder / "none.npy", np.zeros_like(labels))
    np.save(folder / "shape.npy", labels[1:])
    np.save(folder / "float.npy", labels.astype(float))
    return folder


@pytest.fixture(scope="session")
def model(folder):
    """An autoencoder of the scan."""
    path = folder / "ae.safetensors"
    arguments = ["train", folder / "scan.npy", "-o", path, "--epochs", 2, "--embedding", 6]
    assert main([str(a) for a in arguments]) == 0
    return path


@pytest.fixture(scope="session")
def classifier(folder):
    """A classifier of the scan, whose results are in ``trained.zarr``."""
    path = folder / "cnn.safetensors"
    arguments = ["classify", folder / "scan.npy", "--labels", folder / "labels.npy"]
    arguments += ["-o", folder / "trained.zarr", "--save-model", path]
    assert main([str(a) for a in arguments]) == 0
    return path
