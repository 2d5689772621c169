"""The data model: conventions, units, chunks, signatures."""

from __future__ import annotations

import pickle

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ferro4d.errors import ScanError
from napari_ferro4d.frames import CHUNK_BYTES
from napari_ferro4d.scan import Scan, signature_of


def test_steps_are_pairs_and_unknown_stays_none():
    array = np.zeros((2, 3, 4, 5), np.uint8)
    assert Scan.from_array(array).scan_step is None
    assert Scan.from_array(array).k_step is None
    scan = Scan.from_array(array, scan_step=1.4, k_step=(0.02, 0.03))
    assert scan.scan_step == (1.4, 1.4)
    assert scan.k_step == (0.02, 0.03)
    assert scan.shape == (2, 3, 4, 5)
    assert (scan.scan_shape, scan.detector_shape) == ((2, 3), (4, 5))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 5, 6)), "3 axes"),
        (np.zeros((2, 0, 4, 4)), "empty"),
        (np.zeros((1, 1, 2, 2), complex), "complex128"),
        (np.zeros((1, 1, 2, 2), bool), "bool"),
    ],
)
def test_what_is_no_scan_is_refused_in_words(array, words):
    with pytest.raises(ScanError, match=words):
        Scan.from_array(array)


@pytest.mark.parametrize("step", [0, -1.0, float("nan"), float("inf"), (1.0, -1.0)])
def test_a_step_must_be_positive(step):
    with pytest.raises(ScanError, match="must be positive"):
        Scan.from_array(np.zeros((1, 1, 2, 2)), scan_step=step)


def test_a_centre_must_lie_on_the_detector():
    array = np.zeros((1, 1, 4, 4))
    assert Scan.from_array(array, centre=(1.5, 3.5)).centre == (1.5, 3.5)
    with pytest.raises(ScanError, match="outside the detector"):
        Scan.from_array(array, centre=(1.5, 4.0))


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 9)] * 2, *[st.integers(1, 12)] * 2),
    chunks=st.tuples(*[st.integers(1, 9)] * 4),
)
def test_chunks_hold_whole_patterns_and_the_values_stay(shape, chunks):
    array = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    for given_array in (array, da.from_array(array, chunks=chunks)):
        scan = Scan.from_array(given_array)
        assert scan.data.numblocks[2:] == (1, 1)
        np.testing.assert_array_equal(scan.data.compute(), array)


def test_chunks_are_of_the_stated_size():
    lazy = da.zeros((64, 64, 256, 256), dtype=np.uint16, chunks=(1, 1, -1, -1))
    chunk = np.prod(Scan.from_array(lazy).data.chunksize) * 2
    assert CHUNK_BYTES / 4 <= chunk <= CHUNK_BYTES


def test_an_array_in_memory_is_not_copied():
    array = np.zeros((4, 4, 8, 8), np.uint16)
    scan = Scan.from_array(array)
    array[1, 2] = 7
    assert scan.data[1, 2].compute().min() == 7


def test_the_signature_follows_counts_not_storage():
    rng = np.random.default_rng(0)
    array = rng.integers(0, 99, (5, 6, 8, 8)).astype(np.uint16)
    same = signature_of(array)
    assert signature_of(array.astype(">u2")) == same
    assert signature_of(da.from_array(array, chunks=2)) == same
    assert signature_of(np.asfortranarray(array)) == same
    other = array.copy()
    other[0, 0, 0, 0] += 1
    assert signature_of(other) != same
    assert signature_of(array.reshape(6, 5, 8, 8)) != same


def test_a_scan_of_a_file_travels_without_its_counts(tmp_path):
    from napari_ferro4d import open_scan

    path = tmp_path / "a.npy"
    np.save(path, np.arange(2 * 3 * 64 * 64, dtype=np.uint16).reshape(2, 3, 64, 64))
    scan = open_scan(path)
    packed = pickle.dumps(scan.data)
    assert len(packed) < 20_000
    np.testing.assert_array_equal(pickle.loads(packed).compute(), np.load(path))
