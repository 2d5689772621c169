"""A display where there is none: what a window needs on a server or in a container."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

from napari_ferro4d.errors import ScanError

SCREEN = "1600x1000x24"


@contextlib.contextmanager
def virtual_display() -> Iterator[dict[str, str]]:
    """Yield an environment in which windows can be opened.

    It is this process's own where that has a display. On Linux without one, an X server that
    draws in memory (Xvfb) runs as long as the block does.

    Raises
    ------
    ScanError
        If there is neither a display nor Xvfb.
    """
    environment = dict(os.environ)
    shown = environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    if shown or sys.platform != "linux":
        yield environment
        return
    if shutil.which("Xvfb") is None:
        raise ScanError(
            "no display and no Xvfb to stand in for one; install it (`sudo apt-get install xvfb`)."
        )
    command = ["Xvfb", "-screen", "0", SCREEN, "-nolisten", "tcp", "-noreset"]
    if shutil.which("setpriv"):  # ends with us, even where we are ended without ceremony
        command = ["setpriv", "--pdeathsig", "TERM", *command]
    reader, writer = os.pipe()
    server = subprocess.Popen(
        [*command, "-displayfd", str(writer)],
        pass_fds=[writer],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)
    try:
        with os.fdopen(reader) as pipe:
            number = pipe.readline().strip()  # empty if the server ended without a display
        if not number:
            raise ScanError(f"Xvfb ended with code {server.wait()} before it had a display.")
        yield {**environment, "DISPLAY": f":{number}"}
    finally:
        server.terminate()
        server.wait(timeout=10)
