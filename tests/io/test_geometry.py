"""How a run of patterns becomes a scan: rows, flyback, snakes, and what is missing."""

from __future__ import annotations

import pickle

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ferro4d import ScanError, open_scan
from napari_ferro4d.io import OpenOptions, Stored, arrange
from napari_ferro4d.reduce import preview

NY, NX, KY, KX = 5, 4, 3, 6
COUNTS = np.random.default_rng(1).integers(0, 999, (NY, NX, KY, KX)).astype(np.uint16)


def recorded(first_frame=0, flyback=0, snake=False, last_flyback=True):
    """Return the patterns in the order a microscope that goes so would record them."""
    rows = []
    for y, row in enumerate(COUNTS):
        rows += list(row[::-1] if snake and y % 2 else row)
        rows += [np.full((KY, KX), 60000, np.uint16)] * flyback
    if flyback and not last_flyback:
        rows = rows[:-flyback]
    return np.stack([np.full((KY, KX), 50000, np.uint16)] * first_frame + rows)


@pytest.fixture(params=[".npy", ".h5"])
def save(request, tmp_path):
    """Return a function that writes a stack of patterns, uncompressed or in chunks."""

    def write(stack):
        path = tmp_path / f"run{request.param}"
        if request.param == ".npy":
            np.save(path, stack)
        else:
            with h5py.File(path, "w") as file:
                chunks = (min(3, len(stack)), *stack.shape[1:])
                file.create_dataset("data", data=stack, chunks=chunks)
        return path

    return write


@pytest.mark.parametrize("last_flyback", [True, False])
@pytest.mark.parametrize("snake", [False, True])
@pytest.mark.parametrize(("first_frame", "flyback"), [(0, 0), (2, 0), (0, 3), (1, 2)])
def test_every_way_of_recording_gives_the_same_scan(
    save, first_frame, flyback, snake, last_flyback
):
    path = save(recorded(first_frame, flyback, snake, last_flyback))
    scan = open_scan(
        path, scan_shape=(NY, NX), first_frame=first_frame, flyback=flyback, snake=snake
    )
    np.testing.assert_array_equal(scan.data.compute(), COUNTS)
    assert scan.complete
    assert scan.missing is None
    assert scan.data.numblocks[2:] == (1, 1)
    again = open_scan(scan.source.path, **scan.source.hints)
    assert again.signature == scan.signature
    if path.suffix == ".npy":  # an open HDF5 file cannot go to another process
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(scan.data)).compute(), COUNTS)
    assert preview(scan).shape == (NY, NX)


def test_flyback_stays_a_view_of_the_file(tmp_path):
    np.save(tmp_path / "run.npy", recorded(flyback=3, first_frame=2))
    scan = open_scan(tmp_path / "run.npy", scan_shape=(NY, NX), flyback=3, first_frame=2)
    assert scan.frames is not None
    view = scan.frames.view(scan.shape)
    np.testing.assert_array_equal(view, COUNTS)
    assert not view.flags.owndata


@pytest.mark.parametrize("snake", [False, True])
@pytest.mark.parametrize("flyback", [0, 2])
def test_what_is_missing_is_zero_and_marked(save, flyback, snake):
    row = NX + flyback
    stack = recorded(1, flyback, snake)[: 1 + 3 * row + 1]  # three rows, and one of the fourth
    scan = open_scan(
        save(stack),
        scan_shape=(NY, NX),
        first_frame=1,
        flyback=flyback,
        snake=snake,
        incomplete="pad",
    )
    missing = np.zeros((NY, NX), bool)
    missing[3:] = True
    missing[3, NX - 1 if snake else 0] = False
    np.testing.assert_array_equal(scan.missing, missing)
    np.testing.assert_array_equal(
        scan.data.compute(), np.where(missing[..., None, None], 0, COUNTS)
    )
    assert not scan.complete


@pytest.mark.parametrize("flyback", [0, 2])
def test_unfinished_rows_can_be_left_out(save, flyback):
    stack = recorded(0, flyback)[: 3 * (NX + flyback) + 1]
    scan = open_scan(save(stack), scan_shape=(NY, NX), flyback=flyback, incomplete="trim")
    assert scan.shape == (3, NX, KY, KX)
    np.testing.assert_array_equal(scan.data.compute(), COUNTS[:3])
    assert scan.missing is None
    assert scan.metadata["patterns_left_out"] == 1


def test_a_scan_is_never_cut_silently(save):
    short = save(recorded()[:14])
    with pytest.raises(ScanError, match=r"holds 14 patterns.*5 x 4 needs 20: 2 of 5 rows.*'pad'"):
        open_scan(short, scan_shape=(NY, NX))
    long = save(np.concatenate([recorded(), recorded()[:3]]))
    for how in ("error", "pad"):
        with pytest.raises(ScanError, match=r"holds 23 patterns.*needs 20"):
            open_scan(long, scan_shape=(NY, NX), incomplete=how)
    scan = open_scan(long, scan_shape=(NY, NX), incomplete="trim")
    np.testing.assert_array_equal(scan.data.compute(), COUNTS)
    assert scan.metadata["patterns_left_out"] == 3


@pytest.mark.parametrize(
    ("hints", "words"),
    [
        ({"scan_shape": (0, 4)}, "scan shape"),
        ({"scan_shape": (5, 4), "first_frame": -1}, "first_frame"),
        ({"scan_shape": (5, 4), "flyback": -1}, "flyback"),
        ({"scan_shape": (5, 4), "incomplete": "guess"}, "guess"),
        ({"scan_shape": (5, 4), "incomplete": "pad", "first_frame": 19}, "single row"),
        ({"scan_shape": (10**9, 4), "incomplete": "pad"}, "far fewer"),
    ],
)
def test_impossible_hints_are_refused(save, hints, words):
    path = save(recorded())
    with pytest.raises(ScanError, match=rf"{path.name}.*{words}"):
        open_scan(path, **hints)


def test_a_truncated_npy_can_be_filled_up(tmp_path):
    path = tmp_path / "scan.npy"
    np.save(path, COUNTS)
    whole = path.read_bytes()
    path.write_bytes(whole[: -COUNTS[0, 0].nbytes - 7])
    with pytest.raises(ScanError, match="truncated"):
        open_scan(path)
    scan = open_scan(path, incomplete="pad")
    assert scan.shape == COUNTS.shape
    assert scan.missing.sum() == 2
    np.testing.assert_array_equal(scan.data[:4].compute(), COUNTS[:4])
    trimmed = open_scan(path, incomplete="trim")
    assert trimmed.scan_shape == (4, NX)
    assert not trimmed.complete


def test_a_file_written_anew_is_mapped_anew(tmp_path):
    path = tmp_path / "scan.npy"
    np.save(path, COUNTS)
    open_scan(path)
    np.save(path, COUNTS[:, :, ::-1])
    scan = open_scan(path)
    np.testing.assert_array_equal(scan.frames.view(scan.shape), COUNTS[:, :, ::-1])


@settings(max_examples=150, deadline=None)
@given(
    patterns=st.integers(1, 40),
    scan=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    first=st.integers(0, 3),
    flyback=st.integers(0, 3),
    snake=st.booleans(),
    incomplete=st.sampled_from(["error", "pad", "trim"]),
)
def test_every_position_gets_its_own_pattern_or_none(
    patterns, scan, first, flyback, snake, incomplete
):
    stack = np.arange(1, patterns + 1, dtype=np.int32)[:, None, None]
    options = OpenOptions(
        scan_shape=scan, first_frame=first, flyback=flyback, snake=snake, incomplete=incomplete
    )
    try:
        found = arrange("run", Stored(stack), options)
    except ScanError:
        needed = first + scan[0] * (scan[1] + flyback) - flyback
        fits = needed <= patterns <= needed + flyback
        assert not fits
        return
    values = np.asarray(found.array[:, :])[..., 0, 0]
    ny, nx = values.shape
    expected = first + np.arange(ny)[:, None] * (nx + flyback) + np.arange(nx) + 1
    if snake:
        expected[1::2] = expected[1::2, ::-1]
    there = expected <= patterns
    np.testing.assert_array_equal(values, np.where(there, expected, 0))
    missing = np.zeros((ny, nx), bool) if found.missing is None else found.missing
    np.testing.assert_array_equal(missing, ~there)
    if incomplete == "error":
        assert (ny, nx) == scan
        assert there.all()
        assert first + ny * (nx + flyback) - flyback <= patterns <= first + ny * (nx + flyback)
    assert nx == scan[1]
