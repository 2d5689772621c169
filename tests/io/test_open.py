"""Opening scans: real instrument files, files made here, and broken ones."""

from __future__ import annotations

import inspect
import zipfile
from dataclasses import fields

import h5py
import numpy as np
import pytest
import zarr
from scipy import ndimage

from napari_ferro4d import ScanError, com, open_scan
from napari_ferro4d.io import (
    OpenOptions,
    is_results,
    length_in_nm,
    reciprocal_in_inverse_angstrom,
)
from napari_ferro4d.open import is_scan, open_with_options
from napari_ferro4d.results import write_results

COUNTS = np.random.default_rng(0).integers(0, 500, (3, 4, 16, 18)).astype(np.uint16)


def write_npy(path, counts=COUNTS):
    np.save(path, counts)


def write_hdf5(path, counts=COUNTS):
    """Write as py4DSTEM does: emdfile with dim vectors."""
    with h5py.File(path, "w") as file:
        group = file.create_group("root/datacube")
        group.create_dataset("data", data=counts, chunks=(1, 2, 16, 18), compression="gzip")
        steps = [(1.5, "nm"), (1.5, "nm"), (0.02, "A^-1"), (0.02, "A^-1")]
        for axis, (step, units) in enumerate(steps):
            dim = group.create_dataset(f"dim{axis}", data=np.arange(counts.shape[axis]) * step)
            dim.attrs["units"] = units


AXES = [("y", "µm", 0.0015), ("x", "µm", 0.0015), ("ky", "1/nm", 0.2), ("kx", "1/nm", 0.2)]


def hyperspy_axes(counts):
    return [
        {
            "_type": "UniformDataAxis",
            "name": name,
            "units": units,
            "scale": scale,
            "offset": 0.0,
            "size": counts.shape[number],
            "index_in_array": number,
            "navigate": number < 2,
            "is_binned": False,
        }
        for number, (name, units, scale) in enumerate(AXES)
    ]


def write_hspy(path, counts=COUNTS):
    from rsciio.hspy import file_writer

    signal = {
        "data": counts,
        "axes": hyperspy_axes(counts),
        "metadata": {"General": {"title": "x"}, "Signal": {"signal_type": ""}},
        "original_metadata": {},
        "tmp_parameters": {},
        "attributes": {"_lazy": False, "ragged": False},
        "learning_results": {},
        "models": {},
        "package_info": {"package": "x", "package_version": "0"},
    }
    file_writer(str(path), signal, compression="gzip", show_progressbar=False)


def write_zspy(path, counts=COUNTS):
    """Write as HyperSpy does: zarr version 2, its axes as groups beside the data."""
    root = zarr.open_group(path, mode="w", zarr_format=2)
    root.attrs.update({"file_format": "ZSpy", "file_format_version": "3.3"})
    group = root.create_group("Experiments/scan")
    group.create_array("data", data=counts, chunks=(1, 4, 16, 18))
    for number, axis in enumerate(hyperspy_axes(counts)):
        group.create_group(f"axis-{number}").attrs.update(axis)


def write_zarr(path, counts=COUNTS):
    group = zarr.open_group(path, mode="w")
    array = group.create_array("patterns", data=counts, chunks=(2, 2, 16, 18))
    array.attrs.update({"scan_step_nm": 1.5, "k_step_inv_angstrom": 0.02})


def write_mib(path, counts=COUNTS, hdr=True):
    """Write as Merlin does: a text header before every big-endian frame, bottom row first."""
    ny, nx, ky, kx = counts.shape
    with path.open("wb") as file:
        for number, frame in enumerate(counts.reshape(-1, ky, kx)):
            fields = (
                f"MQ1,{number + 1:06d},00384,01,{kx:04d},{ky:04d},U16,   1x1,01,"
                "2020-01-01 12:00:00.000000,0.001000,0,0,0,1.0E+2,"
            )
            tail = "MQ1A,2020-01-01T12:00:00.000000000Z,1000000ns,12,"
            file.write((fields + tail).ljust(383).encode() + b"\n"[:1])
            file.write(frame[::-1].astype(">u2").tobytes())
    if hdr:
        lines = [
            "HDR,\t",
            f"Frames in Acquisition (Number):\t{ny * nx}",
            f"Frames per Trigger (Number):\t{nx}",
            "End\t",
        ]
        path.with_suffix(".hdr").write_text("\n".join(lines))


WRITERS = {
    ".npy": write_npy,
    ".h5": write_hdf5,
    ".hspy": write_hspy,
    ".zspy": write_zspy,
    ".zarr": write_zarr,
    ".mib": write_mib,
}
CALIBRATED = (".h5", ".hspy", ".zspy", ".zarr")


@pytest.fixture(params=sorted(WRITERS))
def scan_file(request, tmp_path):
    path = tmp_path / f"scan{request.param}"
    WRITERS[request.param](path)
    return path


def test_every_format_gives_the_same_scan(scan_file):
    assert is_scan(scan_file)
    scan = open_scan(scan_file)
    assert scan.shape == COUNTS.shape
    np.testing.assert_array_equal(scan.data.compute(), COUNTS)
    assert scan.data.numblocks[2:] == (1, 1)
    assert scan.name == "scan"
    if scan_file.suffix in CALIBRATED:
        assert scan.scan_step == pytest.approx((1.5, 1.5))
        assert scan.k_step == pytest.approx((0.02, 0.02))
    else:
        assert scan.scan_step is scan.k_step is None


def test_every_format_gives_the_same_maps_and_signature(scan_file, tmp_path):
    from napari_ferro4d import Scan

    reference = Scan.from_array(COUNTS)
    scan = open_scan(scan_file)
    assert scan.signature == reference.signature
    np.testing.assert_array_equal(com(scan).com_y, com(reference).com_y)


def test_a_scan_can_be_opened_again_from_its_source(scan_file):
    scan = open_scan(scan_file, scan_shape=(3, 4), scan_step=2.0, k_step=0.5)
    again = open_scan(scan.source.path, **scan.source.hints)
    assert again.shape == (3, 4, 16, 18)
    assert again.signature == scan.signature
    assert again.scan_step == (2.0, 2.0)
    assert again.k_step == (0.5, 0.5)


def test_a_scan_shape_that_does_not_fit_is_refused(scan_file):
    with pytest.raises(ScanError, match=rf"{scan_file.name}.*12 patterns.*5 x 5"):
        open_scan(scan_file, scan_shape=(5, 5))


@pytest.mark.parametrize("suffix", sorted(set(WRITERS) - {".mib"}))
def test_a_scan_stored_as_rows_is_not_cut_anew(tmp_path, suffix):
    path = tmp_path / f"scan{suffix}"
    WRITERS[suffix](path)
    with pytest.raises(ScanError, match="stored as a scan of 3 x 4"):
        open_scan(path, scan_shape=(4, 3))
    # One stored as a line is.
    line = tmp_path / f"line{suffix}"
    WRITERS[suffix](line, COUNTS.reshape(1, 12, 16, 18))
    np.testing.assert_array_equal(open_scan(line, scan_shape=(3, 4)).data.compute(), COUNTS)


@pytest.mark.parametrize("suffix", sorted(WRITERS))
def test_a_truncated_file_is_one_clear_error(tmp_path, suffix):
    path = tmp_path / f"scan{suffix}"
    WRITERS[suffix](path)
    if path.is_dir():
        for chunk in path.rglob("c/0/0/0/0"):
            chunk.write_bytes(chunk.read_bytes()[:10])
        for chunk in path.rglob("0.0.0.0"):
            chunk.write_bytes(chunk.read_bytes()[:10])
    else:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(ScanError, match=path.name) as caught:
        com(open_scan(path))
    assert "\n" not in str(caught.value)


def test_a_stack_needs_its_scan_shape(tmp_path):
    write_npy(tmp_path / "stack.npy", COUNTS.reshape(12, 16, 18))
    assert not is_scan(tmp_path / "stack.npy")
    with pytest.raises(ScanError, match="3 axes"):
        open_scan(tmp_path / "stack.npy")
    scan = open_scan(tmp_path / "stack.npy", scan_shape=(3, 4))
    np.testing.assert_array_equal(scan.data.compute(), COUNTS)


def test_merlin_frames_that_no_companion_explains_need_the_scan_shape(tmp_path):
    write_mib(tmp_path / "alone.mib", hdr=False)
    with pytest.raises(ScanError, match="scan shape"):
        open_scan(tmp_path / "alone.mib")
    scan = open_scan(tmp_path / "alone.mib", scan_shape=(3, 4))
    np.testing.assert_array_equal(scan.data.compute(), COUNTS)
    np.testing.assert_array_equal(com(scan).sum, COUNTS.sum((2, 3)))


@pytest.mark.parametrize(
    ("name", "words"),
    [("missing.npy", "no such file"), ("", "folder is not a 4D-STEM scan"), ("a.txt", "format")],
)
def test_what_is_no_scan_is_named(tmp_path, name, words):
    (tmp_path / "a.txt").write_text("hello")
    path = tmp_path / name if name else tmp_path
    assert not is_scan(path)
    with pytest.raises(ScanError, match=words):
        open_scan(path)


def test_other_peoples_files_are_declined(tmp_path):
    np.save(tmp_path / "image.npy", np.zeros((5, 5)))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with h5py.File(tmp_path / "table.h5", "w") as file:
        file["x"] = np.zeros((3, 3))
    (tmp_path / "broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n rest")
    zarr.open_group(tmp_path / "picture.zarr", mode="w").create_array("0", data=np.zeros((4, 4)))
    write_results(tmp_path / "results.zarr")
    names = ("image.npy", "objects.npy", "table.h5", "broken.h5", "picture.zarr", "results.zarr")
    assert [name for name in names if is_scan(tmp_path / name)] == []
    assert is_results(tmp_path / "results.zarr")


# RosettaSciIO leaves a blockfile open that it could not read.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
def test_a_broken_file_that_can_only_be_a_scan_is_taken_to_say_what_is_wrong(tmp_path):
    for name in ("broken.mib", "broken.blo", "broken.hspy"):
        path = tmp_path / name
        path.write_bytes(b"nonsense")
        assert is_scan(path)
        with pytest.raises(ScanError, match=name):
            open_scan(path)


def test_python_objects_are_never_loaded(tmp_path):
    np.save(tmp_path / "o.npy", np.empty((1, 1, 1, 1), object), allow_pickle=True)
    with pytest.raises(ScanError, match="Python objects"):
        open_scan(tmp_path / "o.npy")


def test_an_unknown_format_is_named(tmp_path):
    write_npy(tmp_path / "scan.npy")
    with pytest.raises(ScanError, match="'jpeg' is not known"):
        open_scan(tmp_path / "scan.npy", format="jpeg")


def test_the_format_may_be_said(tmp_path):
    write_npy(tmp_path / "scan.dat.npy")
    (tmp_path / "scan.dat.npy").rename(tmp_path / "scan.dat")
    assert open_scan(tmp_path / "scan.dat", format="npy").shape == COUNTS.shape


@pytest.mark.parametrize(
    ("unit", "nm"),
    [("nm", 1), ("Å", 0.1), ("um", 1e3), ("µm", 1e3), ("m", 1e9), ("px", None), ("", None)],
)
def test_lengths(unit, nm):
    assert length_in_nm(unit) == nm


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("1/Å", 1),
        ("A^-1", 1),
        ("1 / Å", 1),
        ("$A^{-1}$", 1),
        ("Å⁻¹", 1),
        ("1/nm", 0.1),
        ("nm^-1", 0.1),
        ("mrad", None),
        ("cm", None),
        ("", None),
    ],
)
def test_reciprocal_lengths(unit, factor):
    found = reciprocal_in_inverse_angstrom(unit)
    assert found is None if factor is None else found == pytest.approx(factor)


# --- real files


def test_merlin(instruments, tmp_path):
    with zipfile.ZipFile(instruments / "Merlin_navigation4x2_ROI.zip") as archive:
        archive.extractall(tmp_path)
    full, roi = sorted(tmp_path.rglob("*.mib"))
    scan = open_scan(full)
    assert scan.shape == (2, 4, 256, 256)
    assert scan.dtype == np.uint8
    assert scan.metadata["exposure_ms"] == 100.0
    assert open_scan(roi).shape == (2, 4, 128, 256)
    # The bytes after the first frame's header are the first frame, from its bottom row up.
    raw = np.fromfile(full, np.uint8)[384 : 384 + 256 * 256].reshape(256, 256)
    np.testing.assert_array_equal(scan.data[0, 0].compute(), raw[::-1])
    from rsciio.quantumdetector import file_reader

    np.testing.assert_array_equal(scan.data.compute(), file_reader(str(full))[0]["data"])
    expected = ndimage.center_of_mass(raw[::-1].astype(float))
    maps = com(scan, centre=(0, 0))
    assert (maps.com_y[0, 0], maps.com_x[0, 0]) == pytest.approx(expected, rel=1e-6)


def test_blockfile(instruments):
    scan = open_scan(instruments / "test1.blo")
    assert scan.shape == (3, 2, 144, 144)
    assert scan.scan_step == pytest.approx((12.8, 12.8))
    assert scan.k_step is None  # the file states cm on the screen, which is no 1/angstrom


def test_py4dstem(instruments):
    scan = open_scan(instruments / "py4DSTEM_size2x3x4x5.h5")
    assert scan.shape == (2, 3, 4, 5)
    assert scan.scan_step == pytest.approx((0.126796875,) * 2)
    assert scan.k_step == pytest.approx((0.0442515666,) * 2)


def test_what_a_scan_is_opened_with_is_the_same_as_one_object_and_as_arguments(tmp_path):
    taken = inspect.signature(open_scan).parameters
    options = {one.name: one.default for one in fields(OpenOptions)}
    assert {n: taken[n].default for n in taken if n not in ("path", "report")} == options
    write_npy(tmp_path / "scan.npy")
    said = {
        "scan_step": np.array([2, 3]),
        "k_step": [0.1, 0.2],
        "crop": ((1, 9), (0, None)),
        "bin": 2,
    }
    scan = open_scan(tmp_path / "scan.npy", **said)
    again = open_with_options(tmp_path / "scan.npy", OpenOptions(**said))
    assert (again.source, again.signature) == (scan.source, scan.signature)
    hints = {"scan_step": (2, 3), "k_step": (0.1, 0.2), "crop": ((1, 9), (0, 18)), "bin": 2}
    assert scan.source.hints == hints
    assert scan.correction.raw.source.hints == {"scan_step": (2, 3), "k_step": (0.1, 0.2)}
