"""One small scan in every file format, written byte by byte as the instruments write it.

Used by the tests of the formats and by the mutator (``test_io_mutations.py`` and
``benchmarks/mutate_files.py``). Every writer takes a folder and returns the path to open.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

SHAPE = (3, 4, 16, 16)
COUNTS = np.random.default_rng(7).integers(0, 200, SHAPE).astype(np.uint16)
SCAN_STEP = (1.5, 1.5)
K_STEP = (0.02, 0.02)


def write_npy(folder: Path) -> Path:
    np.save(folder / "scan.npy", COUNTS)
    return folder / "scan.npy"


def mib_header(number: int, width: int, height: int, kind: str, depth: int, length: int) -> bytes:
    time = f"2021-05-07T16:51:{number + 3 * (number // 4):02d}.000000000Z"
    text = (
        f"MQ1,{number + 1:06d},{length:05d},01,{width:04d},{height:04d},{kind},   1x1,01,"
        f"{time[:-4].replace('T', ' ')},0.001000,0,0,0,1.0E+1,3RX,{'100,' * 27}"
        f"MQ1A,{time},1000000ns,{depth},"
    )
    return text.encode().ljust(length, b"\0")


def write_mib(folder: Path) -> Path:
    path = folder / "scan.mib"
    with path.open("wb") as file:
        for number, frame in enumerate(COUNTS.reshape(-1, 16, 16)):
            file.write(mib_header(number, 16, 16, "U16", 12, 384))
            file.write(frame[::-1].astype(">u2").tobytes())
    lines = ["HDR,\t", "Frames in Acquisition (Number):\t12", "Frames per Trigger (Number):\t4"]
    path.with_suffix(".hdr").write_bytes("\r\n".join([*lines, "End\t"]).encode())
    return path


def write_raw_mib(folder: Path) -> Path:
    path = folder / "raw.mib"
    with path.open("wb") as file:
        for number, frame in enumerate(COUNTS.reshape(-1, 16, 16)):
            file.write(mib_header(number, 16, 16, "R64", 12, 384))
            words = frame[::-1].astype("<u2").ravel().view(np.uint8).reshape(-1, 8)
            file.write(words[:, ::-1].tobytes())
    return path


def write_blockfile(folder: Path) -> Path:
    path = folder / "scan.blo"
    header = struct.pack("<6sH3I5H2dIHId", b"IMGBLO", 0x0102, 0x1000, 0x1010, 131141, 16, 0, 4, 3, 0, 1.5, 1.5, 200000, 6226, 2000, 42339.6)  # fmt: skip # noqa: E501
    with path.open("wb") as file:
        file.write(header.ljust(0x1000, b"\0") + COUNTS.sum((2, 3)).astype(np.uint8).tobytes())
        file.write(b"\0" * (0x1010 - file.tell()))
        for number, frame in enumerate(COUNTS.reshape(-1, 16, 16)):
            file.write(b"\xaa\x55" + struct.pack("<I", number) + frame.astype(np.uint8).tobytes())
    return path


def write_tvips(folder: Path) -> Path:
    """Write a recording in two files, the second of which starts without a header."""
    frames = [
        struct.pack("<4I", number, 1600000000, 20 * number, 0).ljust(60, b"\0")
        + frame.astype("<u2").tobytes()
        for number, frame in enumerate(COUNTS.reshape(-1, 16, 16))
    ]
    header = struct.pack("<13I", 256, 2, 16, 16, 16, 0, 0, 1, 1, 15500, 200, 80, 60)
    (folder / "scan_000.tvips").write_bytes(header.ljust(256, b"T") + b"".join(frames[:7]))
    (folder / "scan_001.tvips").write_bytes(b"".join(frames[7:]))
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


def write_mrc(folder: Path) -> Path:
    path = folder / "20260101_00001_movie.mrc"
    header = struct.pack("<10I6f", 16, 16, 12, 6, 0, 0, 0, 16, 16, 12, *[1.0] * 3, *[90.0] * 3)
    path.write_bytes(header.ljust(1024, b"\0") + COUNTS.astype("<u2").tobytes())
    (folder / "20260101_00001_info.txt").write_text(INFO)
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


def write_empad(folder: Path) -> Path:
    frames = np.full((12, 130, 128), -7.0, "<f4")
    frames[:, :128] = EMPAD_COUNTS.reshape(12, 128, 128)
    (folder / "scan_x4_y3.raw").write_bytes(frames.tobytes())
    (folder / "scan.xml").write_text(EMPAD_XML)
    return folder / "scan_x4_y3.raw"


def write_raw(folder: Path) -> Path:
    path = folder / "scan.bin"
    with path.open("wb") as file:
        file.write(b"h" * 100)
        for frame in COUNTS.reshape(-1, 16, 16):
            file.write(frame.astype(">u2").tobytes() + b"g" * 10)
    return path


RAW_HINTS = {"dtype": ">u2", "detector_shape": (16, 16), "offset": 100, "gap": 10}

WRITERS = {
    "npy": (write_npy, {}),
    "mib": (write_mib, {}),
    "mib raw": (write_raw_mib, {}),
    "blockfile": (write_blockfile, {}),
    "tvips": (write_tvips, {"scan_shape": (3, 4)}),
    "mrc": (write_mrc, {}),
    "empad": (write_empad, {}),
    "raw": (write_raw, {"scan_shape": (3, 4), **RAW_HINTS}),
}
"""For every format the writer, and the hints that the file needs."""
