"""What needs torch is done in other processes: the window never imports it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def test_the_window_does_all_that_needs_torch_without_it(tmp_path: Path) -> None:
    """In a window of its own: this process may have imported torch for other tests."""
    paths = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    run = subprocess.run(
        [sys.executable, "-m", "helpers.window_jobs", str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TMPDIR": str(tmp_path)},
        text=True,
        timeout=600,
    )
    assert run.returncode == 0
    said = json.loads(run.stdout.splitlines()[-1])
    assert said["train"].startswith("Added the ")
    assert said["embed"].startswith("Added the ")
    assert said["decode"].startswith("Decoded ")
    assert said["classify"].startswith("Predicted from")
    assert said["predict"].endswith(": predicted.")
    assert not said["torch"]

    # Closed while the autoencoder and the classifier worked, beside the idle decoder.
    assert said["processes"] == 3
    assert said["ending"] < 5
    assert not list(tmp_path.glob("ferro4d-*"))
