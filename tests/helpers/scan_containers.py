"""Scans in HDF5 and zarr, as the programs write them that use these; and as images."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np

from helpers.scan_counts import CENTRE, COUNTS, frames, is_repeated

UNITS = (("nm", 1.5), ("nm", 1.5), ("A^-1", 0.02), ("A^-1", 0.02))
GZIP = {"compression": "gzip"}


def store(group, name: str, counts: np.ndarray, chunks=None, **filters):
    """Write a dataset; of repeated counts the first chunk, compressed once, for every chunk."""
    shape, dtype = counts.shape, counts.dtype
    data = group.create_dataset(name, shape=shape, dtype=dtype, chunks=chunks, **filters)
    if not is_repeated(counts):
        data[...] = counts
    elif chunks is None:
        for y, row in enumerate(counts):
            data[y] = row
    else:
        data[tuple(slice(n) for n in chunks)] = counts[tuple(slice(n) for n in chunks)]
        group.file.flush()
        mask, packed = data.id.read_direct_chunk((0,) * data.ndim)
        for place in np.ndindex(*(-(-n // c) for n, c in zip(shape, chunks, strict=True))):
            offset = tuple(p * c for p, c in zip(place, chunks, strict=True))
            data.id.write_direct_chunk(offset, packed, mask)
    return data


def write_emdfile(folder: Path, counts=COUNTS, layout=None) -> Path:
    """Write as py4DSTEM 0.14 does, compressed, with the beam's place in the calibration."""
    import h5py

    path = folder / "emdfile.h5"
    with h5py.File(path, "w") as file:
        cube = file.create_group("root/datacube")
        layout = {"chunks": (1, 2, *counts.shape[2:]), **GZIP} if layout is None else layout
        store(cube, "data", counts, **layout)
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


def write_py4dstem_0_9(folder: Path, counts=COUNTS) -> Path:
    """Write the older layout of py4DSTEM, in one uncompressed piece."""
    import h5py

    path = folder / "py4dstem.h5"
    with h5py.File(path, "w") as file:
        cube = file.create_group("4DSTEM_experiment/data/datacubes/datacube_0")
        cube.attrs["emd_group_type"] = 1
        store(cube, "data", counts)
        _dims(cube, (("[n_m]", 1.5), ("[n_m]", 1.5), ("[n_m^-1]", 0.2), ("[n_m^-1]", 0.2)))
    return path


def write_prismatic(folder: Path, counts=COUNTS) -> Path:
    import h5py

    path = folder / "prismatic.h5"
    with h5py.File(path, "w") as file:
        data = file.create_group("4DSTEM_simulation/data")
        cube = data.create_group("datacubes/CBED_array_depth0000")
        cube.attrs["emd_group_type"] = 1
        store(cube, "data", as_floats(counts), chunks=(1, 1, *counts.shape[2:]))
        _dims(cube, (("[Å]", 15), ("[Å]", 15), ("[Å^-1]", 0.02), ("[Å^-1]", 0.02)))
        data.create_dataset("realslices/virtual_detector_depth0000/data", data=np.zeros((3, 4, 30)))
    return path


def as_floats(counts: np.ndarray) -> np.ndarray:
    """Return the counts as float32, repeated if they are."""
    rows = counts[:1].astype(np.float32) if is_repeated(counts) else counts.astype(np.float32)
    return np.broadcast_to(rows, counts.shape)


def write_emd(folder: Path, counts=COUNTS) -> Path:
    """Write EMD with the axes in the order of the scan, as openNCEM's tools do."""
    import h5py

    path = folder / "scan.emd"
    with h5py.File(path, "w") as file:
        file.attrs.update({"version_major": 0, "version_minor": 2})
        group = file.create_group("data/scan")
        group.attrs["emd_group_type"] = 1
        store(group, "data", counts)
        units = (("[n_m]", 1.5), ("[n_m]", 1.5), ("[n_m^-1]", 0.2), ("[n_m^-1]", 0.2))
        _dims(group, units, (0, 0, -0.2 * CENTRE[0], -0.2 * CENTRE[1]))
    return path


def write_ncem(folder: Path, counts=COUNTS, chunks=None, **filters) -> Path:
    """Write EMD as HyperSpy does: the fastest axis first."""
    import h5py

    path = folder / "ncem.emd"
    with h5py.File(path, "w") as file:
        file.attrs.update({"version_major": 0, "version_minor": 2})
        group = file.create_group("signals/scan")
        group.attrs["emd_group_type"] = 1
        turned = counts if is_repeated(counts) else counts.transpose(3, 2, 1, 0)
        store(group, "data", turned, chunks, **filters)
        units = (("[1/n_m]", 0.2), ("[1/n_m]", 0.2), ("[n_m]", 1.5), ("[n_m]", 1.5))
        _dims(group, units, (-0.2 * CENTRE[1], -0.2 * CENTRE[0], 0, 0))
    return path


def write_nexus(folder: Path, counts=COUNTS) -> Path:
    import h5py

    path = folder / "scan.nxs"
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "entry"
        entry = file.create_group("entry")
        entry.attrs.update({"NX_class": "NXentry", "default": "data"})
        data = entry.create_group("data")
        data.attrs.update({"NX_class": "NXdata", "signal": "counts"})
        data.attrs["axes"] = ["y", "x", "qy", "qx"]
        store(data, "counts", counts, chunks=(1, 4, *counts.shape[2:]), **GZIP)
        offsets = (0, 0, -0.02 * CENTRE[0], -0.02 * CENTRE[1])
        for axis, (name, offset) in enumerate(zip(("y", "x", "qy", "qx"), offsets, strict=True)):
            unit, step = UNITS[axis]
            data[name] = offset + np.arange(counts.shape[axis]) * step
            data[name].attrs["units"] = unit.replace("A^-1", "1/angstrom")
    return path


HYPERSPY = (("y", "µm", 0.0015), ("x", "µm", 0.0015), ("ky", "1/nm", 0.2), ("kx", "1/nm", 0.2))


def _hyperspy_axes(group, shape) -> None:
    for number, (name, unit, scale) in enumerate(HYPERSPY):
        offset = -0.2 * CENTRE[number - 2] if number > 1 else 0.0
        axis = {"name": name, "units": unit, "scale": scale, "offset": offset}
        group.create_group(f"axis-{number}").attrs.update({**axis, "size": shape[number]})


def write_hspy(folder: Path, counts=COUNTS) -> Path:
    import h5py

    path = folder / "scan.hspy"
    with h5py.File(path, "w") as file:
        file.attrs.update({"file_format": "HyperSpy", "file_format_version": "3.3"})
        group = file.create_group("Experiments/scan")
        store(group, "data", counts, chunks=(1, 2, *counts.shape[2:]), **GZIP)
        _hyperspy_axes(group, counts.shape)
    return path


def store_zarr(group, name: str, counts: np.ndarray, chunks, **options):
    """Write an array; of repeated counts the file of the first chunk, copied for every chunk."""
    array = group.create_array(
        name, shape=counts.shape, dtype=counts.dtype, chunks=chunks, **options
    )
    if not is_repeated(counts):
        array[...] = counts
        return array
    pieces = options.get("shards") or chunks
    array[tuple(slice(n) for n in pieces)] = counts[tuple(slice(n) for n in pieces)]
    folder = Path(str(group.store.root)) / array.path
    first, *others = np.ndindex(*(-(-n // c) for n, c in zip(counts.shape, pieces, strict=True)))
    written = folder / array.metadata.encode_chunk_key(first)
    for place in others:
        key = folder / array.metadata.encode_chunk_key(place)
        key.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(written, key)
    return array


def write_zspy(folder: Path, counts=COUNTS, chunks=(1, 4, 16, 16)) -> Path:
    """Write with the compression that HyperSpy chooses."""
    import numcodecs
    import zarr

    codec = numcodecs.Blosc(cname="zstd", clevel=1, shuffle=numcodecs.Blosc.SHUFFLE)

    root = zarr.open_group(folder / "scan.zspy", mode="w", zarr_format=2)
    root.attrs.update({"file_format": "ZSpy", "file_format_version": "3.3"})
    group = root.create_group("Experiments/scan")
    store_zarr(group, "data", counts, chunks, compressors=codec)
    _hyperspy_axes(group, counts.shape)
    return folder / "scan.zspy"


def write_zarr(folder: Path, counts=COUNTS, zarr_format: int = 3, **options) -> Path:
    import zarr

    group = zarr.open_group(folder / "scan.zarr", mode="w", zarr_format=zarr_format)
    chunks = (2, 2, *counts.shape[2:])
    array = store_zarr(group, "patterns", counts, chunks, **options)
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


def write_abtem_later(folder: Path, counts=COUNTS, chunks=(4, 3, 16, 16)) -> Path:
    import zarr

    root = zarr.open_group(folder / "abtem.zarr", mode="w")
    turned = counts if is_repeated(counts) else counts.transpose(1, 0, 3, 2)
    store_zarr(root, "array0", turned, chunks)
    axes = {f"axis_{i}": axis for i, axis in enumerate(ABTEM_SCAN + ABTEM_K)}
    root.attrs["metadata0"] = {"type": "DiffractionPatterns", "axes": axes}
    return folder / "abtem.zarr"


def write_dectris(folder: Path, counts=COUNTS, images: int = 8) -> Path:
    """Write data files, bitshuffled as the detector does, and the file that links to them."""
    import h5py
    import hdf5plugin

    ny, nx, *detector = counts.shape
    with h5py.File(folder / "arina_master.h5", "w") as master:
        specific = master.create_group("entry/instrument/detector/detectorSpecific")
        specific["ntrigger"], specific["nimages"] = ny, nx
        specific.create_dataset("flatfield", data=np.ones(detector))
        data = master.create_group("entry/data")
        for number, first in enumerate(range(0, ny * nx, images), 1):
            name = f"arina_data_{number:06d}.h5"
            part = _part(counts, first, min(ny * nx - first, images))
            with h5py.File(folder / name, "w") as file:
                entry = file.create_group("entry/data")
                store(entry, "data", part, chunks=(1, *detector), **hdf5plugin.Bitshuffle())
            data[f"data_{number:06d}"] = h5py.ExternalLink(name, "/entry/data/data")
    with h5py.File(folder / "arina.h5", "w") as file:
        file.create_group("STEM Metadata").attrs["Pixel Size"] = [1.5]
    return folder / "arina_master.h5"


def _part(counts: np.ndarray, first: int, number: int) -> np.ndarray:
    if is_repeated(counts):
        return np.broadcast_to(counts[0, :1], (number, *counts.shape[2:]))
    return counts.reshape(-1, *counts.shape[2:])[first : first + number]


def write_topspin(folder: Path, counts=COUNTS) -> Path:
    import h5py

    path = folder / "scan.app5"
    axis = "<{0}><Offset>{1}</Offset><Scale>{2}</Scale><Units><N>k</N><U>nm^-1</U></Units></{0}>"
    with h5py.File(path, "w") as file:
        file["Metadata"] = "<Experiment><Id>scan</Id></Experiment>"
        group = file.create_group("18d9446f-22bf-4fb1-8d13-338174e75d20")
        for number, frame in enumerate(frames(counts)):
            y, x = divmod(number, counts.shape[1])
            space = "".join(
                axis.format(a, -0.2 * c, 0.2) for a, c in zip("YX", CENTRE, strict=True)
            )
            place = f"<Position><X>{x * 1.5e-9}</X><Y>{y * 1.5e-9}</Y></Position>"
            text = f"<F><Calibration>{space}</Calibration><P><I><Name/>{place}</I></P></F>"
            group[f"{number}/Data"] = frame
            group[f"{number}/Metadata"] = text
    return path


def write_tiff(folder: Path, counts=COUNTS) -> Path:
    import tifffile

    shape = (math.prod(counts.shape[:2]), *counts.shape[2:])
    tifffile.imwrite(
        folder / "scan.tif", frames(counts), shape=shape, dtype=counts.dtype, byteorder=">"
    )
    return folder / "scan.tif"


def write_packed_tiff(folder: Path, counts=COUNTS) -> Path:
    import tifffile

    with tifffile.TiffWriter(folder / "scan.tif") as file:
        for frame in frames(counts):
            file.write(frame, compression="zlib")
    return folder / "scan.tif"


def write_images(folder: Path, counts=COUNTS) -> Path:
    from PIL import Image

    path = folder / "patterns"
    path.mkdir()
    for y, x in np.ndindex(*counts.shape[:2]):
        Image.fromarray(counts[y, x]).save(path / f"{x + 5}_{y}_raw.png")
    return path
