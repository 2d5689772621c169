"""The paper's own code: its network and losses, from the installed package ``m3_learning``.

Importing that package runs its ``__init__`` files, which import all of it and with it packages
that the network has no use for. Here they are left out: the packages stand empty, and the ordinary
import finds the three real files in them, `STEM_AE`, `Regularizers` and `file_IO`.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PACKAGES = ("", ".nn", ".nn.STEM_AE", ".nn.Regularization", ".util")


@cache
def reference() -> ModuleType:
    """Return the module with `ConvAutoencoder`, `Encoder`, ... or skip the test."""
    spec = find_spec("m3_learning")
    if spec is None or spec.origin is None:
        pytest.skip("m3_learning, the paper's own code, is not installed; run scripts/setup")
    for name in PACKAGES:
        package = ModuleType(f"m3_learning{name}")
        package.__path__ = [str(Path(spec.origin).parent.joinpath(*name.split(".")))]
        sys.modules[package.__name__] = package
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TeX in docstrings that are not raw
        return importlib.import_module("m3_learning.nn.STEM_AE.STEM_AE")


def small(size: int = 16, filters: int = 3, pooling: tuple[int, ...] = (2, 2)) -> dict[str, Any]:
    """Return the arguments of the reference's encoder and decoder for a small network."""
    inner = size
    for pool in pooling:
        inner //= pool
    return {
        "encoder_step_size": [size, size],
        "pooling_list": list(pooling),
        "decoder_step_size": [inner, inner],
        "upsampling_list": list(reversed(pooling)),
        "conv_size": filters,
    }
