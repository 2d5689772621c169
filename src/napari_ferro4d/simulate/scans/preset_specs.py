"""Specs that come with the package, and small scans of them kept ready."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ferro4d.errors import ScanError

from .spec import Spec, read_spec

if TYPE_CHECKING:
    from napari_ferro4d.jobs import Report


def presets() -> tuple[str, ...]:
    """Return the names of all presets in the order of the alphabet.

    Examples
    --------
    >>> presets()[:2]
    ('boracite', 'boracite-small')
    """
    return tuple(sorted(path.stem for path in _folder().glob("*.toml")))


def preset(name: str) -> Spec:
    """Return the spec of a preset.

    Parameters
    ----------
    name : str
        One of `presets`.

    Raises
    ------
    ScanError
        If there is no such preset.

    Examples
    --------
    >>> preset("ermno3-vortex").scan.shape
    (256, 256)
    """
    if name not in presets():
        raise ScanError(f"{name!r} is not a preset; use one of {', '.join(presets())}.")
    return replace(read_spec(_folder() / f"{name}.toml"), source=f"preset {name}")


def sample_scan_path(name: str, report: Report | None = None) -> Path:
    """Return the path of a preset's scan in the cache folder; simulate it if it is not there.

    Parameters
    ----------
    name : str
        One of `presets`; the small ones take some seconds.
    report : callable, optional
        See `write_scan`.

    Returns
    -------
    Path
        A zarr store. Its folder is named after a hash of the spec and the table, so that a new
        version of either is simulated anew.
    """
    from platformdirs import user_cache_path

    from .store import write_scan

    spec = preset(name)
    mark = hashlib.blake2b(_table_path(spec).read_bytes(), digest_size=5)
    mark.update(repr(replace(spec, source="")).encode())
    folder = user_cache_path("napari-ferro4d", appauthor=False) / "samples" / mark.hexdigest()
    path = folder / f"{name}.zarr"
    return path if path.exists() else write_scan(spec, path, report)


def _table_path(spec: Spec) -> Path:
    return Path(str(files("napari_ferro4d") / "data" / f"table_{spec.optics.table}.npz"))


def _folder() -> Path:
    return Path(str(files("napari_ferro4d") / "data" / "presets"))
