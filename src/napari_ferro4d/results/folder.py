"""Results as one OME-Zarr (0.5) folder: maps, label images and where they come from.

The layout is the contract with other programs::

    RESULTS/                attribute "ferro4d": {"provenance": [...]}
      maps/<name>/0         float32 [y, x] or [channel, y, x]; uint8 [channel, y, x] for colour
      labels/<name>/0       integer [y, x], 0 = unlabelled

Each map and label image is written to a temporary neighbour and renamed, so a crash leaves the
old one or the new one, never half of one.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from napari_ferro4d.errors import ResultsError, ScanError
from napari_ferro4d.io import (
    ASIDE,
    RESULTS_KEY,
    TEMPORARY,
    atomic_folder,
    is_results,
    locked,
    recover,
)
from napari_ferro4d.scan import Scan

from .ome_images import (
    LabelResult,
    MapResult,
    read_label,
    read_map,
    scan_of,
    write_label,
    write_map,
)

if TYPE_CHECKING:
    import zarr


@dataclass(frozen=True, eq=False)
class Results:
    """What a results folder holds."""

    maps: tuple[MapResult, ...] = ()
    labels: tuple[LabelResult, ...] = ()
    provenance: tuple[dict[str, Any], ...] = ()


def provenance(command: str, parameters: Mapping[str, Any], scan: Scan | None) -> dict[str, Any]:
    """Return one provenance entry: what was done, with what, to which scan, when.

    Parameters
    ----------
    command : str
        Name of the command or function, for example ``"com"``.
    parameters : mapping
        Its parameters, as JSON types.
    scan : Scan or None
        The scan it was applied to.
    """
    entry: dict[str, Any] = {
        "command": command,
        "parameters": dict(parameters),
        "versions": {
            name: metadata.version(name) for name in ("napari-ferro4d", "numpy", "dask", "zarr")
        },
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "scan_signature": scan.signature if scan else None,
    }
    if scan and scan.source:
        entry["scan"] = {"path": scan.source.path, "format": scan.source.format}
        if scan.correction is not None:
            entry["scan"]["corrections"] = dict(scan.correction.record)
    return entry


def write_results(
    path: str | os.PathLike[str],
    *,
    maps: Iterable[MapResult] = (),
    labels: Iterable[LabelResult] = (),
    provenance: Iterable[Mapping[str, Any]] = (),
) -> Path:
    """Write maps and label images to a results folder, adding to it if it exists.

    Parameters
    ----------
    path : path
        The folder. Maps and label images of the same name are replaced, others stay.
    maps : iterable of MapResult
        Maps to write.
    labels : iterable of LabelResult
        Label images to write.
    provenance : iterable of mapping
        Entries to append to the provenance list; see `provenance`.

    Returns
    -------
    Path
        The folder written.

    Raises
    ------
    ResultsError
        If the folder exists and is not a results folder, if a name cannot be a folder name, or if
        an array has the wrong number of axes. Nothing is written then.
    ScanError
        If the disk refuses.
    """
    folder = Path(path)
    maps, labels, entries = tuple(maps), tuple(labels), [dict(entry) for entry in provenance]
    for one_map in maps:
        _check_map(folder, one_map)
    for one_label in labels:
        _check_label(folder, one_label)
    check_target(folder)
    made = [f"maps/{one.name}" for one in maps] + [f"labels/{one.name}" for one in labels]
    entries = [{"made": made, **entry} for entry in entries]
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.absolute().parent):
            _check_scans(folder, [*maps, *labels])
            if is_results(folder):
                _add(folder, maps, labels, entries)
            else:
                with atomic_folder(folder) as temporary:
                    _create_root(temporary)
                    _add(temporary, maps, labels, entries)
    except OSError as error:
        raise ScanError(f"{folder}: cannot be written ({error.strerror or error}).") from error
    return folder


def _check_scans(folder: Path, new: Sequence[MapResult | LabelResult]) -> None:
    # Maps of two scans in one folder would be taken for maps of one.
    scans = {one.scan[1]: one.scan[0] for one in new if one.scan[1]}
    if is_results(folder):
        scans |= _scans_kept(folder, {one.name for one in new})
    if len(scans) > 1:
        raise ResultsError(
            f"{folder}: would hold results of {len(scans)} scans ({', '.join(scans.values())}); "
            "give each scan a results folder of its own."
        )


def _scans_kept(folder: Path, replaced: set[str]) -> dict[str, str]:
    found = {}
    for name, group in (*_groups(folder, "maps"), *_groups(folder, "labels")):
        scan = scan_of(group)
        if name not in replaced and scan[1]:
            found[scan[1]] = scan[0]
    return found


def check_target(path: str | os.PathLike[str]) -> None:
    """Refuse a place where results cannot be written, before hours of work go there.

    Raises
    ------
    ResultsError
        If `path` exists and is not a results folder, or no folder can be made there.
    """
    folder = Path(path)
    try:
        other = folder.is_file() or (folder.is_dir() and any(folder.iterdir()))
        parent = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise ResultsError(
            f"{folder}: cannot be written to ({error.strerror}); choose another place."
        ) from error
    if other and not is_results(folder):
        raise ResultsError(
            f"{folder}: exists and is not a results folder; choose another name for the results."
        )
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ResultsError(f"{folder}: {parent} cannot be written to; choose another place.")


def read_results(path: str | os.PathLike[str]) -> Results:
    """Read a results folder into memory.

    Raises
    ------
    ResultsError
        If it is not a results folder, or a part of it is damaged.
    """
    folder = Path(path)
    if not is_results(folder):
        raise ResultsError(
            f"{folder}: not a results folder of napari-ferro4d (no provenance in its zarr.json)."
        )
    with locked(folder.absolute().parent, shared=True):
        return _read(folder)


def _read(folder: Path) -> Results:
    import zarr

    try:
        root = zarr.open_group(folder, mode="r")
        entries = cast("dict[str, Any]", root.attrs[RESULTS_KEY])["provenance"]
        maps = [read_map(name, group) for name, group in _groups(folder, "maps")]
        labels = [read_label(name, group) for name, group in _groups(folder, "labels")]
    except (KeyError, ValueError, TypeError, OSError, RuntimeError) as error:
        raise ResultsError(
            f"{folder}: the results folder is damaged ({type(error).__name__}: {error}); "
            "write the results again."
        ) from error
    return Results(tuple(maps), tuple(labels), tuple(entries))


def _check_name(folder: Path, name: str) -> None:
    if not name or name.startswith(".") or any(c in name for c in '/\\:*?"<>|\0'):
        raise ResultsError(f"{folder}: {name!r} cannot name a map or label image; rename it.")


def _check_map(folder: Path, one: MapResult) -> None:
    _check_name(folder, one.name)
    axes = (3,) if one.rgb else (2, 3)
    if one.data.ndim not in axes or 0 in one.data.shape or (one.rgb and one.data.shape[-1] != 3):
        raise ResultsError(
            f"{folder}: map {one.name!r} has shape {one.data.shape}; "
            "a map is [y, x], [channel, y, x] or, in colour, [y, x, 3]."
        )


def _check_label(folder: Path, one: LabelResult) -> None:
    _check_name(folder, one.name)
    if one.data.ndim != 2 or 0 in one.data.shape or one.data.dtype.kind not in "ui":
        raise ResultsError(
            f"{folder}: label image {one.name!r} has shape {one.data.shape} and type "
            f"{one.data.dtype}; labels are integers [y, x]."
        )


def _create_root(folder: Path) -> None:
    import zarr

    root = zarr.open_group(folder, mode="w", zarr_format=3)
    root.attrs[RESULTS_KEY] = {"provenance": []}
    root.create_group("maps")
    root.create_group("labels").attrs["ome"] = {"version": "0.5", "labels": []}


def _add(
    folder: Path,
    maps: tuple[MapResult, ...],
    labels: tuple[LabelResult, ...],
    entries: list[dict[str, Any]],
) -> None:
    import zarr

    for part in ("maps", "labels"):
        recover(folder / part)
    for one_map in maps:
        with atomic_folder(folder / "maps" / one_map.name) as temporary:
            write_map(temporary, one_map)
    for one_label in labels:
        with atomic_folder(folder / "labels" / one_label.name) as temporary:
            write_label(temporary, one_label)
    root = zarr.open_group(folder, mode="r+")
    names = sorted(name for name, _ in _groups(folder, "labels"))
    root.require_group("labels").attrs["ome"] = {"version": "0.5", "labels": names}
    old = cast("dict[str, Any]", root.attrs[RESULTS_KEY])
    root.attrs[RESULTS_KEY] = {**old, "provenance": [*old["provenance"], *entries]}


def _groups(folder: Path, part: str) -> list[tuple[str, zarr.Group]]:
    import zarr

    # By the folders, not by zarr's own listing, which warns of what a dead writer left unfinished.
    there = [path for path in (folder / part).glob("*") if path.is_dir()]
    found = {path.name: path for path in there if not path.name.startswith(TEMPORARY)}
    # A writer that died between its two renames left the old one under another name.
    for path in there:
        if path.name.startswith(ASIDE):
            found.setdefault(path.name.removeprefix(ASIDE), path)
    return [(name, zarr.open_group(path, mode="r")) for name, path in sorted(found.items())]
