"""Features of scans, kept: in memory for the next correction, on disk for the next day.

A file on disk is only ever a copy of what can be computed again: where it cannot be written or
read, the features are computed anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ferro4d.errors import ScanError
from napari_ferro4d.io import atomic_file
from napari_ferro4d.jobs import Report
from napari_ferro4d.learn.data import Neighbourhood, Preprocess, Symmetry, fit_preprocess
from napari_ferro4d.scan import Scan

from .features import COMPONENTS, REST, Basis, Features, input_side, read_features, without_gaps
from .scalings import Likeness, Scaling, find_likeness, find_scalings

VERSION = 2
"""Of the features: another number makes old files useless."""

IN_MEMORY = 2**30
"""Bytes of scans that stay in memory: 1,500,000 positions."""

MOST_BYTES = 2**28
"""Largest features that are written to disk: those of about 900,000 positions."""

NO_SCANS = (".tif", ".tiff", ".safetensors", ".csv", ".png", ".npy")
"""Endings of what people and this package leave beside a scan."""

FOLDER_BYTES = 2**31
"""Of all of them together; the oldest go first."""

_memory: OrderedDict[str, KnownScan] = OrderedDict()


@dataclass(frozen=True, eq=False)
class KnownScan:
    """What needs no label.

    Parameters
    ----------
    basis : Basis
        How a pattern becomes its features.
    scalings : tuple of Scaling
        Of the features.
    inputs : tuple of ndarray
        ``[y, x, feature]`` in each scaling, without gaps.
    likeness : Likeness
        In which features patterns are alike or not.
    alike : ndarray
        ``[y, x, feature]`` of these.
    """

    basis: Basis
    scalings: tuple[Scaling, ...]
    inputs: tuple[npt.NDArray[np.float64], ...]
    likeness: Likeness
    alike: npt.NDArray[np.float64]

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return sum(one.nbytes for one in (*self.inputs, self.alike))


def known_scan(
    scan: Scan,
    around: Neighbourhood,
    symmetry: Symmetry | None = None,
    report: Report | None = None,
) -> KnownScan:
    """Return what needs no label of a scan, from memory or disk where it is there.

    Raises
    ------
    ScanError
        If counts are negative or not finite, or a file cannot be read.
    """
    how = fit_preprocess(scan.detector_shape, input_side(scan.detector_shape))
    key = _key(scan, how, around, symmetry)
    found = _memory.get(key)
    if found is None:
        apart = 2 * around.radius + 1
        features = _load(key, how)
        if features is None:
            features = read_features(around.of(scan), how, report, symmetry, apart)
            if scan.source is not None:
                _save(key, features)
        values = without_gaps(features.values, scan.missing)
        scalings = find_scalings(values, apart)
        likeness = find_likeness(values, scalings, how.size**2)
        inputs = tuple(one.of(values) for one in scalings)
        found = KnownScan(features.basis, scalings, inputs, likeness, likeness.of(values))
    _memory[key] = found
    _memory.move_to_end(key)
    while _memory and sum(one.nbytes for one in _memory.values()) > IN_MEMORY:
        _memory.popitem(last=False)
    return found


def _key(scan: Scan, how: Preprocess, around: Neighbourhood, symmetry: Symmetry | None) -> str:
    """Return a name for the features of a scan as its file is now.

    The signature looks at a few patterns only; so the file's time and size count, too, or of a
    scan in memory which array it is.
    """
    correction = None if scan.correction is None else scan.correction.record
    files = [scan.data.name] if scan.source is None else _files(scan.source.path)
    parts: dict[str, Any] = {
        "version": VERSION,
        "components": COMPONENTS,
        "scan": [scan.signature, scan.shape, scan.centre, correction],
        "missing": None if scan.missing is None else _digest(np.packbits(scan.missing).tobytes()),
        "how": asdict(how),
        "around": around.to_json(),
        "symmetry": None if symmetry is None else symmetry.to_json(),
        "files": files,
    }
    return _digest(json.dumps(parts, sort_keys=True, default=str).encode())


def _files(path: str) -> list[Any]:
    """Return name, size and time of the file, or of all files of a folder, and beside a header."""
    found: list[Any] = [os.path.abspath(path)]
    with suppress(OSError):
        paths = [Path(path)]
        if Path(path).is_dir():
            paths = sorted(one for one in Path(path).rglob("*") if one.is_file())
        else:
            # A header names the data file beside it; labels and models are no part of the scan.
            beside = Path(path).parent.glob(f"{escape(Path(path).stem)}.*")
            paths += sorted(p for p in beside if p.is_file() and p.suffix.lower() not in NO_SCANS)
        for one in paths:
            known = one.stat()
            found.append([one.name, known.st_size, known.st_mtime_ns])
    return [found[0], _digest(repr(found).encode())]


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _folder() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("napari-ferro4d") / "features"


def _save(key: str, features: Features) -> None:
    arrays = _arrays(features)
    if sum(one.nbytes for one in arrays.values()) > MOST_BYTES:
        return
    folder = _folder()
    with suppress(OSError, ScanError):
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(folder / f"{key}.npz") as path, path.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        _make_room(folder)


def _make_room(folder: Path) -> None:
    known = sorted(
        (one.stat().st_mtime_ns, one.stat().st_size, one) for one in folder.glob("*.npz")
    )
    total = sum(size for _, size, _ in known)
    for _, size, path in known[:-1]:
        if total <= FOLDER_BYTES:
            return
        path.unlink(missing_ok=True)
        total -= size


def _load(key: str, how: Preprocess) -> Features | None:
    path = _folder() / f"{key}.npz"
    # Whatever is wrong with it, it can be computed again.
    with suppress(Exception), path.open("rb") as file:
        stored = np.load(file, allow_pickle=False)
        found = _features({name: stored[name] for name in stored.files}, how)
        with suppress(OSError):
            os.utime(path)
        return found
    return None


def _arrays(features: Features) -> dict[str, np.ndarray]:
    basis = features.basis
    arrays: dict[str, np.ndarray] = {"unit": np.array(basis.unit)}
    for kind in COMPONENTS:
        arrays[f"mean.{kind}"] = basis.means[kind]
        arrays[f"axes.{kind}"] = basis.axes[kind]
        arrays[f"values.{kind}"] = features.values[kind]
    arrays[f"values.{REST}"] = features.values[REST]
    return arrays


def _features(arrays: Mapping[str, np.ndarray], how: Preprocess) -> Features:
    means = {kind: arrays[f"mean.{kind}"] for kind in COMPONENTS}
    axes = {kind: arrays[f"axes.{kind}"] for kind in COMPONENTS}
    values = {kind: arrays[f"values.{kind}"] for kind in (*COMPONENTS, REST)}
    return Features(Basis(how, float(arrays["unit"]), means, axes), values)
