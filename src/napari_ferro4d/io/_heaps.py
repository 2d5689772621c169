"""A look at the global heaps of an HDF5 file, in which it keeps text, before the library sees them.

The library (2.0.0) walks a heap by the sizes in it, and never comes back from one whose sizes
were damaged; nothing can stop it but the end of the program. Heaps lie where the file begins and
where it ends, so that is where this looks.
"""

from __future__ import annotations

from pathlib import Path

from napari_ferro4d.errors import ScanError

_REACH = 2**24
_SIGNATURE = b"GCOL\x01\0\0\0"


def refuse_damaged_heaps(path: Path) -> None:
    """Refuse a file with a heap that cannot be walked from its start to its end.

    Raises
    ------
    ScanError
        If there is one in the first or the last 16 MB.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        blocks = [file.read(min(size, 2 * _REACH))]
        if size > 2 * _REACH:
            file.seek((size - _REACH) // 8 * 8)
            blocks = [blocks[0][:_REACH], file.read()]
    for block in blocks:
        place = block.find(_SIGNATURE)
        while place >= 0:
            if place % 8 == 0 and not _walkable(block[place : place + _REACH]):
                raise ScanError(f"{path}: a heap of the HDF5 file is damaged; copy it again.")
            place = block.find(_SIGNATURE, place + 1)


def _walkable(heap: bytes) -> bool:
    length = int.from_bytes(heap[8:16], "little")
    if length > len(heap):
        return True  # The library refuses one that leaves the file; none other is so large.
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
