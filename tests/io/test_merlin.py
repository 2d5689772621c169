"""Merlin frames as the detector writes them, byte by byte."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_ferro4d import ScanError, com, open_scan
from napari_ferro4d.open import is_scan

NY, NX = 3, 4
RNG = np.random.default_rng(3)


def header(number, width, height, kind, *, depth, chips=1, layout="1x1", length=384, pause=0):
    seconds = 0.001 * (number + pause * (number // NX))
    time = f"2021-05-07T16:51:{seconds:012.9f}Z"
    dacs = ",".join(["3RX", *["100"] * 27] * chips)
    text = (
        f"MQ1,{number + 1:06d},{length:05d},{chips:02d},{width:04d},{height:04d},{kind},"
        f"   {layout},01,{time[:-4].replace('T', ' ')},0.001000,0,0,0,"
        f"{','.join(['1.0E+1'] * 8)},{dacs},MQ1A,{time},1000000ns,{depth},"
    )
    assert len(text) <= length
    return text.encode().ljust(length, b"\0")


def write(path, payloads, hdr=None, **fields):
    with path.open("wb") as file:
        for number, payload in enumerate(payloads):
            file.write(header(number, **fields) + payload)
    if hdr is not None:
        lines = ["HDR,\t", *(f"{key}:\t{value}" for key, value in hdr.items()), "End\t   "]
        path.with_suffix(".hdr").write_bytes("\r\n".join(lines).encode())


def counts(depth, ky, kx):
    return RNG.integers(0, 2**depth, (NY * NX, ky, kx))


@pytest.mark.parametrize(("depth", "kind"), [(1, "U08"), (6, "U08"), (12, "U16"), (24, "U32")])
@pytest.mark.parametrize("length", [384, 768, 1011])
def test_processed_frames_of_every_depth(tmp_path, depth, kind, length):
    images = counts(depth, 6, 10)
    dtype = f">u{int(kind[1:]) // 8}"
    path = tmp_path / "a.mib"
    payloads = [image[::-1].astype(dtype).tobytes() for image in images]
    write(path, payloads, width=10, height=6, kind=kind, depth=depth, length=length)
    scan = open_scan(path, scan_shape=(NY, NX))
    assert scan.frames is not None
    np.testing.assert_array_equal(scan.data.compute(), images.reshape(NY, NX, 6, 10))
    sums = images.sum((1, 2)).reshape(NY, NX)
    np.testing.assert_array_equal(com(scan).sum, sums.astype(np.float32))
    assert scan.metadata["exposure_ms"] == 1.0
    assert scan.metadata["bit_depth"] == depth
    assert scan.metadata["timestamp"] == "2021-05-07T16:51:00.000000000Z"


def test_an_older_header_without_the_extension_tells_time_and_exposure(tmp_path):
    path = tmp_path / "old.mib"
    head = header(0, width=8, height=5, kind="U08", depth=6).split(b"MQ1A")[0].ljust(384, b"\0")
    path.write_bytes(head + bytes(40))
    metadata = open_scan(path, scan_shape=(1, 1)).metadata
    assert metadata["exposure_ms"] == 1.0
    assert metadata["timestamp"].startswith("2021-05-07 16:51:00.000")
    assert metadata["bit_depth"] == 6
    path.write_bytes(head.replace(b",0.001000,", b",unknown!,") + bytes(40))
    assert "exposure_ms" not in open_scan(path, scan_shape=(1, 1)).metadata


@pytest.mark.parametrize(("chips", "layout", "shape"), [(4, "2x2", (8, 8)), (4, "Nx1", (4, 16))])
def test_processed_frames_of_four_chips(tmp_path, chips, layout, shape):
    ky, kx = shape
    images = counts(12, ky, kx)
    path = tmp_path / "quad.mib"
    payloads = [image[::-1].astype(">u2").tobytes() for image in images]
    fields = {"chips": chips, "layout": layout, "length": 768}
    write(path, payloads, width=kx, height=ky, kind="U16", depth=12, **fields)
    scan = open_scan(path, scan_shape=(NY, NX))
    np.testing.assert_array_equal(scan.data.compute(), images.reshape(NY, NX, ky, kx))


def words(image, depth):
    """Pack a chip's image as it leaves the chip: 8-byte words, the last pixel's byte first."""
    if depth == 1:
        data = np.packbits(image.astype(np.uint8).ravel(), bitorder="little")
    else:
        data = image.astype("u1" if depth == 6 else "<u2").ravel().view(np.uint8)
    return data.reshape(-1, 8)[:, ::-1].tobytes()


@pytest.mark.parametrize("depth", [1, 6, 12, 24])
def test_raw_frames_of_one_chip(tmp_path, depth):
    images = counts(depth, 8, 64)
    path = tmp_path / "raw.mib"
    if depth == 24:
        payloads = [words(i[::-1] >> 12, 12) + words(i[::-1] & 4095, 12) for i in images]
    else:
        payloads = [words(image[::-1], depth) for image in images]
    width = 128 if depth == 24 else 64
    write(path, payloads, width=width, height=8, kind="R64", depth=depth)
    scan = open_scan(path, scan_shape=(NY, NX))
    assert scan.dtype == {1: np.uint8, 6: np.uint8, 12: np.uint16, 24: np.uint32}[depth]
    np.testing.assert_array_equal(scan.data.compute(), images.reshape(NY, NX, 8, 64))
    np.testing.assert_array_equal(scan.data[1, 2, 3, 5:9].compute(), images[6, 3, 5:9])


@pytest.mark.parametrize("depth", [1, 6, 12])
def test_raw_frames_of_four_chips_in_a_square(tmp_path, depth):
    """Every row of the file holds a row of chips 4, 3, 2, 1; 3 and 4 are upside down."""
    images = counts(depth, 128, 128)
    payloads = []
    for image in images:
        stored = image[::-1]
        one, two = stored[:64, :64], stored[:64, 64:]
        three, four = stored[64:, :64][::-1, ::-1], stored[64:, 64:][::-1, ::-1]
        payloads.append(words(np.concatenate([four, three, two, one], axis=1), depth))
    path = tmp_path / "quad.mib"
    fields = {"chips": 4, "layout": "2x2", "length": 768}
    write(path, payloads, width=256, height=64, kind="R64", depth=depth, **fields)
    scan = open_scan(path, scan_shape=(NY, NX))
    np.testing.assert_array_equal(scan.data.compute(), images.reshape(NY, NX, 128, 128))


@pytest.mark.parametrize(("layout", "depth"), [("Nx1", 6), ("Nx1", 12), ("2x2", 24), ("2x2G", 24)])
def test_an_unknown_raw_layout_is_refused(tmp_path, layout, depth):
    """No public description tells how these lie; LiberTEM and RosettaSciIO refuse them, too."""
    path = tmp_path / "raw.mib"
    fields = {"chips": 4, "layout": layout, "length": 768}
    write(path, [bytes(64 * 16 * 4)], width=64, height=16, kind="R64", depth=depth, **fields)
    with pytest.raises(ScanError, match=f"{layout}.*{depth} bits cannot be read"):
        open_scan(path, scan_shape=(1, 1))


FLAT = [bytes(40)] * (NY * NX)
SMALL = {"width": 8, "height": 5, "kind": "U08", "depth": 6}


@pytest.mark.parametrize(
    ("hdr", "pause", "shape"),
    [
        ({"Frames in Acquisition (Number)": 12, "Frames per Trigger (Number)": 4}, 0, (3, 4)),
        ({"Frames in Acquisition (Number)": 12, "Frames per Trigger (Number)": 1}, 3, (3, 4)),
        ({"ScanX": 6, "ScanY": 2}, 0, (2, 6)),
        (None, 3, (3, 4)),
    ],
)
def test_the_scan_shape_is_found(tmp_path, hdr, pause, shape):
    write(tmp_path / "a.mib", FLAT, hdr, pause=pause, **SMALL)
    assert open_scan(tmp_path / "a.mib").scan_shape == shape


@pytest.mark.parametrize("announced", [16, 13])
def test_an_interrupted_acquisition_is_not_cut_silently(tmp_path, announced):
    hdr = {"Frames in Acquisition (Number)": announced, "Frames per Trigger (Number)": 4}
    write(tmp_path / "a.mib", FLAT, hdr, **SMALL)
    with pytest.raises(ScanError, match=r"holds 12 patterns.*4 x 4 needs 16: 1 of 4 rows"):
        open_scan(tmp_path / "a.mib")
    scan = open_scan(tmp_path / "a.mib", incomplete="pad")
    assert scan.scan_shape == (4, 4)
    assert scan.missing[3].all()
    assert open_scan(tmp_path / "a.mib", incomplete="trim").scan_shape == (3, 4)


def test_half_a_frame_at_the_end_is_said(tmp_path):
    path = tmp_path / "a.mib"
    write(path, FLAT, **SMALL)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ScanError, match="11 patterns and 404 bytes of another"):
        open_scan(path, scan_shape=(3, 4))
    assert open_scan(path, scan_shape=(3, 4), incomplete="pad").missing.sum() == 1


# --- an acquisition in several files


def write_series(folder, numbers, *, hdr=None, images=None, names="scan_{:06d}.mib"):
    """Write files with the frames of these numbers, counted from 1; return the counts of all."""
    images = counts(12, 6, 10) if images is None else images
    for file, part in enumerate(numbers, 1):
        with (folder / names.format(file)).open("wb") as stream:
            for number in part:
                head = header(number - 1, width=10, height=6, kind="U16", depth=12)
                stream.write(head + images[number - 1][::-1].astype(">u2").tobytes())
    if hdr is not None:
        lines = ["HDR,\t", *(f"{key}:\t{value}" for key, value in hdr.items()), "End\t   "]
        (folder / "scan.hdr").write_bytes("\r\n".join(lines).encode())
    return images.reshape(-1, NX, 6, 10)


ALL = {"Frames in Acquisition (Number)": 12, "Frames per Trigger (Number)": 4}
BY_ROW = [range(1, 5), range(5, 9), range(9, 13)]


@pytest.mark.parametrize("opened", ["scan.hdr", "scan_000001.mib", "scan_000003.mib"])
@pytest.mark.parametrize("parts", [BY_ROW, [range(1, 6), range(6, 11), range(11, 13)]])
def test_any_file_of_an_acquisition_opens_all_of_it(tmp_path, opened, parts):
    expected = write_series(tmp_path, parts, hdr=ALL)
    assert is_scan(tmp_path / opened)
    scan = open_scan(tmp_path / opened)
    np.testing.assert_array_equal(scan.data.compute(), expected)
    assert scan.complete
    assert scan.metadata["data_files"] == 3
    assert scan.metadata["exposure_ms"] == 1.0
    assert scan.metadata["timestamp"].startswith("2021-05-07T16:51:00")
    again = open_scan(scan.source.path, **scan.source.hints)
    assert again.signature == scan.signature
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(scan.data))[2, 1], expected[2, 1])
    np.testing.assert_array_equal(scan.data[1:3, ::2, 2:4, 1].compute(), expected[1:3, ::2, 2:4, 1])
    np.testing.assert_array_equal(com(scan).sum, expected.sum((2, 3)))


def test_a_file_for_every_frame(tmp_path):
    """Numbers without leading zeros: the tenth file follows the ninth, not the first."""
    frames = [[number] for number in range(1, 13)]
    expected = write_series(tmp_path, frames, hdr=ALL, names="scan{}.mib")
    scan = open_scan(tmp_path / "scan.hdr")
    np.testing.assert_array_equal(scan.data.compute(), expected)


def test_without_a_companion_the_pauses_tell_the_rows(tmp_path):
    images = counts(12, 6, 10)
    for file, part in enumerate([range(1, 4), range(4, 13)], 1):
        with (tmp_path / f"a{file}.mib").open("wb") as stream:
            for number in part:
                head = header(number - 1, width=10, height=6, kind="U16", depth=12, pause=3)
                stream.write(head + images[number - 1][::-1].astype(">u2").tobytes())
    scan = open_scan(tmp_path / "a2.mib")
    np.testing.assert_array_equal(scan.data.compute(), images.reshape(NY, NX, 6, 10))


def test_raw_frames_in_several_files(tmp_path):
    images = counts(6, 8, 64)
    for file in range(3):
        with (tmp_path / f"raw_{file}.mib").open("wb") as stream:
            for number in range(4 * file, 4 * file + 4):
                head = header(number, width=64, height=8, kind="R64", depth=6)
                stream.write(head + words(images[number][::-1], 6))
    scan = open_scan(tmp_path / "raw_1.mib", scan_shape=(NY, NX))
    np.testing.assert_array_equal(scan.data.compute(), images.reshape(NY, NX, 8, 64))


@pytest.mark.parametrize("own_companions", [True, False])
def test_numbered_scans_are_not_joined(tmp_path, own_companions):
    """Each starts with frame 1, so that they are scans of their own, whatever their names."""
    both = {}
    for name in ("scan_000001.mib", "scan_000002.mib"):
        images = counts(12, 6, 10)
        payloads = [image[::-1].astype(">u2").tobytes() for image in images]
        hdr = ALL if own_companions else None
        write(tmp_path / name, payloads, hdr, width=10, height=6, kind="U16", depth=12)
        both[name] = images.reshape(NY, NX, 6, 10)
    for name, expected in both.items():
        scan = open_scan(tmp_path / name, scan_shape=(NY, NX))
        np.testing.assert_array_equal(scan.data.compute(), expected)
        assert "data_files" not in scan.metadata
        if own_companions:
            assert open_scan((tmp_path / name).with_suffix(".hdr")).signature == scan.signature


def test_a_scan_with_a_companion_of_its_own_is_complete(tmp_path):
    """The counter ran on into the next scan, but its companion says that twelve is all."""
    write_series(tmp_path, [range(1, 13)])
    (tmp_path / "scan_000001.hdr").write_text(
        "HDR,\t\nFrames in Acquisition (Number):\t12\nFrames per Trigger (Number):\t4\nEnd\t\n"
    )
    with (tmp_path / "scan_000002.mib").open("wb") as stream:
        for number in range(12, 24):
            stream.write(header(number, width=10, height=6, kind="U16", depth=12) + bytes(120))
    assert open_scan(tmp_path / "scan_000001.mib").scan_shape == (3, 4)


def test_files_left_over_from_a_longer_acquisition_are_not_taken(tmp_path):
    short = {"Frames in Acquisition (Number)": 8, "Frames per Trigger (Number)": 4}
    expected = write_series(tmp_path, BY_ROW, hdr=short)
    scan = open_scan(tmp_path / "scan.hdr")
    np.testing.assert_array_equal(scan.data.compute(), expected[:2])


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_missing_file_is_named(tmp_path, lost):
    expected = write_series(tmp_path, BY_ROW, hdr=ALL)
    (tmp_path / f"scan_{lost:06d}.mib").unlink()
    for path in (tmp_path / "scan.hdr", *tmp_path.glob("*.mib")):
        with pytest.raises(ScanError, match=rf"scan_00000{lost}\.mib is missing \(frames") as error:
            open_scan(path)
        assert f"(frames {4 * lost - 3} to {4 * lost})" in str(error.value)
        scan = open_scan(path, incomplete="pad")
        np.testing.assert_array_equal(np.unique(np.argwhere(scan.missing)[:, 0]), [lost - 1])
        assert scan.missing.sum() == 4
        expected[lost - 1] = 0
        np.testing.assert_array_equal(scan.data.compute(), expected)
        assert not scan.complete
    if lost > 1:
        trimmed = open_scan(tmp_path / "scan.hdr", incomplete="trim")
        np.testing.assert_array_equal(trimmed.data.compute(), expected[: lost - 1])
    else:
        with pytest.raises(ScanError, match="nothing is left"):
            open_scan(tmp_path / "scan.hdr", incomplete="trim")


def test_a_missing_file_leaves_a_hole_in_a_scan_of_any_shape(tmp_path):
    write_series(tmp_path, [range(1, 4), range(4, 6), range(6, 13)])
    (tmp_path / "scan_000002.mib").unlink()
    with pytest.raises(ScanError, match="give the scan shape"):
        open_scan(tmp_path / "scan_000001.mib", incomplete="pad")
    scan = open_scan(tmp_path / "scan_000001.mib", scan_shape=(2, 7), incomplete="pad")
    assert np.argwhere(scan.missing).tolist() == [[0, 3], [0, 4], [1, 5], [1, 6]]
    np.testing.assert_array_equal(scan.data.compute()[scan.missing], 0)


def test_a_file_that_was_cut_off_is_named(tmp_path):
    write_series(tmp_path, BY_ROW, hdr=ALL)
    path = tmp_path / "scan_000002.mib"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 4 * 3])
    with pytest.raises(ScanError, match=r"scan_000002\.mib is cut off \(frames 8 to 8"):
        open_scan(tmp_path / "scan.hdr")
    path.write_bytes(whole[:-20])
    with pytest.raises(ScanError, match=r"scan_000002\.mib ends in the middle of a frame"):
        open_scan(tmp_path / "scan.hdr")
    scan = open_scan(tmp_path / "scan.hdr", incomplete="pad")
    assert np.argwhere(scan.missing).tolist() == [[1, 3]]


def test_a_file_of_other_frames_is_no_part_of_it(tmp_path):
    write_series(tmp_path, BY_ROW[:2], hdr=ALL)
    with (tmp_path / "scan_000003.mib").open("wb") as stream:
        for number in range(8, 12):
            stream.write(header(number, width=5, height=6, kind="U16", depth=12) + bytes(60))
    with pytest.raises(ScanError, match=r"scan_000003\.mib is missing"):
        open_scan(tmp_path / "scan_000001.mib")


def test_a_hdr_file_of_another_program_or_without_frames_is_declined(tmp_path):
    (tmp_path / "image.hdr").write_bytes(b"#?RADIANCE\n")
    assert not is_scan(tmp_path / "image.hdr")
    with pytest.raises(ScanError, match=r"image\.hdr: is no Merlin header"):
        open_scan(tmp_path / "image.hdr")
    (tmp_path / "scan.hdr").write_bytes(b"HDR,\t\r\nEnd\t")
    assert is_scan(tmp_path / "scan.hdr")
    with pytest.raises(ScanError, match=r"scan\.mib, are missing"):
        open_scan(tmp_path / "scan.hdr")


def parts_of(length):
    """Return a strategy of what an axis can be asked for: a position, a run, every n-th."""
    ends = st.none() | st.integers(-length, length + 2)
    runs = st.builds(slice, ends, ends, st.none() | st.integers(1, 3))
    return st.integers(0, length - 1) | runs


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    images = np.random.default_rng(5).integers(0, 999, (32, 6, 10))
    write_series(folder, [range(1, 8), range(8, 15), range(15, 31)], images=images)
    how = {"scan_shape": (4, 5), "flyback": 2, "first_frame": 3}
    return open_scan(folder / "scan_000001.mib", incomplete="trim", **how), images


@given(st.tuples(*map(parts_of, (4, 5, 6, 10))))
def test_any_part_of_a_joined_scan_is_that_of_the_counts(series, where):
    scan, images = series
    rows = np.stack([images[3 + 7 * y : 8 + 7 * y] for y in range(4)])
    np.testing.assert_array_equal(scan.data[where].compute(), rows[where])
