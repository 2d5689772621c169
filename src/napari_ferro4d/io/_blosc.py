"""A zarr store that looks at chunks before Blosc sees them.

Blosc believes the length that a chunk states, so that a damaged one is read past its end, and
takes the whole program along. Imported only where such chunks are read: it needs zarr.
"""

from __future__ import annotations

from typing import Any

from zarr.storage import WrapperStore

from ._stored import MOST_CHUNK_BYTES


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
        start = value.to_bytes()[:16]
        unpacked, _, packed = (int.from_bytes(start[i : i + 4], "little") for i in (4, 8, 12))
        if packed != len(value) or unpacked > MOST_CHUNK_BYTES:
            raise ValueError(f"chunk {key} is not of the length that it states")
        return value
