"""What every test gets: a display, settings of its own, and the instrument files.

The display and the folders are set up in `pytest_configure`, before any test module is imported:
Qt looks for its display, and napari for its settings, when they are first imported.
"""

from __future__ import annotations

import contextlib
import gc
import os
import tempfile
from pathlib import Path
from types import ModuleType

import hypothesis
import pytest

from napari_ferro4d.cli import virtual_display
from napari_ferro4d.errors import ScanError

REPOSITORY = Path(__file__).parent.parent

# No example fails because the machine is busy.
hypothesis.settings.register_profile(
    "no clock", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("no clock")

# Tests ask for identical bits, which only processors give; FERRO4D_GPU=1 runs them on a GPU.
if "FERRO4D_GPU" not in os.environ:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
# Several processes share the cores; threads of theirs that wait for each other take much longer.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

LONGEST = (
    "test_mutations.py",
    "test_training_processes.py",
    "test_autoencoder.py",
    "test_embedding_results.py",
    "test_register.py",
    "test_reading_channels.py",
    "test_linear_fit.py",
    "test_autoencoder_widget.py",
    "test_identify.py",
    "test_one_pass.py",
    "test_demo.py",
    "test_cluster.py",
    "test_learn_process.py",
    "test_window_without_torch.py",
    "test_embedding_dock.py",
    "test_detector.py",
    "test_live_prediction.py",
    "test_classifier_widget.py",
)
"""Files that take half a minute or more."""

_session = pytest.StashKey[contextlib.ExitStack]()


def pytest_configure(config: pytest.Config) -> None:
    """Give the session user folders of its own and, where there is none, a display.

    With several processes (``-n``), each of them does so for itself: windows on one display would
    take the keyboard from each other.
    """
    if config.getoption("numprocesses", None):
        return
    stack = config.stash.setdefault(_session, contextlib.ExitStack())
    folder = tempfile.TemporaryDirectory(prefix="ferro4d-tests-", ignore_cleanup_errors=True)
    home = Path(stack.enter_context(folder))
    for name in ("CONFIG", "DATA", "CACHE", "STATE"):
        (home / name.lower()).mkdir()
        os.environ[f"XDG_{name}_HOME"] = str(home / name.lower())
    os.environ["NAPARI_CONFIG"] = str(home / "config" / "napari" / "settings.yaml")
    os.environ["MPLBACKEND"] = "Agg"
    if "XDG_RUNTIME_DIR" not in os.environ:  # Qt complains where there is none
        runtime = home / "runtime"
        runtime.mkdir(mode=0o700)
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    try:
        os.environ.update(stack.enter_context(virtual_display()))
    except ScanError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files: the processes that share the others end at the same time."""
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the display and remove the folders."""
    config.stash.setdefault(_session, contextlib.ExitStack()).close()


@pytest.fixture(scope="module", autouse=True)
def _imported_once_and_for_all() -> None:
    """Leave what was there before a test file out of the search for garbage.

    napari searches several times around each viewer, which takes long with all of torch loaded.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def instruments() -> Path:
    """Return the folder of files that real instruments wrote; skip the test where it is absent."""
    default = REPOSITORY.parent / "shared" / "data" / "instruments"
    folder = Path(os.environ.get("FERRO4D_INSTRUMENTS", default))
    if not folder.is_dir():
        pytest.skip(f"no instrument files in {folder}; set FERRO4D_INSTRUMENTS to their folder")
    return folder


@pytest.fixture
def abtem() -> ModuleType:
    """Return abTEM; skip the test where it is absent."""
    return pytest.importorskip("abtem", reason="multislice needs abTEM, of the extra simulate")
