"""What every test gets: a display, settings of its own, and the instrument files.

The display and the folders are set up in `pytest_configure`, before any test module is imported:
Qt looks for its display, and napari for its settings, when they are first imported.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
SCREEN = "1600x1000x24"

_undo = pytest.StashKey[list]()


def pytest_configure(config: pytest.Config) -> None:
    """Give the session user folders of its own and, where there is none, a display."""
    undo = config.stash.setdefault(_undo, [])
    home = Path(tempfile.mkdtemp(prefix="ferro4d-tests-"))
    undo.append(lambda: shutil.rmtree(home, ignore_errors=True))
    for name in ("CONFIG", "DATA", "CACHE", "STATE"):
        folder = home / name.lower()
        folder.mkdir()
        os.environ[f"XDG_{name}_HOME"] = str(folder)
    os.environ["NAPARI_CONFIG"] = str(home / "config" / "napari" / "settings.yaml")
    os.environ["MPLBACKEND"] = "Agg"
    if "XDG_RUNTIME_DIR" not in os.environ:  # Qt complains where there is none
        runtime = home / "runtime"
        runtime.mkdir(mode=0o700)
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    if sys.platform == "linux" and not _has_display():
        undo.append(_start_xvfb())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the display and remove the folders."""
    for step in reversed(config.stash.get(_undo, [])):
        step()


def _has_display() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _start_xvfb():
    """Start a virtual display on a free number and return the function that stops it."""
    if shutil.which("Xvfb") is None:
        raise pytest.UsageError(
            "no display and no Xvfb: run `make setup`, or `sudo apt-get install xvfb`"
        )
    command = ["Xvfb", "-screen", "0", SCREEN, "-nolisten", "tcp", "-noreset"]
    if shutil.which("setpriv"):  # ends with us, even where pytest-timeout ends us without ceremony
        command = ["setpriv", "--pdeathsig", "TERM", *command]
    reader, writer = os.pipe()
    server = subprocess.Popen(
        [*command, "-displayfd", str(writer)],
        pass_fds=[writer],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)
    with os.fdopen(reader) as pipe:
        number = pipe.readline().strip()  # empty if the server ended without a display
    if not number:
        server.wait()
        raise pytest.UsageError(f"Xvfb ended with code {server.returncode} before it had a display")
    os.environ["DISPLAY"] = f":{number}"

    def stop() -> None:
        server.terminate()
        server.wait(timeout=10)
        del os.environ["DISPLAY"]

    return stop


@pytest.fixture(scope="session")
def instruments() -> Path:
    """Return the folder of files that real instruments wrote; skip the test where it is absent."""
    default = REPOSITORY.parent / "shared" / "data" / "instruments"
    folder = Path(os.environ.get("FERRO4D_INSTRUMENTS", default))
    if not folder.is_dir():
        pytest.skip(f"no instrument files in {folder}; set FERRO4D_INSTRUMENTS to their folder")
    return folder
