"""``ferro4d info``: what a file holds."""

from __future__ import annotations

import re

from helpers.command_line import run_json
from napari_ferro4d.cli import main


def test_info(capsys, scan):
    document = run_json(capsys, "info", scan, "--scan-step", "1.4")
    wanted = {
        "shape": [6, 5, 16, 16],
        "dtype": "uint16",
        "format": "npy",
        "scan_step_nm": 1.4,
        "k_step_inv_angstrom": None,
        "complete": True,
    }
    assert {key: document[key] for key in wanted} == wanted
    assert main(["info", str(scan)]) == 0
    assert "not known" in capsys.readouterr().out


def test_without_corrections_none_are_said(capsys, scan):
    assert run_json(capsys, "info", scan)["corrections"] == {}
    assert main(["info", str(scan)]) == 0
    assert re.search(r"corrections +none\n", capsys.readouterr().out)
