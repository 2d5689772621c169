"""The examples in the docstrings run as they are printed."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import napari_ferro4d

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(napari_ferro4d.__path__, "napari_ferro4d.")
    if ".viewer" not in module.name and not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, extraglobs={"np": importlib.import_module("numpy")})
    assert failed == 0
