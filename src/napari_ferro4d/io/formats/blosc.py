"""Zarr arrays whose chunks Blosc packed: looked at before Blosc sees them, and read in parts.

Blosc believes the length that a chunk states, so that a damaged one is read past its end, and
takes the whole program along (numcodecs 0.16, tried: a segmentation fault). Neither zarr nor
numcodecs unpacks a part of a chunk. Imported only where such chunks are read: it needs zarr.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from zarr.storage import LocalStore, WrapperStore

from napari_ferro4d.errors import ScanError
from napari_ferro4d.io.stored import MOST_CHUNK_BYTES

_LARGE = 2**24
_HEADER = struct.Struct("<4B3I")
_COPIED, _NOT_SPLIT = 0x02, 0x10


class CheckedStore(WrapperStore):  # type: ignore[type-arg]
    """The store of an array whose chunks Blosc decodes, read-only."""

    async def get(self, key: str, *args: Any, **keywords: Any) -> Any:
        """Return the content of `key`.

        Raises
        ------
        ValueError
            If it is a chunk that states another length than it has.
        """
        value = await super().get(key, *args, **keywords)
        if value is None or key.rpartition("/")[2].startswith((".z", "zarr.json")):
            return value
        if not _states_its_length(value.to_bytes()[:16], len(value)):
            raise ValueError(f"chunk {key} is not of the length that it states")
        return value


def _states_its_length(start: bytes, length: int) -> bool:
    unpacked, _, packed = (int.from_bytes(start[i : i + 4], "little") for i in (4, 8, 12))
    return packed == length and unpacked <= MOST_CHUNK_BYTES


# --- single patterns of large chunks


@dataclass(frozen=True, eq=False)
class LargeChunks:
    """An array ``[y, x, ky, kx]`` whose chunks hold many patterns, of which some can be unpacked.

    HyperSpy writes chunks of 100 MB. Blosc packs a chunk in blocks of its own, so that one pattern
    need not cost a chunk.
    """

    array: Any
    folder: str
    ndim = 4

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return tuple(int(n) for n in self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its counts."""
        stored: np.dtype[Any] = np.dtype(self.array.dtype)
        return stored

    @property
    def chunks(self) -> tuple[int, ...]:
        """Shape of a chunk."""
        return tuple(int(n) for n in self.array.chunks)

    def __getitem__(self, where: Any) -> np.ndarray:
        given = where if isinstance(where, tuple) else (where,)
        parts: list[Any] = [*given, *[slice(None)] * (4 - len(given))]
        y, x, ky, kx = parts
        rows, columns = np.arange(self.shape[0])[y], np.arange(self.shape[1])[x]
        down, across = self.chunks[:2]
        inside = np.unique(rows // down).size * np.unique(columns // across).size
        if 4 * rows.size * columns.size > inside * down * across:
            return np.asarray(self.array[where])
        values = np.empty((rows.size, columns.size, *self.shape[2:]), self.dtype)
        chunks: dict[tuple[int, int], np.ndarray | None] = {}
        for i, j in np.ndindex(values.shape[:2]):
            row, column = int(rows.flat[i]), int(columns.flat[j])
            place = (row // down, column // across)
            if place not in chunks:
                chunks[place] = self._packed(place)
            values[i, j] = self._pattern(chunks[place], row % down * across + column % across)
        values = values.reshape((*rows.shape, *columns.shape, *self.shape[2:]))
        return np.asarray(values[..., ky, kx])

    def _packed(self, place: tuple[int, int]) -> np.ndarray | None:
        """Map the file of a chunk; None if there is none."""
        path = Path(self.folder) / self.array.metadata.encode_chunk_key((*place, 0, 0))
        if not path.is_file():
            return None
        packed = np.memmap(path, np.uint8, mode="r")
        unpacked = int.from_bytes(packed[4:8].tobytes(), "little")
        whole = unpacked == math.prod(self.chunks) * self.dtype.itemsize
        if not whole or not _states_its_length(packed[:16].tobytes(), packed.size):
            raise ScanError(f"{path}: this chunk is not of the length that it states; copy it.")
        return packed

    def _pattern(self, packed: np.ndarray | None, number: int) -> Any:
        if packed is None:
            return self.array.fill_value or 0
        size = math.prod(self.shape[2:]) * self.dtype.itemsize
        try:
            data = unpacked_part(packed, number * size, size)
        except (ValueError, RuntimeError) as error:
            raise ScanError(f"{self.folder}: a chunk is damaged ({error}); copy it.") from error
        return np.frombuffer(data, self.dtype).reshape(self.shape[2:])


def unpacked_part(packed: np.ndarray, start: int, size: int) -> bytes:
    """Unpack `size` bytes of a Blosc chunk from the byte `start` on.

    The blocks that hold them are put together as a chunk of their own.

    Raises
    ------
    ValueError
        If the chunk's list of blocks is damaged.

    References
    ----------
    c-blosc, ``README_CHUNK_FORMAT.rst``.
    """
    from numcodecs import blosc  # type: ignore[import-untyped]

    version, inner, flags, item, unpacked, block, _ = _HEADER.unpack(packed[:16].tobytes())
    if flags & _COPIED:
        return packed[16 + start : 16 + start + size].tobytes()
    blocks = -(-unpacked // block) if block else 0
    if not 0 < 16 + 4 * blocks < packed.size:
        raise ValueError("its blocks are of an impossible size")
    starts = packed[16 : 16 + 4 * blocks].view("<u4").astype(int)
    # Threads may have written the blocks in any order.
    ends = np.append(np.sort(starts), packed.size)
    parts = []
    for number in range(start // block, -(-(start + size) // block)):
        first = int(starts[number])
        data = packed[first : int(ends[np.searchsorted(ends, first, side="right")])].tobytes()
        length = min(block, unpacked - number * block)
        # A block at the end that is not full is never split by the bytes of its items.
        form = flags | (_NOT_SPLIT if length < block else 0)
        header = _HEADER.pack(version, inner, form, item, length, length, 20 + len(data))
        parts.append(blosc.decompress(header + (20).to_bytes(4, "little") + data))
    skipped = start - start // block * block
    return b"".join(parts)[skipped : skipped + size]


def in_parts(array: Any) -> Any:
    """Return an array as `LargeChunks` if its chunks are large, and in files as Blosc left them."""
    store = getattr(array.store, "_store", array.store)
    plain = (
        isinstance(store, LocalStore)
        and len(array.compressors) == 1
        and not array.filters
        and array.order == "C"
        and array.shards is None
        and array.ndim == 4
        and array.chunks[2:] == array.shape[2:]
        and np.dtype(array.dtype).isnative
    )
    if not plain or math.prod(array.chunks) * np.dtype(array.dtype).itemsize < _LARGE:
        return array
    return LargeChunks(array, str(Path(store.root) / array.path))
