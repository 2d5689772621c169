"""The command line as a user meets it: output, files, exit codes, one line per error."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest

from napari_ferro4d.cli import main
from napari_ferro4d.io import read_results

COUNTS = np.random.default_rng(0).integers(0, 30, (6, 5, 16, 16)).astype(np.uint16)


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "scan.npy"
    np.save(path, COUNTS)
    return path


def run_json(capsys, *arguments):
    assert main([*map(str, arguments), "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    return json.loads(captured.out)


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


def test_com_writes_the_names_others_rely_on(capsys, scan, tmp_path):
    document = run_json(capsys, "com", scan, "-o", tmp_path / "r.zarr", "--scan-step", "2")
    assert {"maps/sum", "maps/com_y", "maps/com_x"} <= set(document["maps"])
    results = read_results(tmp_path / "r.zarr")
    maps = {one.name: one for one in results.maps}
    np.testing.assert_array_equal(maps["sum"].data, COUNTS.sum((2, 3)))
    assert maps["com_y"].scan_step == (2.0, 2.0)
    assert abs(np.average(maps["com_y"].data, weights=maps["sum"].data)) < 1e-5
    assert results.provenance[0]["command"] == "com"
    assert results.provenance[0]["scan"]["path"] == str(scan)


def test_virtual_images_of_two_detectors_live_side_by_side(capsys, scan, tmp_path):
    for detector in ("disk:4", "annulus:4,7"):
        run_json(capsys, "virtual", scan, "--detector", detector, "-o", tmp_path / "r.zarr")
    names = [one.name for one in read_results(tmp_path / "r.zarr").maps]
    assert names == ["virtual_annulus_4_7", "virtual_disk_4"]


def test_merlin(capsys, instruments, tmp_path):
    with zipfile.ZipFile(instruments / "Merlin_navigation4x2_ROI.zip") as archive:
        archive.extractall(tmp_path)
    (path,) = tmp_path.rglob("001_4x2_6bit.mib")
    assert run_json(capsys, "info", path)["shape"] == [2, 4, 256, 256]
    run_json(capsys, "com", path, "-o", tmp_path / "r.zarr", "--descan", "plane")
    shapes = {one.data.shape[:2] for one in read_results(tmp_path / "r.zarr").maps}
    assert shapes == {(2, 4)}


def bad_inputs(tmp_path):
    np.save(tmp_path / "cube.npy", COUNTS[0])
    (tmp_path / "short.npy").write_bytes((tmp_path / "scan.npy").read_bytes()[:-100])
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "mask.png").write_bytes(b"\x89PNG nothing more")
    out = ["-o", tmp_path / "r.zarr"]
    scan = tmp_path / "scan.npy"
    return {
        "missing file": (["com", tmp_path / "none.npy", *out], "none.npy"),
        "folder without a scan": (["com", tmp_path / "folder", *out], "folder"),
        "truncated": (["com", tmp_path / "short.npy", *out], "short.npy.*truncated"),
        "3-D": (["com", tmp_path / "cube.npy", *out], "cube.npy.*3 axes"),
        "scan shape": (["com", scan, *out, "--scan-shape", "7,7"], "scan.npy.*7 x 7"),
        "scan shape words": (["com", scan, *out, "--scan-shape", "seven"], "scan-shape"),
        "no output": (["com", scan], "-o"),
        "negative step": (["com", scan, *out, "--scan-step", "-1"], "positive"),
        "output is a file": (["com", scan, "-o", tmp_path / "file"], "file"),
        "output in a file": (["com", scan, "-o", tmp_path / "file" / "r.zarr"], "file"),
        "detector": (["virtual", scan, "--detector", "disk:big", *out], "disk:big"),
        "detector outside": (["virtual", scan, "--detector", "annulus:90,99", *out], "no detector"),
        "mask file": (["virtual", scan, "--detector", tmp_path / "mask.png", *out], "mask.png"),
        "verb": (["explode", scan], "explode"),
        "nothing": ([], "COMMAND"),
    }


BAD = (
    "missing file",
    "folder without a scan",
    "truncated",
    "3-D",
    "scan shape",
    "scan shape words",
    "no output",
    "negative step",
    "output is a file",
    "output in a file",
    "detector",
    "detector outside",
    "mask file",
    "verb",
    "nothing",
)


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_code_2(capsys, scan, tmp_path, case):
    arguments, words = bad_inputs(tmp_path)[case]
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as stopped:  # argparse leaves this way
        code = stopped.code
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("ferro4d")
    assert re.search(words, captured.err)
    assert not (tmp_path / "r.zarr").exists()


def test_an_interrupt_is_130_and_leaves_nothing_half_written(tmp_path):
    path = tmp_path / "big.npy"
    np.lib.format.open_memmap(path, "w+", np.uint8, (300, 300, 256, 256)).flush()  # a sparse file
    process = subprocess.Popen(
        [sys.executable, "-m", "napari_ferro4d", "com", path, "-o", tmp_path / "r.zarr"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, error = process.communicate(timeout=20)
    assert process.returncode == 130
    assert time.monotonic() - started < 2
    assert error == "ferro4d: interrupted; nothing was written.\n"
    assert [p.name for p in tmp_path.iterdir()] == ["big.npy"]


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for verb in ("info", "virtual", "com", "train", "embed", "classify", "demo"):
        assert verb in text
