"""Damaged files of every format end in a scan or in one clear error, never in anything else.

The cases are those of ``benchmarks/mutate_files.py``, which also runs many more of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.scan_files import WRITERS

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "mutate_files.py"
CASES = 500
SLOW = {"zspy", "zarr", "zarr, version 2", "abTEM", "abTEM, later", "dectris", "topspin", "tvips"}
"""Formats of many files, which take half of the time."""

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does"),
    pytest.mark.timeout(1200),  # all cases are run before the first test
]


@pytest.fixture(scope="module")
def outcomes():
    """Return what became of the cases, by format; two processes share the formats."""
    groups = [[name for name in WRITERS if name not in SLOW], sorted(SLOW)]
    processes = [
        subprocess.Popen(
            [sys.executable, SCRIPT, "--json", f"--cases={CASES}", f"--formats={',,'.join(names)}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for names in groups
    ]
    found = {}
    for process in processes:
        out, err = process.communicate()
        assert out, err
        found.update(json.loads(out))
    return found


@pytest.mark.parametrize("name", WRITERS)
def test_a_damaged_file_is_a_scan_or_one_clear_error(outcomes, name):
    result = outcomes[name]
    assert result["bad"] == []
    assert result["cases"] == CASES
    # Neither is everything refused, nor does everything pass.
    assert 0 < result["scans"] < result["cases"]
