"""``ferro4d simulate``: a scan with its truth, or one line that says what is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_ferro4d import open_scan
from napari_ferro4d.cli import main

SPEC = """
seed = 3
[scan]
shape = [6, 8]
[geometry]
kind = "domains"
[detector]
shape = [64, 64]
"""


def test_a_spec_becomes_a_scan_that_opens(tmp_path, capsys):
    spec = tmp_path / "spec.toml"
    spec.write_text(SPEC)
    target = tmp_path / "scan.zarr"
    assert main(["simulate", str(spec), "-o", str(target), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    scan = open_scan(target)
    assert said["shape"] == list(scan.shape) == [6, 8, 64, 64]
    assert scan.scan_step == (1.4, 1.4)
    assert scan.data[0, 0].compute().sum() > 0
    assert np.asarray(open_scan(target).data).shape == scan.shape


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("seed = 'x'", "seed"),
        ("[scan]\nshap = [3, 4]", "shap"),
        ("[specimen]\nthickness = [900.0, 910.0]", "thickness"),
        ("not toml", "spec.toml"),
    ],
)
def test_a_bad_spec_ends_in_one_line_that_names_the_key(tmp_path, capsys, text, named):
    spec = tmp_path / "spec.toml"
    spec.write_text(text)
    assert main(["simulate", str(spec), "-o", str(tmp_path / "scan.zarr")]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1
    assert not (tmp_path / "scan.zarr").exists()


def test_a_folder_that_is_no_simulated_scan_is_not_replaced(tmp_path, capsys):
    target = tmp_path / "mine.zarr"
    target.mkdir()
    (target / "notes.txt").write_text("keep")
    assert main(["simulate", "ermno3-domains-small", "-o", str(target)]) == 2
    assert (target / "notes.txt").read_text() == "keep"
    assert "mine.zarr" in capsys.readouterr().err
