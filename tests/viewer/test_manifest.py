"""What napari finds in the manifest, and what is remembered between sessions."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from napari.settings import get_plugin_settings
from npe2 import PluginManifest

import napari_ferro4d
from napari_ferro4d.learn import devices
from napari_ferro4d.viewer.session import remember, remembered
from napari_ferro4d.viewer.widgets import DeviceChoice

PLUGIN = "napari-ferro4d"


@pytest.fixture
def manifest():
    return PluginManifest.from_distribution(PLUGIN)


def test_every_command_can_be_imported(manifest):
    manifest.validate_imports()


def test_one_reader_and_every_widget_the_menus_name(manifest):
    contributions = manifest.contributions
    assert len(contributions.readers) == 1
    assert {widget.display_name for widget in contributions.widgets} == {
        "Open 4D-STEM scan...",
        "Diffraction",
        "Centre of mass",
        "Autoencoder",
        "Embedding",
        "Classes",
        "Classifier",
    }
    commands = {command.id for command in contributions.commands}
    in_menus = {item.command for items in contributions.menus.values() for item in items}
    assert in_menus <= commands


def test_the_reader_claims_what_open_scan_reads_and_autosave_sets_aside(manifest):
    from napari_ferro4d.io.formats import FORMATS
    from napari_ferro4d.viewer.session import BACKUP, REMOVED

    suffixes = {f"*{suffix}" for one in FORMATS for suffix in one.suffixes}
    ours = {f"*{REMOVED}", f"*{BACKUP}"}
    assert set(manifest.contributions.readers[0].filename_patterns) == suffixes | ours


def test_the_manifest_is_at_the_top_of_the_repository_too():
    top = Path(__file__).parents[2] / "napari.yaml"
    assert top.resolve() == Path(napari_ferro4d.__file__).parent / "napari.yaml"


def test_preferences_have_defaults_and_set_the_device_boxes(qtbot):
    settings = get_plugin_settings(PLUGIN).general
    assert (settings.device, settings.autosave_seconds) == ("auto", 5.0)
    settings.device = "cpu"
    try:
        box = DeviceChoice()
        qtbot.addWidget(box.native)
        assert box.value == "cpu"
    finally:
        settings.device = "auto"


def test_the_list_of_devices_opens_at_once(qtbot):
    found = threading.Event()

    def slow():  # as the first import of torch is
        found.wait(60)
        return ["auto", "cpu", "cuda:0"]

    box = DeviceChoice(slow)
    qtbot.addWidget(box.native)
    box.native.showPopup()
    assert box.choices == ("auto", "cpu")  # it is open while torch is still being asked
    found.set()
    qtbot.waitUntil(lambda: box.choices == ("auto", "cpu", "cuda:0"), timeout=60_000)
    box.native.hidePopup()


def test_the_list_of_devices_is_that_of_the_machine(qtbot):
    box = DeviceChoice()
    qtbot.addWidget(box.native)
    box.native.showPopup()
    qtbot.waitUntil(lambda: set(box.choices) == set(devices()), timeout=60_000)
    box.native.hidePopup()


def test_parameters_are_one_small_file_written_whole(tmp_path):
    remember("a widget", {"epochs": 3})
    remember("another", {"device": "cpu"})
    assert remembered("a widget") == {"epochs": 3}
    (folder,) = (tmp_path / "xdg-config").glob("napari-ferro4d")
    assert [path.name for path in folder.iterdir()] == ["widgets.json"]
    assert set(json.loads((folder / "widgets.json").read_text())) == {"a widget", "another"}


@pytest.mark.parametrize("content", ["", "[1, 2]", '{"a widget": 3}', "\x00"])
def test_a_damaged_settings_file_means_defaults(tmp_path, content):
    remember("a widget", {"epochs": 3})
    (file,) = (tmp_path / "xdg-config").rglob("widgets.json")
    file.write_text(content)
    assert remembered("a widget") == {}
    remember("a widget", {"epochs": 4})
    assert remembered("a widget") == {"epochs": 4}


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_read_only_home_does_not_stop_anything(tmp_path):
    (tmp_path / "xdg-config").chmod(0o500)
    remember("a widget", {"epochs": 3})
    assert remembered("a widget") == {}


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch):
    remember("a widget", {"epochs": 3})

    def refuse(*paths):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", refuse)
    remember("a widget", {"epochs": 4})
    assert remembered("a widget") == {"epochs": 3}
    (folder,) = (tmp_path / "xdg-config").glob("napari-ferro4d")
    assert [path.name for path in folder.iterdir()] == ["widgets.json"]
