"""A Merlin acquisition in several files, ``name1.mib``, ``name2.mib``, ...

Every frame header carries the number of the frame in the acquisition, counted from 1 through all
files (LiberTEM, too, sorts the files by the number of their first frame). So the numbers of the
frames tell which files belong together, and the names only where to look: files that are numbered
may just as well be a scan each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from napari_ferro4d.errors import ScanError

_NUMBERED = re.compile(r"(.*?)(\d{1,9})", re.DOTALL)
_SEPARATORS = "_ -"


@dataclass(frozen=True)
class Part:
    """One file of an acquisition: its frames have the numbers from `first` to `last`.

    Parameters
    ----------
    path : Path
        The file.
    first : int
        Number of its first frame, from 1.
    count : int
        Its whole frames.
    rest : int
        Bytes after them.
    """

    path: Path
    first: int
    count: int
    rest: int = 0

    @property
    def last(self) -> int:
        """Number of the last frame."""
        return self.first + self.count - 1


def companion(path: Path) -> Path | None:
    """Return the `.hdr` file of an acquisition of which `path` is one file, or None."""
    numbered = _NUMBERED.fullmatch(path.stem)
    base = numbered[1] if numbered else path.stem
    for stem in dict.fromkeys((path.stem, base, base.rstrip(_SEPARATORS))):
        beside = path.with_name(f"{stem}.hdr")
        if stem and beside.is_file():
            return beside
    return None


def is_companion(path: Path) -> bool:
    """Return whether a `.hdr` file is one of Merlin."""
    with path.open("rb") as file:
        return file.read(3) == b"HDR"


def frames_of_companion(path: Path) -> Path:
    """Return the `.mib` file, of several the first, that a `.hdr` file describes.

    Raises
    ------
    ScanError
        If `path` is no `.hdr` file of Merlin, or its frames are not there.
    """
    if not is_companion(path):
        raise ScanError(f"{path}: is no Merlin header file; those start with HDR.")
    own = path.with_suffix(".mib")
    if own.is_file():
        return own
    name = re.compile(rf"{re.escape(path.stem)}[{_SEPARATORS}]?(\d{{1,9}})", re.DOTALL)
    found = [
        (int(match[1]), one)
        for one in path.parent.iterdir()
        if one.suffix.lower() == ".mib" and (match := name.fullmatch(one.stem))
    ]
    if not found:
        raise ScanError(f"{path}: its frames, {own.name}, are missing; copy them beside it.")
    return min(found)[1]


def series_of(path: Path, stride: int, announced: int) -> list[Part]:
    """Return the files of the acquisition of which `path` is one, in the order of their frames.

    Parameters
    ----------
    path : Path
        Any of the files.
    stride : int
        Bytes of a frame and its header.
    announced : int
        Frames of the acquisition, as its `.hdr` file says; 0 if it does not.

    Raises
    ------
    ScanError
        If the first frame header of a file is damaged.
    """
    kind = _start(path)[2:]
    given = _part(path, stride, kind)
    if given is None:
        raise ScanError(f"{path}: the number in the first Merlin frame header is damaged.")
    own = path.with_suffix(".hdr").is_file()
    if own and given.first == 1 and 0 < announced <= given.count:
        return [given]
    names, place = _numbered_alike(path)
    parts = [given]
    for name in reversed(names[:place]):
        part = _part(name, stride, kind) if parts[0].first > 1 else None
        if part is None or part.last >= parts[0].first:
            break
        parts.insert(0, part)
    for name in names[place + 1 :]:
        complete = 0 < announced <= parts[-1].last
        part = None if complete else _part(name, stride, kind)
        if part is None or part.first <= parts[-1].last:
            break
        parts.append(part)
    return parts


def what_is_missing(parts: list[Part], announced: int) -> str:
    """Return a phrase that names the first file or frames that are missing, or nothing."""
    # A file alone, with a header file of its own, is no part of anything.
    several = len(parts) > 1 or (announced and not parts[0].path.with_suffix(".hdr").is_file())
    if not several:
        return ""
    holes = [(parts[0], -1, 1, parts[0].first - 1)]
    for before, after in pairwise(parts):
        if before.rest:
            return f"{before.path.name} ends in the middle of a frame"
        # Where no file is missing, the one before is too short.
        step = 0 if _name_beside(before.path, 1) == after.path.name else 1
        holes.append((before, step, before.last + 1, after.first - 1))
    if not parts[-1].rest:
        holes.append((parts[-1], 1, parts[-1].last + 1, announced))
    for part, step, first, last in holes:
        if first <= last and step:
            return f"{_name_beside(part.path, step)} is missing (frames {first} to {last})"
        if first <= last:
            return f"{part.path.name} is cut off (frames {first} to {last} are missing)"
    return ""


def _part(path: Path, stride: int, kind: list[bytes]) -> Part | None:
    """Return what a file holds; None if it has no frame with these fields in its header."""
    start = _start(path)
    if not start or start[2:] != kind:
        return None
    count, rest = divmod(path.stat().st_size, stride)
    return Part(path, int(start[1]), count, rest) if count else None


def _start(path: Path) -> list[bytes]:
    """Return the fields of the first frame header up to the layout of the chips."""
    try:
        with path.open("rb", buffering=0) as file:
            fields = file.read(64).split(b",")[:8]
    except OSError:
        return []
    whole = len(fields) == 8 and fields[0] == b"MQ1" and re.fullmatch(rb"\d{1,12}", fields[1])
    return fields if whole else []


def _numbered_alike(path: Path) -> tuple[list[Path], int]:
    """Return the files whose names differ by the number at their end, and the place of `path`."""
    given = _NUMBERED.fullmatch(path.stem)
    if given is None:
        return [path], 0
    found: dict[int, Path] = {int(given[2]): path}
    for one in path.parent.iterdir():
        if one.suffix == path.suffix and one.name.startswith(given[1]):
            number = one.stem[len(given[1]) :]
            if number.isdecimal() and number.isascii() and len(number) < 10:
                found.setdefault(int(number), one)
    numbers = sorted(found)
    return [found[number] for number in numbers], numbers.index(int(given[2]))


def _name_beside(path: Path, step: int) -> str:
    given: Any = _NUMBERED.fullmatch(path.stem)
    if given is None:
        return "another file"
    number = max(0, int(given[2]) + step)
    return f"{given[1]}{number:0{len(given[2])}d}{path.suffix}"
