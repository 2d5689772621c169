"""The house: rooms say what is in them, and stay small enough to walk through."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

import napari_ferro4d

PACKAGE = Path(napari_ferro4d.__file__).parent
ROOMS = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))
FILES = sorted(PACKAGE.rglob("*.py"))


def _name(path: Path) -> str:
    return ".".join((PACKAGE.name, *path.relative_to(PACKAGE).parts))


@pytest.mark.parametrize("room", ROOMS, ids=_name)
def test_a_room_lists_its_files_and_no_others(room: Path) -> None:
    text = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))) or ""
    entries = [line.partition(":")[0] for line in text.splitlines() if line.startswith("- `")]
    listed = [name for entry in entries for name in re.findall("`([a-z0-9_]+)`", entry)]
    files = {path.stem for path in room.glob("*.py")} - {"__init__", "__main__"}
    rooms = {path.parent.name for path in room.glob("*/__init__.py")}
    assert sorted(listed) == sorted(files | rooms)


@pytest.mark.parametrize("room", ROOMS, ids=_name)
def test_a_room_is_small_enough_to_look_over(room: Path) -> None:
    assert len(list(room.glob("*.py"))) <= 20


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_a_file_is_a_page(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("room", ROOMS, ids=_name)
def test_what_a_room_offers_is_there_and_hides_none_of_its_files(room: Path) -> None:
    found = importlib.import_module(_name(room))
    files = {path.stem for path in room.iterdir()}
    for name in getattr(found, "__all__", ()):  # verbs are found by their files
        assert getattr(found, name) is not None
        # A file of that name, once imported, would stand in the place of what is offered.
        assert name not in files, f"{_name(room)} offers {name} and has a file of that name"
