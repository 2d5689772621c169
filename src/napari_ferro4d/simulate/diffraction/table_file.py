"""Tables of diffracted intensities as small files."""

from __future__ import annotations

import functools
import json
import os
import zipfile
import zlib
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.simulate.crystal import Array

from .symmetry import copies, turned_grid
from .tables import Computed, State, Table

TABLES = ("ermno3", "boracite")
"""Names of the tables that come with the package."""

_QUANTUM = 4e-5  # of the incident beam; intensities are stored as multiples of it
_FORMAT = 1
_DAMAGED = (
    *(OSError, ValueError, KeyError, IndexError, TypeError, EOFError),
    *(zipfile.BadZipFile, zlib.error),
)


def write_table(path: str | os.PathLike[str], table: Table) -> Path:
    """Write a table as a compressed ``.npz`` file, the same bytes for the same table.

    Intensities are rounded to multiples of 4e-5 of the incident beam; copies by symmetry are left
    out.

    Raises
    ------
    ScanError
        If the disk refuses.
    """
    from napari_ferro4d.io import atomic_file

    header = {
        "format": _FORMAT,
        "name": table.name,
        "material": table.material,
        "kilovolts": table.kilovolts,
        "k_t": [float(table.k_t[1] - table.k_t[0]), len(table.k_t) // 2],
        "thickness": [
            float(table.thickness[0]),
            float(table.thickness[1] - table.thickness[0]),
            len(table.thickness),
        ],
        "k_max": table.k_max,
        "quantum": _QUANTUM,
        "computed": [list(one.symmetries) for one in table.computed],
        "states": [
            [one.name, one.computed, one.turn, list(one.polarisation)] for one in table.states
        ],
        "nonpolar": table.nonpolar,
        **({"charged": list(table.charged)} if table.charged else {}),
        "notes": dict(table.notes or {}),
    }
    arrays: dict[str, Any] = {"header": np.frombuffer(json.dumps(header).encode(), np.uint8)}
    for number, one in enumerate(table.computed):
        originals = np.unique(copies(one.g, one.symmetries)[0])
        steps = np.rint(one.intensity[originals] / _QUANTUM).astype(np.int32)
        arrays[f"hkl{number}"] = one.hkl.astype(np.int16)
        arrays[f"g{number}"] = one.g.astype(np.float64)
        arrays[f"low{number}"], arrays[f"high{number}"] = _packed(steps)
    with atomic_file(path) as temporary, temporary.open("wb") as handle:
        np.savez_compressed(handle, **arrays)
    return Path(path)


def _packed(steps: Array) -> tuple[Array, Array]:
    # Differences between neighbours are small: most of them fit into the low byte.
    change = steps
    for axis in (-1, -2, -3):
        change = np.diff(change, axis=axis, prepend=0)
    folded = np.where(change < 0, -2 * change - 1, 2 * change).astype(np.uint32)
    if folded.max(initial=0) > 0xFFFFFF:
        raise ScanError("the intensities of a table must lie between 0 and 1.")
    low = (folded & 0xFF).astype(np.uint8)
    high = (folded >> 8).astype(np.uint16)
    return low, high


def _unpacked(low: Array, high: Array) -> Array:
    folded = low.astype(np.int32) | (high.astype(np.int32) << 8)
    change = np.where(folded & 1, -(folded + 1) // 2, folded // 2)
    for axis in (-3, -2, -1):
        change = np.cumsum(change, axis=axis, dtype=np.int32)
    return np.asarray(change)


def load_table(name: str | os.PathLike[str]) -> Table:
    """Load a table that comes with the package, or a file that `write_table` wrote.

    Parameters
    ----------
    name : str or path
        One of `TABLES`, or the path of an ``.npz`` file.

    Raises
    ------
    ScanError
        If there is no such table, or the file is damaged.
    """
    if str(name) in TABLES:
        path = Path(str(files("napari_ferro4d") / "data" / f"table_{name}.npz"))
    else:
        path = Path(name)
        if path.suffix != ".npz" or not path.is_file():
            raise ScanError(
                f"{name}: there is no such table; use one of {', '.join(TABLES)} or the path of "
                "an .npz file written by write_table."
            )
    return _loaded(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _loaded(path: Path, version: int) -> Table:
    try:
        # Opened here: numpy leaves a damaged file open.
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
            return _read(stored)
    except _DAMAGED as error:
        raise ScanError(
            f"{path}: is not a table of diffracted intensities, or is damaged "
            f"({type(error).__name__}); make it again."
        ) from error


def _read(stored: Any) -> Table:
    header = json.loads(bytes(stored["header"]))
    if header["format"] != _FORMAT:
        raise ValueError(header["format"])
    step, half = header["k_t"]
    first, t_step, count = header["thickness"]
    computed = []
    for number, symmetries in enumerate(header["computed"]):
        g = stored[f"g{number}"]
        kept = _unpacked(stored[f"low{number}"], stored[f"high{number}"])
        kept = (kept * header["quantum"]).astype(np.float32)
        original, matrices = copies(g, symmetries)
        place = np.searchsorted(np.unique(original), original)
        intensity = np.stack(
            [turned_grid(kept[at], matrix) for at, matrix in zip(place, matrices, strict=True)]
        )
        computed.append(Computed(stored[f"hkl{number}"], g, intensity, tuple(symmetries)))
    charged = header.get("charged")
    states = [State(name, of, turn, (p[0], p[1], p[2])) for name, of, turn, p in header["states"]]
    return Table(
        header["name"],
        header["material"],
        header["kilovolts"],
        np.arange(-half, half + 1) * step,
        first + t_step * np.arange(count),
        header["k_max"],
        tuple(computed),
        tuple(states),
        header["nonpolar"],
        (charged[0], charged[1]) if charged else None,
        header["notes"],
    )
