"""What the viewer's process and the trainer say to each other, as JSON: scans and progress.

A scan goes as the way to open it, never as its counts; the course of a training goes as what is new
since the message before, so that a message stays short however long the training is.
"""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Progress, Report
from napari_ferro4d.learn.training import TrainingState
from napari_ferro4d.scan import Scan, Source, signature_of

__all__ = ["ProgressReader", "ProgressWriter", "give_scan", "plain", "take_scan"]


def plain(value: Any) -> Any:
    """Return a value that the JSON encoder does not know as one that it does."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    return os.fspath(value)


def give_scan(scan: Scan, folder: Path, number: int, report: Report | None) -> dict[str, Any]:
    """Return how another process opens `scan`, as JSON types.

    A scan that its file alone does not make (one in memory, a part of another) is written to
    `folder`, which has to stay until the other process has ended.

    Raises
    ------
    ScanError
        If there is no room for it, or it cannot be read.
    """
    source = scan.source
    message: dict[str, Any] = {
        "signature": scan.signature,
        "scan_step": scan.scan_step,
        "k_step": scan.k_step,
        "centre": scan.centre,
        "complete": scan.complete,
        "source": None,
    }
    if source is not None:
        message["source"] = [os.path.abspath(source.path), source.format, dict(source.hints)]
    # Somebody may have exchanged the counts of a scan for a part of them and left its source.
    if source is None or signature_of(scan.data) != scan.signature:
        counts = folder / f"scan-{number}.npy"
        _write(scan, counts, report)
        message["counts"] = str(counts)
        if scan.missing is not None:
            missing = folder / f"missing-{number}.npy"
            np.save(missing, scan.missing)
            message["missing"] = str(missing)
    return message


def _write(scan: Scan, file: Path, report: Report | None) -> None:
    """Write the counts block by block, as training sees them; of any scan, also a larger one."""
    from napari_ferro4d.corrections import not_negative
    from napari_ferro4d.io import over_blocks

    needed = int(np.prod(scan.shape)) * scan.dtype.itemsize
    if needed > shutil.disk_usage(file.parent).free:
        raise ScanError(
            f"{scan.where()}: handing it to the trainer takes {needed / 1e9:.1f} GB in "
            f"{file.parent.parent}, where less is free; save the scan and open the file instead."
        )
    # Which undoes what the record of the correction, which does not go along, would have undone.
    scan = not_negative(scan)
    dtype = scan.dtype.newbyteorder("=")
    _, nx, ky, kx = scan.shape
    try:
        with file.open("wb") as out:
            shape = {"descr": dtype.str, "fortran_order": False, "shape": scan.shape}
            np.lib.format.write_array_header_1_0(out, shape)
            start = out.tell()
            for (rows, cols), block in over_blocks(
                scan, lambda block, place: block, report, "handing the scan to the trainer"
            ):
                # Not through a memory map: a disk that is full would end this process with it.
                for y, row in zip(range(rows.start, rows.stop), block, strict=True):
                    out.seek(start + (y * nx + cols.start) * ky * kx * dtype.itemsize)
                    out.write(np.ascontiguousarray(row, dtype).data)
    except OSError as error:
        raise ScanError(
            f"{scan.where()}: cannot be handed to the trainer through {file.parent.parent} "
            f"({error.strerror or error}); save the scan and open the file instead."
        ) from error


def take_scan(message: Mapping[str, Any]) -> Scan:
    """Open the scan that `give_scan` describes.

    Raises
    ------
    ScanError
        If it cannot be opened, or its counts are no longer those that were described.
    """
    from napari_ferro4d.open import open_scan

    given = message["source"]
    source = None if given is None else Source(*given)
    known: dict[str, Any] = {
        name: None if message[name] is None else tuple(message[name])
        for name in ("scan_step", "k_step", "centre")
    }
    if "counts" not in message:
        assert source is not None
        scan = open_scan(source.path, **source.hints)
        if scan.signature != message["signature"]:
            raise ScanError(
                f"{source.path}: the file has changed since it was opened; open it again."
            )
        return replace(scan, **known)
    missing = np.load(message["missing"]) if "missing" in message else None
    return replace(
        open_scan(message["counts"]),
        **known,
        source=source,
        signature=message["signature"],
        missing=missing,
        complete=message["complete"],
    )


class ProgressWriter:
    """Makes a message of each `Progress`, with what is new in its `TrainingState`."""

    def __init__(self) -> None:
        self._sent: dict[str, Any] = {}

    def message(self, progress: Progress) -> dict[str, Any]:
        """Return the message as JSON types."""
        said = [progress.done, progress.total, progress.message, progress.seconds_left]
        state = progress.partial
        if not isinstance(state, TrainingState):
            return {"progress": said}
        values = {one.name: getattr(state, one.name) for one in fields(state)}
        return {"progress": said, "state": {k: self._new(k, v) for k, v in values.items()}}

    def _new(self, name: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {"named": {key: self._new(f"{name} {key}", v) for key, v in value.items()}}
        if isinstance(value, tuple):
            before = self._sent.get(name, ())
            same = len(before) if value[: len(before)] == before else 0
            self._sent[name] = value
            return {"same": same, "new": value[same:]}
        if isinstance(value, np.ndarray):
            if value is self._sent.get(name):
                return {"same": 1}
            self._sent[name] = value
            data = np.ascontiguousarray(value, "<f4")
            return {"shape": data.shape, "data": base64.b64encode(data.tobytes()).decode()}
        return value


class ProgressReader:
    """Makes the `Progress` of each message again."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def progress(self, message: Mapping[str, Any]) -> Progress:
        """Return what the writer was given."""
        progress = Progress(*message["progress"])
        if "state" not in message:
            return progress
        state = {name: self._value(name, value) for name, value in message["state"].items()}
        return replace(progress, partial=TrainingState(**state))

    def _value(self, name: str, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if "named" in value:
            return {key: self._value(f"{name} {key}", v) for key, v in value["named"].items()}
        if "new" in value:
            self._known[name] = (*self._known.get(name, ())[: value["same"]], *value["new"])
        elif "data" in value:
            data = np.frombuffer(base64.b64decode(value["data"]), "<f4")
            self._known[name] = data.reshape(value["shape"])
        return self._known[name]
