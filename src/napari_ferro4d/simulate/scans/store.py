"""Simulated scans as zarr stores: written chunk by chunk, the truth beside the counts.

The layout is the contract with other programs::

    SCAN.zarr/                  attribute "ferro4d_simulation": what it is made of
      scan                      counts [y, x, ky, kx]
      truth/labels              uint8 [y, x], states from 1
      truth/domains             uint16 [y, x], domains from 1
      truth/fractions           float32 [state, y, x]
      truth/polarization        float32 [3, y, x]: y, x, z
      truth/wall                bool [y, x]
      truth/charge              float32 [y, x]
      truth/charge_class        uint8 [y, x]: 0 no wall, 1 head to head, 2 tail to tail, 3 neutral
      truth/thickness           float32 [y, x], nm
      truth/tilt                float32 [2, y, x]: y, x; mrad
      truth/shift               float32 [2, y, x]: ky, kx; pixels

The store is built under another name, without the file that makes a folder a zarr group, and
renamed when it is complete: what a killed run leaves cannot be opened.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.simulate.crystal import Array

from .scan_rows import Simulation, positions_at_once, prepare, simulated_row, simulation_record
from .specimen import Row

if TYPE_CHECKING:
    from napari_ferro4d.jobs import Report, Steps

    from .spec import Spec

_ATTRIBUTE = "ferro4d_simulation"
_CHUNK_BYTES = 8 * 2**20  # of counts, before compression

# Arrays of the truth: type, extra axis, unit, and where a row of it comes from.
_TRUTH: dict[str, tuple[str, str, str, Callable[[Row], Array]]] = {
    "labels": ("uint8", "", "", lambda row: row.labels),
    "domains": ("uint16", "", "", lambda row: row.domains),
    "fractions": ("float32", "state", "", lambda row: row.fractions),
    "polarization": ("float32", "yxz", "spontaneous polarization", lambda row: row.polarisation),
    "wall": ("bool", "", "", lambda row: row.wall),
    "charge": ("float32", "", "spontaneous polarization per nm", lambda row: row.charge),
    "charge_class": ("uint8", "", "", lambda row: row.charge_class),
    "thickness": ("float32", "", "nm", lambda row: row.thickness),
    "tilt": ("float32", "yx", "mrad", lambda row: row.tilt),
    "shift": ("float32", "yx", "pixels", lambda row: row.shift),
}


@dataclass(frozen=True, eq=False)
class ScanTruth:
    """What is known of every probe position of a simulated scan.

    Parameters
    ----------
    labels : ndarray
        uint8 ``[y, x]``: the state at the middle of the probe, 1 for the first of `states`.
    domains : ndarray
        uint16 ``[y, x]``: number of the domain; a vortex has six, of two states.
    fractions : ndarray
        float32 ``[state, y, x]``: share of each of `states` under the probe.
    polarization : ndarray
        float32 ``[3, y, x]``: components y (down), x (right), z (along the beam), mean under the
        probe, in units of the spontaneous polarization.
    wall : ndarray
        bool ``[y, x]``: more than 5 % of the probe is not in the state it is mostly in.
    charge : ndarray
        float32 ``[y, x]``: bound charge, minus the divergence of `polarization`, per nm;
        positive where it meets head to head, negative tail to tail.
    thickness : ndarray
        float32 ``[y, x]``, nm.
    tilt : ndarray
        float32 ``[2, y, x]``: direction of the incident beam from the zone axis, y and x, mrad.
    shift : ndarray
        float32 ``[2, y, x]``: shift of the whole pattern, ky and kx, pixels.
    states : tuple of str
        Names of the states: those of the labels first, then the inside of walls.
    scan_step : tuple of float
        Distance between probe positions ``(y, x)``, nm.
    charge_class : ndarray or None
        uint8 ``[y, x]``: 0 where `wall` is not, else the nearest wall: 1 head to head, 2 tail to
        tail, 3 neutral, which is less than half the charge of a wall square to the polarization.
        None in a scan that was written before there was such a class.
    """

    labels: Array
    domains: Array
    fractions: Array
    polarization: Array
    wall: Array
    charge: Array
    thickness: Array
    tilt: Array
    shift: Array
    states: tuple[str, ...]
    scan_step: tuple[float, float]
    charge_class: Array | None = None


def write_scan(spec: Spec, path: str | os.PathLike[str], report: Report | None = None) -> Path:
    """Write a simulated scan and its truth as a zarr store (version 3), chunk by chunk.

    Memory does not depend on the size of the scan, and the counts neither on the chunks nor on
    the number of processors.

    Parameters
    ----------
    spec : Spec
        What to simulate.
    path : path
        Folder to write, ending in ``.zarr``. A simulated scan that is there is replaced when the
        new one is complete.
    report : callable, optional
        Called once per chunk; may raise `Cancelled`, which leaves nothing behind.

    Returns
    -------
    Path
        The folder written.

    Raises
    ------
    ScanError
        If the spec cannot be simulated, something else is at `path`, or the disk refuses.
    """
    from napari_ferro4d.io import atomic_folder, locked

    target = Path(path)
    _check_target(target)
    simulation = prepare(spec)
    try:
        target.absolute().parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target)
        with atomic_folder(target) as folder:
            folder.mkdir()
            with locked(folder):
                _write(simulation, folder, report)
    except OSError as error:
        raise ScanError(f"{target}: cannot be written ({error.strerror or error}).") from error
    return target


def _check_target(target: Path) -> None:
    if target.suffix != ".zarr":
        raise ScanError(f"{target}: a simulated scan is a folder that ends in .zarr.")
    if target.exists() and not _is_simulated(target):
        raise ScanError(f"{target}: exists and is not a simulated scan; choose another name.")


def _is_simulated(folder: Path) -> bool:
    try:
        return f'"{_ATTRIBUTE}"' in (folder / "zarr.json").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False


def _remove_abandoned(target: Path) -> None:
    """Remove what a killed run left of the same scan: nobody holds its lock any more."""
    from napari_ferro4d.io import TEMPORARY

    try:
        import fcntl
    except ImportError:
        return
    for left in target.parent.glob(f"{TEMPORARY}????????-{target.name}"):
        handle = os.open(left, os.O_RDONLY)
        try:
            # One that is empty may have just been made, and not be locked yet.
            if any(left.iterdir()):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
        except OSError:
            continue
        finally:
            os.close(handle)


def _write(simulation: Simulation, folder: Path, report: Report | None) -> None:
    import zarr
    from zarr.codecs import BloscCodec

    from napari_ferro4d.jobs import Steps

    ny = simulation.spec.scan.shape[0]
    rows, columns = _chunk(simulation)
    blocks = [range(start, min(start + rows, ny)) for start in range(0, ny, rows)]
    steps = Steps(report, 2 * ny, "simulating, truth")
    _write_truth(simulation, folder, steps)
    steps.add(0, "simulated patterns")
    counts = zarr.create_array(
        folder / "scan",
        shape=(*simulation.spec.scan.shape, *simulation.spec.detector.shape),
        chunks=(rows, columns, *simulation.spec.detector.shape),
        dtype=simulation.detector.dtype,
        compressors=BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"),
        dimension_names=["y", "x", "ky", "kx"],
        attributes={
            "scan_step_nm": simulation.spec.scan.step,
            "k_step_inv_angstrom": simulation.spec.optics.k_step,
            "centre_px": list(simulation.optics.centre),
        },
    )
    _in_parallel(blocks, partial(_write_rows, simulation, counts), lambda one: steps.add(len(one)))
    # Last of all: from now on the folder is a zarr group.
    made_of = {**simulation_record(simulation), "version": metadata.version("napari-ferro4d")}
    zarr.create_group(folder, zarr_format=3, attributes={_ATTRIBUTE: made_of})


def _chunk(simulation: Simulation) -> tuple[int, int]:
    """Return rows and columns of a stored chunk: some rows, or a part of one."""
    ny, nx = simulation.spec.scan.shape
    pattern = int(np.prod(simulation.spec.detector.shape)) * simulation.detector.dtype.itemsize
    fit = max(1, _CHUNK_BYTES // pattern)
    if fit >= nx:
        return min(ny, fit // nx), nx
    at_once = positions_at_once(simulation.spec)
    return 1, min(nx, max(1, fit // at_once) * at_once)


def _write_rows(simulation: Simulation, counts: Any, block: range, stop: threading.Event) -> None:
    nx, columns = counts.shape[1], counts.chunks[1]
    if columns < nx:
        collected: list[Array] = []
        for chunk, patterns in simulated_row(simulation, block.start):
            collected.append(patterns)
            if stop.is_set():
                return
            if chunk.stop % columns == 0 or chunk.stop == nx:
                start = (chunk.stop - 1) // columns * columns
                counts[block.start, start : chunk.stop] = np.concatenate(collected)
                collected.clear()
        return
    rows = np.empty((len(block), *counts.shape[1:]), counts.dtype)
    for row, target in zip(block, rows, strict=True):
        for chunk, patterns in simulated_row(simulation, row):
            target[chunk] = patterns
            if stop.is_set():
                return
    counts[block.start : block.stop] = rows


def _write_truth(simulation: Simulation, folder: Path, steps: Steps) -> None:
    import zarr

    ny, nx = simulation.spec.scan.shape
    rows = max(1, min(ny, 2**16 // nx))
    arrays = {}
    for name, (dtype, axis, unit, _) in _TRUTH.items():
        extra = {"": [], "state": [len(simulation.specimen.states)]}.get(axis, [len(axis)])
        arrays[name] = zarr.create_array(
            folder / "truth" / name,
            shape=(*extra, ny, nx),
            chunks=(*extra, rows, nx),
            dtype=dtype,
            dimension_names=[
                *(["component" if axis != "state" else axis] if axis else []),
                "y",
                "x",
            ],
            attributes={"unit": unit} if unit else {},
        )
    for start in range(0, ny, rows):
        made = []
        for number in range(start, min(start + rows, ny)):
            made.append(simulation.specimen.row(number))
            steps.add()
        for name, values in _stacked(made).items():
            arrays[name][..., start : start + len(made), :] = values
    zarr.create_group(
        folder / "truth",
        zarr_format=3,
        attributes={
            "states": list(simulation.specimen.states),
            "scan_step_nm": simulation.spec.scan.step,
        },
    )


def _stacked(rows: list[Row]) -> dict[str, Array]:
    """Return the arrays of the truth ``[..., y, x]`` of some rows."""
    return {
        name: np.stack([of(row) for row in rows], axis=-2).astype(dtype)
        for name, (dtype, _, _, of) in _TRUTH.items()
    }


def _in_parallel(
    blocks: list[range],
    work: Callable[[range, threading.Event], None],
    done: Callable[[range], None],
) -> None:
    """Do all blocks on all processors, a few ahead at a time; `done` may raise to stop."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    stop = threading.Event()
    running: deque[tuple[range, Future[None]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for block in blocks:
                running.append((block, pool.submit(work, block, stop)))
                if len(running) > (threads or 1):
                    first, future = running.popleft()
                    future.result()
                    done(first)
            for first, future in running:
                future.result()
                done(first)
        finally:
            # Of no effect where all is done; else what runs ends at its next chunk.
            stop.set()
            for _, future in running:
                future.cancel()


def specimen_truth(spec: Spec) -> ScanTruth:
    """Return the truth that `write_scan` would write beside the counts of a spec.

    Raises
    ------
    ScanError
        If the spec cannot be simulated.
    """
    simulation = prepare(spec)
    rows = [simulation.specimen.row(number) for number in range(spec.scan.shape[0])]
    steps = spec.scan.step, spec.scan.step
    return ScanTruth(**_stacked(rows), states=simulation.specimen.states, scan_step=steps)


def truth(path: str | os.PathLike[str]) -> ScanTruth:
    """Read the truth of a simulated scan.

    Parameters
    ----------
    path : path
        What `write_scan` wrote.

    Raises
    ------
    ScanError
        If it is not a simulated scan, or is damaged.
    """
    import zarr

    folder = Path(path)
    if not _is_simulated(folder):
        raise ScanError(f"{folder}: is not a simulated scan; there is no truth in it.")
    try:
        group = zarr.open_group(folder / "truth", mode="r")
        held = [name for name in _TRUTH if name != "charge_class" or name in group]
        arrays = {name: np.asarray(group[name]) for name in held}
        states = tuple(str(name) for name in cast("list[str]", group.attrs["states"]))
        step = float(cast("float", group.attrs["scan_step_nm"]))
    except (KeyError, ValueError, TypeError, OSError, RuntimeError) as error:
        raise ScanError(
            f"{folder}: the truth of the scan is damaged ({type(error).__name__}); write it again."
        ) from error
    return ScanTruth(**arrays, states=states, scan_step=(step, step))
