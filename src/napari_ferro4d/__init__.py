"""Map ferroelectric domains from 4D-STEM scans: in napari, as commands, as functions.

Importing this package imports neither torch nor Qt nor napari; names arrive when first used.

The rooms, in reading order; each imports only those above it. ``docs/code-layout.md`` shows them,
and the way of one pattern from a file to a label layer.

- `errors`, `jobs`: What can go wrong; progress and cancel.
- `frames`, `scan`: Where patterns lie in a file; `Scan`, the one data model, signs and units.
- `io`: Files to raw scans (`io.formats`: one kind of file each), and safe writing.
- `corrections`: Dark, gain, bad pixels, crop, bin, as patterns are read.
- `open`: `open_scan`, which is io and corrections together.
- `reduce`: One pass over a scan gives maps: centre of mass, virtual detectors, mean patterns.
- `learn`: The autoencoder and the few-label classifier: data and batches, networks, training.
- `embedding`: Reading the channels of an embedding.
- `simulate`: Crystals to patterns to scans with known truth.
- `match`: Measured patterns against simulated ones.
- `domains`: Label maps to walls and tables.
- `results`: The results folder, label images, figures.
- `cli`: The command ``ferro4d``, one file a verb.
- `viewer`: Everything that knows napari or Qt: one folder a dock; what people paint (`session`).
"""

from typing import Any

import lazy_loader

_public, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("napari-ferro4d")
    return _public(name)
