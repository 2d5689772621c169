"""A look at the heaps of an HDF5 file, in which it keeps text and names, before the library does.

The library (2.0.0, tried) walks a heap by the sizes and the offsets in it: one damaged byte in a
global heap, or a ring in the list of a local one, and it never comes back; nothing can stop it but
the end of the program. Heaps lie where the file begins and where it ends, at any address.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

from napari_ferro4d.errors import ScanError

_REACH = 2**24
_GLOBAL = b"GCOL\x01\0\0\0"
_LOCAL = b"HEAP\0\0\0\0"
_LOCAL_HEAP, _PLACE = struct.Struct("<8s3Q"), struct.Struct("<Q")
_NO_MORE = 1
"""What a local heap gives as the place of the free place after the last."""


def refuse_damaged_heaps(path: Path) -> None:
    """Refuse a file with a heap that cannot be walked from its start to its end.

    Raises
    ------
    ScanError
        If there is one in the first or the last 16 MB.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        blocks = {0: file.read(min(size, 2 * _REACH))}
        if size > 2 * _REACH:
            file.seek(size - _REACH)
            blocks = {0: blocks[0][:_REACH], size - _REACH: file.read()}
    for start, block in blocks.items():
        walkable = all(_walkable(block, p) for p in _places(block, _GLOBAL))
        if not walkable or not all(_ends(block, p, start) for p in _places(block, _LOCAL)):
            raise ScanError(f"{path}: a heap of the HDF5 file is damaged; copy it again.")


def _places(block: bytes, signature: bytes) -> list[int]:
    # Not bytes.find, which is five times slower where zeros abound, as in counts of two bytes.
    return [one.start() for one in re.finditer(re.escape(signature), block)]


def _walkable(block: bytes, header: int) -> bool:
    """Return whether the objects of a global heap follow one another to its end."""
    length = int.from_bytes(block[header + 8 : header + 16], "little")
    if length > min(len(block) - header, _REACH):
        return True  # The library refuses one that leaves the file; none other is so large.
    heap = block[header : header + length]
    place = 16
    while place + 16 <= length:
        number = int.from_bytes(heap[place : place + 2], "little")
        size = int.from_bytes(heap[place + 8 : place + 16], "little")
        # Number 0 is what is free, and counts its own header.
        step = size if number == 0 else 16 + (size + 7) // 8 * 8
        if step < 16 or place + step > length:
            return False
        place += step
    return True


def _ends(block: bytes, header: int, start: int) -> bool:
    """Return whether the list of the free places in a local heap ends, and is no ring.

    Parameters
    ----------
    block : bytes
        A part of the file, from the byte `start` on.
    header : int
        Where the heap is described, in `block`. What lies outside `block` is not looked at.
    """
    if header + 32 > len(block):
        return True
    _, size, free, address = _LOCAL_HEAP.unpack_from(block, header)
    seen: set[int] = set()
    while free < size and 0 <= address - start + free <= len(block) - 8:
        if free == _NO_MORE:
            return True
        if free in seen:
            return False
        seen.add(free)
        (free,) = _PLACE.unpack_from(block, address - start + free)
    # The library looks for what leaves the heap.
    return True
