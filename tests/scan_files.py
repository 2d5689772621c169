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
    lines = ["HDR,\t", "Frames in Acquisition (Number):\t12", "Frames per Trigger (Number):\t1"]
    path.with_suffix(".hdr").write_bytes("\r\n".join([*lines, "End\t"]).encode())
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

UNITS = (("nm", 1.5), ("nm", 1.5), ("A^-1", 0.02), ("A^-1", 0.02))
CENTRE = (7.25, 8.5)


def write_emdfile(folder: Path) -> Path:
    """Write as py4DSTEM 0.14 does, compressed, with the beam's place in the calibration."""
    import h5py

    path = folder / "emdfile.h5"
    with h5py.File(path, "w") as file:
        cube = file.create_group("root/datacube")
        cube.create_dataset("data", data=COUNTS, chunks=(1, 2, 16, 16), compression="gzip")
        for axis, (unit, step) in enumerate(UNITS):
            dim = cube.create_dataset(f"dim{axis}", data=np.arange(2) * step)
            dim.attrs.update({"name": ("Rx", "Ry", "Qx", "Qy")[axis], "units": unit})
        calibration = file.create_group("root/metadatabundle/calibration")
        for name, value in {"R_pixel_size": 9.0, "R_pixel_units": "nm"}.items():
            calibration[name] = value
        calibration["qx0_mean"], calibration["qy0_mean"] = CENTRE
    return path


def _dims(group, units, offsets=(0, 0, 0, 0)) -> None:
    for axis, ((unit, step), offset) in enumerate(zip(units, offsets, strict=True)):
        values = offset + np.arange(group["data"].shape[axis]) * step
        dim = group.create_dataset(f"dim{axis + 1}", data=values)
        dim.attrs["units"] = np.bytes_(unit.encode())


def write_py4dstem_0_9(folder: Path) -> Path:
    """Write the older layout of py4DSTEM, in one uncompressed piece."""
    import h5py

    path = folder / "py4dstem.h5"
    with h5py.File(path, "w") as file:
        cube = file.create_group("4DSTEM_experiment/data/datacubes/datacube_0")
        cube.attrs["emd_group_type"] = 1
        cube.create_dataset("data", data=COUNTS)
        _dims(cube, (("[n_m]", 1.5), ("[n_m]", 1.5), ("[n_m^-1]", 0.2), ("[n_m^-1]", 0.2)))
    return path


def write_prismatic(folder: Path) -> Path:
    import h5py

    path = folder / "prismatic.h5"
    with h5py.File(path, "w") as file:
        data = file.create_group("4DSTEM_simulation/data")
        cube = data.create_group("datacubes/CBED_array_depth0000")
        cube.attrs["emd_group_type"] = 1
        cube.create_dataset("data", data=COUNTS.astype(np.float32), chunks=(1, 1, 16, 16))
        _dims(cube, (("[Å]", 15), ("[Å]", 15), ("[Å^-1]", 0.02), ("[Å^-1]", 0.02)))
        data.create_dataset("realslices/virtual_detector_depth0000/data", data=np.zeros((3, 4, 30)))
    return path


def write_ncem(folder: Path) -> Path:
    """Write EMD as HyperSpy does: the fastest axis first."""
    import h5py

    path = folder / "ncem.emd"
    with h5py.File(path, "w") as file:
        file.attrs.update({"version_major": 0, "version_minor": 2})
        group = file.create_group("signals/scan")
        group.attrs["emd_group_type"] = 1
        group.create_dataset("data", data=COUNTS.transpose(3, 2, 1, 0))
        units = (("[1/n_m]", 0.2), ("[1/n_m]", 0.2), ("[n_m]", 1.5), ("[n_m]", 1.5))
        _dims(group, units, (-0.2 * CENTRE[1], -0.2 * CENTRE[0], 0, 0))
    return path


def write_nexus(folder: Path) -> Path:
    import h5py

    path = folder / "scan.nxs"
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "entry"
        entry = file.create_group("entry")
        entry.attrs.update({"NX_class": "NXentry", "default": "data"})
        data = entry.create_group("data")
        data.attrs.update({"NX_class": "NXdata", "signal": "counts"})
        data.attrs["axes"] = ["y", "x", "qy", "qx"]
        data.create_dataset("counts", data=COUNTS, chunks=(1, 4, 16, 16), compression="gzip")
        offsets = (0, 0, -0.02 * CENTRE[0], -0.02 * CENTRE[1])
        for axis, (name, offset) in enumerate(zip(("y", "x", "qy", "qx"), offsets, strict=True)):
            unit, step = UNITS[axis]
            data[name] = offset + np.arange(SHAPE[axis]) * step
            data[name].attrs["units"] = unit.replace("A^-1", "1/angstrom")
    return path


HYPERSPY = (("y", "µm", 0.0015), ("x", "µm", 0.0015), ("ky", "1/nm", 0.2), ("kx", "1/nm", 0.2))


def _hyperspy_axes(group) -> None:
    for number, (name, unit, scale) in enumerate(HYPERSPY):
        offset = -0.2 * CENTRE[number - 2] if number > 1 else 0.0
        axis = {"name": name, "units": unit, "scale": scale, "offset": offset}
        group.create_group(f"axis-{number}").attrs.update({**axis, "size": SHAPE[number]})


def write_hspy(folder: Path) -> Path:
    import h5py

    path = folder / "scan.hspy"
    with h5py.File(path, "w") as file:
        file.attrs.update({"file_format": "HyperSpy", "file_format_version": "3.3"})
        group = file.create_group("Experiments/scan")
        group.create_dataset("data", data=COUNTS, chunks=(1, 2, 16, 16), compression="gzip")
        _hyperspy_axes(group)
    return path


def write_zspy(folder: Path) -> Path:
    import zarr

    root = zarr.open_group(folder / "scan.zspy", mode="w", zarr_format=2)
    root.attrs.update({"file_format": "ZSpy", "file_format_version": "3.3"})
    group = root.create_group("Experiments/scan")
    group.create_array("data", data=COUNTS, chunks=(1, 4, 16, 16))
    _hyperspy_axes(group)
    return folder / "scan.zspy"


def write_zarr(folder: Path) -> Path:
    import zarr

    group = zarr.open_group(folder / "scan.zarr", mode="w")
    array = group.create_array("patterns", data=COUNTS, chunks=(2, 2, 16, 16))
    array.attrs.update({"scan_step_nm": 1.5, "k_step_inv_angstrom": 0.02})
    return folder / "scan.zarr"


ABTEM_SCAN = [{"type": "ScanAxis", "label": a, "sampling": 15.0, "units": "Å"} for a in "xy"]
ABTEM_K = [{"type": "ReciprocalSpaceAxis", "sampling": 0.02, "units": "1/Å"}] * 2


def write_abtem(folder: Path) -> Path:
    """Write as abTEM does up to 1.0.9, its arrays being [x, y, kx, ky]."""
    import zarr

    root = zarr.open_group(folder / "abtem.zarr", mode="w", zarr_format=2)
    root.create_array("array0", data=COUNTS.transpose(1, 0, 3, 2), chunks=(4, 3, 16, 16))
    root.attrs["type0"] = "DiffractionPatterns"
    root.attrs["kwargs0"] = {"sampling": [0.02, 0.02], "ensemble_axes_metadata": ABTEM_SCAN}
    return folder / "abtem.zarr"


def write_abtem_later(folder: Path) -> Path:
    import zarr

    root = zarr.open_group(folder / "abtem.zarr", mode="w")
    root.create_array("array0", data=COUNTS.transpose(1, 0, 3, 2), chunks=(4, 3, 16, 16))
    axes = {f"axis_{i}": axis for i, axis in enumerate(ABTEM_SCAN + ABTEM_K)}
    root.attrs["metadata0"] = {"type": "DiffractionPatterns", "axes": axes}
    return folder / "abtem.zarr"


def write_dectris(folder: Path) -> Path:
    """Write two data files, bitshuffled as the detector does, and the file that links to them."""
    import h5py
    import hdf5plugin

    stack = COUNTS.reshape(-1, 16, 16)
    with h5py.File(folder / "arina_master.h5", "w") as master:
        detector = master.create_group("entry/instrument/detector/detectorSpecific")
        detector["ntrigger"], detector["nimages"] = 3, 4
        master.create_dataset(
            "entry/instrument/detector/detectorSpecific/flatfield", data=np.ones((16, 16))
        )
        data = master.create_group("entry/data")
        for number, part in enumerate((stack[:8], stack[8:]), 1):
            name = f"arina_data_{number:06d}.h5"
            with h5py.File(folder / name, "w") as file:
                file.create_dataset(
                    "entry/data/data", data=part, chunks=(1, 16, 16), **hdf5plugin.Bitshuffle()
                )
            data[f"data_{number:06d}"] = h5py.ExternalLink(name, "/entry/data/data")
    with h5py.File(folder / "arina.h5", "w") as file:
        file.create_group("STEM Metadata").attrs["Pixel Size"] = [1.5]
    return folder / "arina_master.h5"


def write_topspin(folder: Path) -> Path:
    import h5py

    path = folder / "scan.app5"
    axis = "<{0}><Offset>{1}</Offset><Scale>{2}</Scale><Units><N>k</N><U>nm^-1</U></Units></{0}>"
    with h5py.File(path, "w") as file:
        file["Metadata"] = "<Experiment><Id>scan</Id></Experiment>"
        group = file.create_group("18d9446f-22bf-4fb1-8d13-338174e75d20")
        for number, frame in enumerate(COUNTS.reshape(-1, 16, 16)):
            y, x = divmod(number, 4)
            space = "".join(
                axis.format(a, -0.2 * c, 0.2) for a, c in zip("YX", CENTRE, strict=True)
            )
            place = f"<Position><X>{x * 1.5e-9}</X><Y>{y * 1.5e-9}</Y></Position>"
            text = f"<F><Calibration>{space}</Calibration><P><I><Name/>{place}</I></P></F>"
            group[f"{number}/Data"] = frame
            group[f"{number}/Metadata"] = text
    return path


_DM_MARK = b"%%%%"
_DM_SIZE = {3: "I", 4: "Q"}
"""How wide sizes are in version 3 and 4 of DigitalMicrograph's format."""


def _dm_value(value, version: int) -> bytes:
    def info(*numbers: int) -> bytes:
        size = _DM_SIZE[version]
        return _DM_MARK + struct.pack(f">{len(numbers) + 1}{size}", len(numbers), *numbers)

    if isinstance(value, float):
        return info(6) + struct.pack("<f", value)
    if isinstance(value, int):
        return info(5) + struct.pack("<I", value)
    if isinstance(value, str):
        return info(20, 4, len(value)) + value.encode("utf-16-le")
    return info(20, 4, value.size) + value.astype("<u2").tobytes()


def _dm_group(tags, version: int) -> bytes:
    """Write a group of tags: a dict names its tags, a list does not."""
    named = tags.items() if isinstance(tags, dict) else [("", tag) for tag in tags]
    body = b""
    for name, tag in named:
        group = isinstance(tag, dict | list)
        content = _dm_group(tag, version) if group else _dm_value(tag, version)
        label = name.encode("latin-1")
        body += struct.pack(">BH", 20 if group else 21, len(label)) + label
        body += struct.pack(">Q", len(content)) + content if version == 4 else content
    return struct.pack(f">BB{_DM_SIZE[version]}", 1, 0, len(named)) + body


def _gatan(path: Path, data: np.ndarray, axes) -> Path:
    calibration = [{"Origin": o, "Scale": s, "Units": u} for u, s, o in axes[::-1]]
    image = {
        "ImageData": {
            "Calibrations": {
                "Brightness": {"Origin": 0.0, "Scale": 1.0, "Units": ""},
                "Dimension": calibration,
            },
            "Data": data.ravel(),
            "DataType": 10,
            "Dimensions": [int(n) for n in data.shape[::-1]],
            "PixelDepth": 2,
        },
        "Name": "scan",
    }
    version = int(path.suffix[-1])
    root = _dm_group({"ImageList": [image]}, version)
    header = struct.pack(f">I{_DM_SIZE[version]}I", version, len(root), 1)
    path.write_bytes(header + root + b"\0" * 8)
    return path


SCAN_AXES = (("nm", 1.5, 0.0), ("nm", 1.5, 0.0))
K_AXES = (("1/nm", 0.2, CENTRE[0]), ("1/nm", 0.2, CENTRE[1]))


def write_gatan(folder: Path) -> Path:
    return _gatan(folder / "scan.dm4", COUNTS, SCAN_AXES + K_AXES)


def write_gatan_3(folder: Path) -> Path:
    return _gatan(folder / "scan.dm3", COUNTS, SCAN_AXES + K_AXES)


def write_gatan_detector_slow(folder: Path) -> Path:
    """Write one image of the scan per detector pixel, as a diffraction spectrum image has it."""
    return _gatan(folder / "slow.dm4", COUNTS.transpose(2, 3, 0, 1), K_AXES + SCAN_AXES)


def write_tiff(folder: Path) -> Path:
    import tifffile

    tifffile.imwrite(folder / "scan.tif", COUNTS.reshape(12, 16, 16), byteorder=">")
    return folder / "scan.tif"


def write_packed_tiff(folder: Path) -> Path:
    import tifffile

    with tifffile.TiffWriter(folder / "scan.tif") as file:
        for frame in COUNTS.reshape(12, 16, 16):
            file.write(frame, compression="zlib")
    return folder / "scan.tif"


def write_images(folder: Path) -> Path:
    from PIL import Image

    path = folder / "patterns"
    path.mkdir()
    for y, x in np.ndindex(3, 4):
        Image.fromarray(COUNTS[y, x]).save(path / f"{x + 5}_{y}_raw.png")
    return path


STACK = {"scan_shape": (3, 4)}
WRITERS = {
    "npy": (write_npy, {}),
    "mib": (write_mib, {}),
    "mib raw": (write_raw_mib, {}),
    "blo": (write_blockfile, {}),
    "tvips": (write_tvips, STACK),
    "mrc": (write_mrc, {}),
    "empad": (write_empad, {}),
    "raw": (write_raw, {**STACK, **RAW_HINTS}),
    "emdfile": (write_emdfile, {}),
    "py4DSTEM 0.9": (write_py4dstem_0_9, {}),
    "Prismatic": (write_prismatic, {}),
    "EMD-NCEM": (write_ncem, {}),
    "NeXus": (write_nexus, {}),
    "hspy": (write_hspy, {}),
    "zspy": (write_zspy, {}),
    "zarr": (write_zarr, {}),
    "abTEM": (write_abtem, {}),
    "abTEM, later": (write_abtem_later, {}),
    "dectris": (write_dectris, {}),
    "topspin": (write_topspin, {}),
    "gatan": (write_gatan, {}),
    "gatan, version 3": (write_gatan_3, {}),
    "gatan, detector slow": (write_gatan_detector_slow, {}),
    "tiff": (write_tiff, STACK),
    "tiff, packed": (write_packed_tiff, STACK),
    "images": (write_images, {}),
}
"""For every format the writer, and the hints that the file needs."""
