"""The pages say what the code does: examples run, links lead somewhere, options are described."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_on_pages(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failed, _ = doctest.testfile(
        str(page), module_relative=False, optionflags=doctest.ELLIPSIS, encoding="utf-8"
    )
    assert not failed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} refers to {target}"


def test_every_command_and_option_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    from napari_ferro4d.cli import main

    def options_of(*command: str) -> str:
        with pytest.raises(SystemExit) as end:
            main([*command, "--help"])
        assert end.value.code == 0
        return capsys.readouterr().out

    page = (REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    ([a-z]+) ", options_of(), re.MULTILINE)
    assert {"info", "virtual", "com", "train", "embed", "classify", "demo"} <= set(commands)
    for command in commands:
        assert f"## {command}\n" in page
        for option in re.findall(r"--[a-z-]+", options_of(command)):
            assert option == "--help" or option in page, f"{command} {option}"


def test_every_format_is_described() -> None:
    from napari_ferro4d.open import FORMATS

    page = (REPOSITORY / "docs" / "data-model.md").read_text(encoding="utf-8")
    for name in FORMATS:
        assert f"`{name}`" in page
