#!/usr/bin/env python3
"""Build the wheel, install it in an empty environment and print what napari's plugin engine shows.

Works without a network: the wheel is built with the build backend of the running environment, and
its dependencies are not downloaded but linked from there, one by one and without this package, so
that whatever is found of it comes from the wheel.
"""

import json
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent

SHOW = """
import json
from importlib.metadata import distribution
from npe2 import PluginManager

manager = PluginManager()
manager.discover()
manifest = manager.get_manifest("napari-ferro4d")
manifest.validate_imports()
found = manifest.contributions
import napari_ferro4d
print(json.dumps({
    "version": distribution("napari-ferro4d").version,
    "installed in": napari_ferro4d.__file__,
    "readers": len(found.readers or []),
    "writers": len(found.writers or []),
    "widgets": len(found.widgets or []),
    "sample data": len(found.sample_data or []),
}))
"""


def main() -> None:
    """Print one JSON document; end with an exception where a step fails."""
    with tempfile.TemporaryDirectory(prefix="ferro4d-wheel-") as folder:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        flags = ["--quiet", "--no-deps", "--no-index"]
        subprocess.run(
            [*pip, "wheel", *flags, "--no-build-isolation", "-w", folder, str(REPOSITORY)],
            check=True,
            stdout=sys.stderr,
        )
        (wheel,) = Path(folder).glob("napari_ferro4d-*.whl")
        environment = Path(folder, "venv")
        venv.create(environment, with_pip=False)
        python = Path(_path_in(environment, "scripts"), "python")
        subprocess.run(
            [*pip, "--python", str(python), "install", *flags, str(wheel)],
            check=True,
            stdout=sys.stderr,
        )
        _link_dependencies(Path(_path_in(environment, "purelib")))
        done = subprocess.run(
            [str(python), "-c", SHOW], cwd=folder, stdout=subprocess.PIPE, text=True, check=True
        )
        print(json.dumps(json.loads(done.stdout), indent=2))


def _path_in(environment: Path, name: str) -> str:
    return sysconfig.get_path(name, "venv", {"base": str(environment)})


def _link_dependencies(site: Path) -> None:
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "ferro4d" not in entry.name and entry.suffix != ".pth":
            (site / entry.name).symlink_to(entry)


if __name__ == "__main__":
    main()
