"""What the package promises as a package: light imports, rooms kept apart, a wheel napari sees."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest

import napari_ferro4d

REPOSITORY = Path(__file__).parent.parent
PACKAGE = Path(napari_ferro4d.__file__).parent
MANIFEST = PACKAGE / "napari.yaml"

# One way only: nothing but the viewer may know napari or Qt, and only learn may know torch. In this
# order, so that one process can load room after room.
GUI = ["napari", "qtpy", "PyQt5", "PyQt6", "PySide2", "PySide6", "magicgui", "superqt", "vispy"]
ROOMS = {
    "napari_ferro4d": [*GUI, "torch", "numba", "matplotlib", "dask", "zarr"],
    "napari_ferro4d.cli": [*GUI, "torch"],
    "napari_ferro4d.jobs": [*GUI, "torch"],
    "napari_ferro4d.scan": [*GUI, "torch"],
    "napari_ferro4d.corrections": [*GUI, "torch"],
    "napari_ferro4d.io": [*GUI, "torch"],
    "napari_ferro4d.reduce": [*GUI, "torch"],
    "napari_ferro4d.domains": [*GUI, "torch"],
    "napari_ferro4d.embedding": [*GUI, "torch"],
    "napari_ferro4d.simulate": [*GUI, "torch"],
    "napari_ferro4d.match": [*GUI, "torch"],
    "napari_ferro4d.results": [*GUI, "torch"],
    "napari_ferro4d.open": [*GUI, "torch"],
    "napari_ferro4d.learn": GUI,
}


def _python(code: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_import_loads_little_but_the_package_itself() -> None:
    """Which is why it takes no time: everything else is loaded where it is first used."""
    code = """
import sys
before = set(sys.modules)
import napari_ferro4d
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""
    loaded = set(_python(code).split())
    assert loaded - sys.stdlib_module_names == {"lazy_loader", "napari_ferro4d"}
    # Nor what is slow to load of the standard library.
    assert not loaded & {
        "asyncio",
        "concurrent",
        "json",
        "logging",
        "multiprocessing",
        "subprocess",
    }


@pytest.fixture(scope="module")
def loaded() -> dict[str, list[str]]:
    """Return for every room what is loaded after it and those before it, in one process."""
    # Every module of the room, and every name it offers, since names may arrive lazily.
    code = """
import importlib, json, pkgutil, sys
found = {}
for name in sys.argv[1:]:
    room = importlib.import_module(name)
    if name != "napari_ferro4d":
        for module in pkgutil.walk_packages(getattr(room, "__path__", []), name + "."):
            importlib.import_module(module.name)
        for offered in getattr(room, "__all__", []):
            getattr(room, offered)
    found[name] = sorted({one.partition(".")[0] for one in sys.modules})
print(json.dumps(found))
"""
    found: dict[str, list[str]] = json.loads(_python(code, *ROOMS))
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_leaves_out_what_it_must_not_know(room: str, loaded: dict[str, list[str]]) -> None:
    assert not set(loaded[room]) & set(ROOMS[room])


def test_every_room_but_the_viewer_is_listed() -> None:
    rooms = {f"napari_ferro4d.{path.parent.name}" for path in PACKAGE.glob("*/__init__.py")}
    assert rooms - {"napari_ferro4d.viewer", "napari_ferro4d.data"} <= set(ROOMS)


def test_every_public_name_arrives() -> None:
    for name in napari_ferro4d.__all__:
        assert getattr(napari_ferro4d, name) is not None


def test_version_comes_from_one_place() -> None:
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert napari_ferro4d.__version__ == version("napari-ferro4d") == declared


def test_top_level_manifest_is_the_one_in_the_package() -> None:
    link = REPOSITORY / "napari.yaml"
    assert link.is_symlink()
    assert link.resolve() == MANIFEST.resolve()
    assert not os.path.isabs(os.readlink(link))


def test_wheel_shows_the_plugin_in_an_empty_environment() -> None:
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "scripts" / "check_wheel.py")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = json.loads(done.stdout)
    assert shown["readers"] == 1
    assert shown["writers"] >= 2
    assert shown["widgets"] >= 3
    assert shown["sample data"] >= 1
    assert not shown["installed in"].startswith(str(PACKAGE))


def test_constraints_pin_what_the_package_asks_for() -> None:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    for pin in pins:
        assert str(pin.specifier).startswith("=="), pin
        assert "+" not in str(pin.specifier), pin  # a local build is found nowhere else
        assert pin.url is None, pin
    pinned = {canonicalize_name(pin.name): pin.specifier for pin in pins}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(line for name in extras for line in extras[name])]
    for line in wanted:
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        if name == "napari-ferro4d":
            continue
        pin = str(pinned[name]).removeprefix("==")
        assert requirement.specifier.contains(pin), f"{line} against {pin}"


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["learn"], *extras["simulate"]]
    declared = {canonicalize_name(Requirement(line).name) for line in wanted}
    provided = packages_distributions()
    imported = {
        canonicalize_name(name)
        for file in PACKAGE.rglob("*.py")
        for module in _imports(ast.parse(file.read_text(encoding="utf-8")))
        for name in provided.get(module, ())
    }
    imported -= {"napari-ferro4d", "cupy"}  # who has cupy chose the one for his GPU
    assert imported == declared


def _imports(tree: ast.Module) -> set[str]:
    """Return the first part of every absolute import, those within functions too."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.partition(".")[0])
    return found
