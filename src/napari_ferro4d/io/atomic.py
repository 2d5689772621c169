"""Writes that either happen or do not: a temporary neighbour, then one rename."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from napari_ferro4d.errors import ScanError

TEMPORARY = ".partial-"
"""Marks what an interrupted write left behind; removed by the next write."""

ASIDE = f"{TEMPORARY}old-"
"""What `atomic_folder` puts before the old folder's name while it puts the new one in place."""


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it onto `path` if the block succeeds.

    Raises
    ------
    ScanError
        If the folder does not exist or cannot be written, or the disk is full.
    """
    target = Path(path)
    # The ending stays last, because writers choose their format by it.
    temporary = target.with_name(f"{TEMPORARY}{uuid.uuid4().hex[:8]}-{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("r+b") as written:  # some systems sync only what can be written
                os.fsync(written.fileno())
            temporary.chmod(_usual_mode(target))
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ScanError(f"{target}: cannot be written ({error.strerror or error}).") from error


def _usual_mode(target: Path) -> int:
    # That of the file it replaces, or of a file made here: some writers make private ones.
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; swap it for `path` if the block succeeds.

    A folder cannot be replaced in one step, so the old one is renamed aside first; `recover` puts
    it back if the process dies between the two renames.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    mark = uuid.uuid4().hex[:8]
    temporary = path.with_name(f"{TEMPORARY}{mark}-{path.name}")
    old = path.with_name(ASIDE + path.name)
    try:
        yield temporary
        if path.exists():
            if old.exists():
                shutil.rmtree(old)
            os.rename(path, old)
        os.rename(temporary, path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def locked(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """Keep other processes from writing in `folder` (or, not `shared`, from reading) meanwhile.

    The lock is on the open folder itself: it leaves no file, and ends with the process. Systems
    without such locks do without.
    """
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def recover(parent: Path) -> None:
    """Put back what a dead process had renamed aside, and remove what it had half written.

    For writers that hold the lock: nobody else's unfinished work is there then.
    """
    for left in parent.glob(f"{TEMPORARY}*"):
        name = left.name.removeprefix(ASIDE)
        if name != left.name and not (parent / name).exists():
            os.rename(left, parent / name)
        elif left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
