"""Merlin frames as the detector writes them, byte by byte."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ferro4d import ScanError, com, open_scan

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


def test_an_unknown_raw_layout_is_refused(tmp_path):
    path = tmp_path / "raw.mib"
    fields = {"chips": 4, "layout": "Nx1", "length": 768}
    write(path, [bytes(64 * 16)], width=64, height=16, kind="R64", depth=6, **fields)
    with pytest.raises(ScanError, match="Nx1"):
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
