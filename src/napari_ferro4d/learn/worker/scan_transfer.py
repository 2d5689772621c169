"""What is called, pickled; of a scan goes the way to open it, not its counts."""

from __future__ import annotations

import io
import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_ferro4d.corrections import not_negative
from napari_ferro4d.errors import ScanError
from napari_ferro4d.io import over_blocks
from napari_ferro4d.jobs import Report
from napari_ferro4d.open import open_scan
from napari_ferro4d.scan import Scan, Source, signature_of


def pickled(value: Any, folder: Path, report: Report | None, worker: str = "worker") -> bytes:
    """Return `value` so that `pickle.loads` makes it again in another process.

    A scan that its file alone does not make (one in memory, a part of another) is written to
    `folder`, which has to stay while the other process uses it. Where a scan cannot be opened
    again, or its file has changed since, `pickle.loads` raises `ScanError`. `worker` is what
    messages call the other process.

    Raises
    ------
    ScanError
        If there is no room for a scan, or it cannot be read.
    """
    out = io.BytesIO()
    _Pickler(out, folder, report, worker).dump(value)
    return out.getvalue()


class _Pickler(pickle.Pickler):
    def __init__(self, out: io.BytesIO, folder: Path, report: Report | None, worker: str) -> None:
        super().__init__(out)
        self._folder, self._report, self._worker = folder, report, worker

    def reducer_override(self, value: Any) -> Any:
        """Replace a scan by a call that opens it."""
        if not isinstance(value, Scan):
            return NotImplemented
        source = value.source
        known = {name: getattr(value, name) for name in ("scan_step", "k_step", "centre")}
        if source is not None:
            path, hints = os.path.abspath(source.path), dict(source.hints)
            source = replace(source, path=path, hints=hints)
            # Somebody may have exchanged the counts of a scan for a part of them and left this.
            if source.opener is not None and signature_of(value.data) == value.signature:
                return _opened_again, (source, value.signature, known)
        known |= {name: getattr(value, name) for name in ("signature", "complete", "missing")}
        counts = self._folder / f"scan-{len(os.listdir(self._folder))}.npy"
        _write(value, counts, self._report, self._worker)
        return _opened_copy, (str(counts), {**known, "source": source})


def _opened_again(source: Source, signature: str, known: dict[str, Any]) -> Scan:
    assert source.opener is not None
    scan = source.opener(source.path, **source.hints)
    if scan.signature != signature:
        raise ScanError(f"{source.path}: the file has changed since it was opened; open it again.")
    return replace(scan, **known)


def _opened_copy(counts: str, known: dict[str, Any]) -> Scan:
    return replace(open_scan(counts), **known)


def _write(scan: Scan, file: Path, report: Report | None, worker: str) -> None:
    """Write the counts block by block, as training sees them; of any scan, also a larger one."""
    needed = int(np.prod(scan.shape)) * scan.dtype.itemsize
    if needed > shutil.disk_usage(file.parent).free:
        raise ScanError(
            f"{scan.where()}: handing it to the {worker} takes {needed / 1e9:.1f} GB in "
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
                scan, lambda block, place: block, report, f"handing the scan to the {worker}"
            ):
                # Not through a memory map: a disk that is full would end this process with it.
                for y, row in zip(range(rows.start, rows.stop), block, strict=True):
                    out.seek(start + (y * nx + cols.start) * ky * kx * dtype.itemsize)
                    out.write(np.ascontiguousarray(row, dtype).data)
    except OSError as error:
        raise ScanError(
            f"{scan.where()}: cannot be handed to the {worker} through {file.parent.parent} "
            f"({error.strerror or error}); save the scan and open the file instead."
        ) from error
