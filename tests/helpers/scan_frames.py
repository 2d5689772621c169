"""Scans as instruments write them byte by byte: one pattern after the other, with headers."""

from __future__ import annotations

import itertools
import struct
from pathlib import Path

import numpy as np

from helpers.scan_counts import CENTRE, COUNTS, frames, is_repeated, stream


def write_npy(folder: Path, counts=COUNTS) -> Path:
    with (folder / "scan.npy").open("wb") as file:
        header = {"descr": counts.dtype.str, "fortran_order": False, "shape": counts.shape}
        np.lib.format.write_array_header_1_0(file, header)
        stream(file, counts, counts.dtype)
    return folder / "scan.npy"


def mib_header(
    number: int,
    shape: tuple[int, ...],
    kind: str,
    depth: int,
    *,
    chips: int = 1,
    row: int = 4,
) -> bytes:
    """Return the header of a frame; `shape` is that of the stored image, `number` counts from 0."""
    length = 384 * (2 if chips == 4 else 1)
    seconds = number + 3 * (number // row)
    minutes = f"{16 + seconds // 3600 % 8:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    time = f"2021-05-07T{minutes}.000000000Z"
    dacs = ",".join(["3RX", *["100"] * 27] * chips)
    layout = "2x2" if chips == 4 else "1x1"
    text = (
        f"MQ1,{number + 1:06d},{length:05d},{chips:02d},{shape[1]:04d},{shape[0]:04d},{kind},"
        f"   {layout},01,{time[:-4].replace('T', ' ')},0.001000,0,0,0,1.0E+1,{dacs},"
        f"MQ1A,{time},1000000ns,{depth},"
    )
    return text.encode().ljust(length, b"\0")


def write_hdr(path: Path, total: int, per_trigger: int) -> None:
    """Write what Merlin writes beside its frames."""
    lines = [
        "HDR,\t",
        f"Frames in Acquisition (Number):\t{total}",
        f"Frames per Trigger (Number):\t{per_trigger}",
        "End\t",
    ]
    path.write_bytes("\r\n".join(lines).encode())


def write_mib(folder: Path, counts=COUNTS, chips: int = 1) -> Path:
    path = folder / "scan.mib"
    ny, nx, *detector = counts.shape
    with path.open("wb") as file:
        for number, frame in enumerate(frames(counts)):
            file.write(mib_header(number, detector, "U16", 12, chips=chips, row=nx))
            file.write(frame[::-1].astype(">u2").tobytes())
    write_hdr(path.with_suffix(".hdr"), ny * nx, nx)
    return path


def write_raw_mib(folder: Path, counts=COUNTS) -> Path:
    path = folder / "raw.mib"
    ny, nx, *detector = counts.shape
    with path.open("wb") as file:
        for number, frame in enumerate(frames(counts)):
            file.write(mib_header(number, detector, "R64", 12, row=nx))
            words = frame[::-1].astype("<u2").ravel().view(np.uint8).reshape(-1, 8)
            file.write(words[:, ::-1].tobytes())
    write_hdr(path.with_suffix(".hdr"), ny * nx, 1)
    return path


def write_mib_series(folder: Path, counts=COUNTS) -> Path:
    """Write a file for every row of the scan; the frames are numbered through."""
    ny, nx, *detector = counts.shape
    for y, row in enumerate(counts):
        with (folder / f"scan_{y + 1:06d}.mib").open("wb") as file:
            for x, frame in enumerate(row):
                file.write(mib_header(y * nx + x, detector, "U16", 12, row=nx))
                file.write(frame[::-1].astype(">u2").tobytes())
    write_hdr(folder / "scan.hdr", ny * nx, nx)
    return folder / "scan_000001.mib"


def write_blockfile(folder: Path, counts=COUNTS) -> Path:
    path = folder / "scan.blo"
    ny, nx, side, _ = counts.shape
    start = 0x1000 + -(-ny * nx // 16) * 16
    header = struct.pack("<6sH3I5H2dIHId", b"IMGBLO", 0x0102, 0x1000, start, 131141, side, 0, nx, ny, 0, 1.5, 1.5, 200000, 6226, 2000, 42339.6)  # fmt: skip # noqa: E501
    with path.open("wb") as file:
        file.write(header.ljust(0x1000, b"\0"))
        for row in counts:
            file.write(row.sum((1, 2)).astype(np.uint8).tobytes())
        file.write(b"\0" * (start - file.tell()))
        for number, frame in enumerate(frames(counts)):
            file.write(b"\xaa\x55" + struct.pack("<I", number) + frame.astype(np.uint8).tobytes())
    return path


def write_tvips(folder: Path, counts=COUNTS, parts: int = 2) -> Path:
    """Write a recording in several files, of which only the first starts with a header."""
    ny, nx, *detector = counts.shape
    most = ny * nx // parts + 1
    numbered = enumerate(frames(counts))
    for part in range(parts):
        with (folder / f"scan_{part:03d}.tvips").open("wb") as file:
            if part == 0:
                fields = (256, 2, detector[1], detector[0], 16, 0, 0, 1, 1, 15500, 200, 80, 60)
                file.write(struct.pack("<13I", *fields).ljust(256, b"T"))
            for number, frame in itertools.islice(numbered, most):
                file.write(struct.pack("<4I", number, 1600000000, 20 * number, 0).ljust(60, b"\0"))
                file.write(frame.astype("<u2").tobytes())
    return folder / "scan_000.tvips"


INFO = """Camera Model                     = DESim
Diffraction Pixel Size X         = 0.2
Diffraction Pixel Size Y         = 0.2
Instrument Project TEMorSTEM Mode = -1
Scan - Enable                    = Enable
Scan - ROI Enable                = Disable
Scan - Size X                    = 4
Scan - Size Y                    = 3
Scan - Type                      = Raster
Specimen Pixel Size X (nanometers) = 1.5
Specimen Pixel Size Y (nanometers) = 1.5
"""


def write_mrc(folder: Path, counts=COUNTS) -> Path:
    path = folder / "20260101_00001_movie.mrc"
    ny, nx, ky, kx = counts.shape
    sizes = (kx, ky, ny * nx)
    header = struct.pack("<10I6f", *sizes, 6, 0, 0, 0, *sizes, *[1.0] * 3, *[90.0] * 3)
    with path.open("wb") as file:
        file.write(header.ljust(1024, b"\0"))
        stream(file, counts, "<u2")
    info = INFO.replace("Size X                    = 4", f"Size X                    = {nx}")
    info = info.replace("Size Y                    = 3", f"Size Y                    = {ny}")
    (folder / "20260101_00001_info.txt").write_text(info)
    return path


EMPAD_COUNTS = np.random.default_rng(8).normal(50, 9, (3, 4, 128, 128)).astype(np.float32)
EMPAD_XML = """<root name="scan"><timestamp isoformat="2026-03-25T16:47:52"/>
<raw_file filename="scan_x4_y3.raw"/><exposure_time>1</exposure_time>
<scan_parameters mode="search"><scan_resolution_y>64</scan_resolution_y>
<scan_resolution_x>32</scan_resolution_x></scan_parameters>
<scan_parameters mode="acquire"><scan_resolution_y>3</scan_resolution_y>
<scan_resolution_x>4</scan_resolution_x></scan_parameters>
<iom_measurements><full_scan_field_of_view><scale_factor>0.5</scale_factor><x>3e-9</x><y>3e-9</y>
</full_scan_field_of_view><calibrated_pixelsize>2e-10</calibrated_pixelsize></iom_measurements>
</root>"""


def write_empad(folder: Path, counts=EMPAD_COUNTS) -> Path:
    ny, nx = counts.shape[:2]
    path = folder / f"scan_x{nx}_y{ny}.raw"
    stored = np.full((130, 128), -7.0, "<f4")
    with path.open("wb") as file:
        for frame in frames(counts):
            stored[:128] = frame
            file.write(stored.tobytes())
    xml = EMPAD_XML.replace("_x4_y3", f"_x{nx}_y{ny}").replace("_y>3<", f"_y>{ny}<")
    (folder / "scan.xml").write_text(xml.replace("_x>4<", f"_x>{nx}<"))
    return path


def write_raw(folder: Path, counts=COUNTS) -> Path:
    path = folder / "scan.bin"
    with path.open("wb") as file:
        file.write(b"h" * 100)
        for frame in frames(counts):
            file.write(frame.astype(">u2").tobytes() + b"g" * 10)
    return path


RAW_HINTS = {"dtype": ">u2", "detector_shape": (16, 16), "offset": 100, "gap": 10}

_DM_MARK = b"%%%%"
_DM_SIZE = {3: "I", 4: "Q"}
"""How wide sizes are in version 3 and 4 of DigitalMicrograph's format."""


def _dm_value(value, version: int) -> list:
    def info(*numbers: int) -> bytes:
        size = _DM_SIZE[version]
        return _DM_MARK + struct.pack(f">{len(numbers) + 1}{size}", len(numbers), *numbers)

    if isinstance(value, float):
        return [info(6) + struct.pack("<f", value)]
    if isinstance(value, int):
        return [info(5) + struct.pack("<I", value)]
    if isinstance(value, str):
        return [info(20, 4, len(value)) + value.encode("utf-16-le")]
    return [info(20, 4, value.size), value]


def _dm_length(pieces: list) -> int:
    return sum(p.size * 2 if isinstance(p, np.ndarray) else len(p) for p in pieces)


def _dm_group(tags, version: int) -> list:
    """Return a group of tags, in pieces: a dict names its tags, a list does not."""
    named = tags.items() if isinstance(tags, dict) else [("", tag) for tag in tags]
    body = [struct.pack(f">BB{_DM_SIZE[version]}", 1, 0, len(named))]
    for name, tag in named:
        group = isinstance(tag, dict | list)
        content = _dm_group(tag, version) if group else _dm_value(tag, version)
        label = name.encode("latin-1")
        body.append(struct.pack(">BH", 20 if group else 21, len(label)) + label)
        if version == 4:
            body.append(struct.pack(">Q", _dm_length(content)))
        body += content
    return body


def write_dm(path: Path, data: np.ndarray, axes) -> Path:
    """Write an array with the units, scale and origin of every axis, slowest first."""
    calibration = [{"Origin": o, "Scale": s, "Units": u} for u, s, o in axes[::-1]]
    image = {
        "ImageData": {
            "Calibrations": {
                "Brightness": {"Origin": 0.0, "Scale": 1.0, "Units": ""},
                "Dimension": calibration,
            },
            "Data": data,
            "DataType": 10,
            "Dimensions": [int(n) for n in data.shape[::-1]],
            "PixelDepth": 2,
        },
        "Name": "scan",
    }
    version = int(path.suffix[-1])
    root = _dm_group({"ImageList": [image]}, version)
    with path.open("wb") as file:
        file.write(struct.pack(f">I{_DM_SIZE[version]}I", version, _dm_length(root), 1))
        for piece in root:
            if isinstance(piece, np.ndarray):
                stream(file, piece, "<u2")
            else:
                file.write(piece)
        file.write(b"\0" * 8)
    return path


SCAN_AXES = (("nm", 1.5, 0.0), ("nm", 1.5, 0.0))
K_AXES = (("1/nm", 0.2, CENTRE[0]), ("1/nm", 0.2, CENTRE[1]))


def write_gatan(folder: Path, counts=COUNTS) -> Path:
    return write_dm(folder / "scan.dm4", counts, SCAN_AXES + K_AXES)


def write_gatan_3(folder: Path) -> Path:
    return write_dm(folder / "scan.dm3", COUNTS, SCAN_AXES + K_AXES)


def write_gatan_detector_slow(folder: Path, counts=COUNTS) -> Path:
    """Write one image of the scan per detector pixel, as a diffraction spectrum image has it."""
    turned = counts if is_repeated(counts) else counts.transpose(2, 3, 0, 1)
    return write_dm(folder / "slow.dm4", turned, K_AXES + SCAN_AXES)
