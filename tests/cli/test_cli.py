"""The command line as a user meets it: output, files, exit codes, one line per error."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from napari_ferro4d.cli import main
from napari_ferro4d.results import read_results

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
    np.save(tmp_path / "words.npy", np.full(COUNTS.shape[2:], "a"))
    np.save(tmp_path / "huge.npy", np.full(COUNTS.shape[2:], 1e300))
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
        "mask of words": (["virtual", scan, "--detector", tmp_path / "words.npy", *out], "words"),
        "detector name": (
            ["virtual", scan, "--detector", "poligon:" + 300 * "1,2;", *out],
            "disk:R",
        ),
        "scan name": (["com", 300 * "a" + ".npy", *out], "aaa.npy: there is no such file"),
        "output name": (["com", scan, "-o", tmp_path / (300 * "r")], "name too long"),
        "bad pixel list": (["com", scan, "--bad-pixels", 5000 * "9" + ",1", *out], "KY,KX"),
        "dark beyond floats": (["com", scan, "--dark", tmp_path / "huge.npy", *out], "1e.300"),
        "flyback": (["com", scan, "--flyback", 30 * "9", *out], "flyback must be"),
        "seed": (["train", scan, "-o", tmp_path / "m.safetensors", "--seed", "-1"], "seed"),
        "scheduler": (["com", scan, "--scheduler", "tls://127.0.0.1:1", *out], "no dask scheduler"),
        "all bad": (
            ["com", scan, *out, "--bad-pixels", "2,2", "--crop", "2:3,2:3", "--flag-saturation"],
            "marked bad",
        ),
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
    "mask of words",
    "detector name",
    "scan name",
    "output name",
    "bad pixel list",
    "dark beyond floats",
    "flyback",
    "seed",
    "scheduler",
    "all bad",
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


def test_output_that_cannot_be_written_is_one_line(scan):
    """A reader that went away is no error; a full disk is."""
    command = [sys.executable, "-m", "napari_ferro4d", "info", scan]
    reader, writer = os.pipe()
    os.close(reader)
    gone = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (gone.returncode, gone.stderr) == (0, "")
    if os.path.exists("/dev/full"):
        with open("/dev/full", "w") as full:
            said = subprocess.run(
                command, stdout=full, stderr=subprocess.PIPE, text=True, check=False
            )
        assert said.returncode == 2
        assert said.stderr.count("\n") == 1
        assert "No space left" in said.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the process as Linux shows it")
def test_an_interrupt_is_130_and_leaves_nothing_half_written(tmp_path):
    path = tmp_path / "big.npy"
    np.lib.format.open_memmap(path, "w+", np.uint8, (300, 300, 256, 256)).flush()  # a sparse file
    process = subprocess.Popen(
        [sys.executable, "-m", "napari_ferro4d", "com", path, "-o", tmp_path / "r.zarr"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    # Once the file is mapped, the command is at its work; of this much it is not done soon.
    maps = Path(f"/proc/{process.pid}/maps")
    while str(path) not in maps.read_text():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130
    assert error == "ferro4d: interrupted; nothing was written.\n"
    assert [p.name for p in tmp_path.iterdir()] == ["big.npy"]


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for verb in ("info", "virtual", "com", "train", "embed", "classify", "demo"):
        assert verb in text


@pytest.fixture
def images(scan, tmp_path):
    rng = np.random.default_rng(1)
    np.save(tmp_path / "dark.npy", rng.random((16, 16)))
    np.save(tmp_path / "gain.npy", 0.5 + rng.random((16, 16)))
    return ["--dark", tmp_path / "dark.npy", "--gain", tmp_path / "gain.npy"]


def test_corrections_are_applied_said_and_recorded(capsys, scan, images, tmp_path):
    more = [*images, "--bad-pixels", "3,4;7,7", "--crop", "2:14,:12", "--bin", "2"]
    document = run_json(capsys, "info", scan, *more)
    assert document["shape"] == [6, 5, 6, 6]
    assert document["dtype"] == "float32"
    said = document["corrections"]
    assert said["dark"]["path"] == str(tmp_path / "dark.npy")
    digest = hashlib.sha256((tmp_path / "dark.npy").read_bytes()).hexdigest()
    assert said["dark"]["sha256"] == digest
    assert said["bad_pixels"] == {"count": 2, "pixels": "3,4;7,7"}
    assert (said["crop"], said["bin"]) == ([[2, 14], [0, 12]], 2)
    assert main(["info", str(scan), *map(str, more)]) == 0
    assert "2 pixels 3,4;7,7" in capsys.readouterr().out

    run_json(capsys, "com", scan, *more, "-o", tmp_path / "r.zarr")
    results = read_results(tmp_path / "r.zarr")
    dark, gain = np.load(tmp_path / "dark.npy"), np.load(tmp_path / "gain.npy")
    expected = (COUNTS - dark) * gain
    fixed = expected.copy()
    for ky, kx in ((3, 4), (7, 7)):
        around = expected[..., ky - 1 : ky + 2, kx - 1 : kx + 2].sum((2, 3))
        fixed[..., ky, kx] = (around - expected[..., ky, kx]) / 8
    maps = {one.name: one.data for one in results.maps}
    np.testing.assert_allclose(maps["sum"], fixed[..., 2:14, :12].sum((2, 3)), rtol=1e-5)
    assert results.provenance[0]["scan"]["corrections"] == said
    assert results.provenance[0]["scan_signature"] == document["signature"]
    # Maps of corrected and of recorded counts are of two scans, so they do not mix.
    more = ["--detector", "disk:4", "-o", str(tmp_path / "r.zarr")]
    assert main(["virtual", str(scan), *more]) == 2
    assert "2 scans" in capsys.readouterr().err


def test_without_corrections_none_are_said(capsys, scan):
    assert run_json(capsys, "info", scan)["corrections"] == {}
    assert main(["info", str(scan)]) == 0
    assert re.search(r"corrections +none\n", capsys.readouterr().out)


def test_saturated_pixels_are_flagged_in_the_same_pass(capsys, tmp_path):
    counts = COUNTS.copy()
    counts[2, 3, 4, :3] = counts[5, 1, 0, 0] = 65535
    np.save(tmp_path / "hot.npy", counts)
    out = tmp_path / "r.zarr"
    detector = ["--detector", "disk:4"]
    for command in (["com"], ["virtual", *detector]):
        arguments = [*command, tmp_path / "hot.npy", "-o", out, "--flag-saturation", "--json"]
        assert main([str(argument) for argument in arguments]) == 0
        captured = capsys.readouterr()
        document = json.loads(captured.out)
        assert captured.err == "ferro4d: 2 of 30 patterns have saturated pixels.\n"
        assert "maps/saturated" in document["maps"]
        assert (document["saturated_patterns"], document["saturated_pixels"]) == (2, 4)
    results = read_results(out)
    maps = {one.name: one.data for one in results.maps}
    np.testing.assert_array_equal(maps["saturated"], (counts == 65535).sum((2, 3)))
    assert results.provenance[1]["parameters"]["saturation"] == 65535
    np.testing.assert_array_equal(maps["sum"], counts.sum((2, 3), dtype=np.float32))

    more = ["--crop", "1:16,0:16", "--saturation", "29"]
    arguments = ["com", tmp_path / "hot.npy", "-o", tmp_path / "s.zarr", "--flag-saturation"]
    document = run_json(capsys, *arguments, *more)
    assert document["saturated_pixels"] == np.count_nonzero(counts[..., 1:, :] >= 29)


def test_a_scan_that_is_not_saturated_says_nothing(capsys, scan, tmp_path):
    assert main(["com", str(scan), "-o", str(tmp_path / "r.zarr"), "--flag-saturation"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert re.search(r"saturated patterns +0\n", captured.out)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--dark", "none.npy"], r"none\.npy: there is no such dark image"),
        (["--gain", "zeros.npy"], r"zeros\.npy.*positive"),
        (["--bad-pixels", "hot"], "hot.*auto"),
        (["--bad-pixels", "99,0"], r"scan\.npy.*99,0"),
        (["--crop", "0:99,0:4"], r"scan\.npy.*0:99 of 16"),
        (["--crop", "4"], "--crop.*KY0:KY1,KX0:KX1"),
        (["--bin", "0"], "--bin.*positive"),
        (["--bin", "17"], r"scan\.npy.*bin by 17"),
        (["--saturation", "nan"], r"scan\.npy.*saturation"),
    ],
)
@pytest.mark.parametrize("command", ["info", "com"])
def test_corrections_that_cannot_be_are_one_line(
    capsys, scan, tmp_path, monkeypatch, command, more, words
):
    monkeypatch.chdir(tmp_path)
    np.save("zeros.npy", np.zeros((16, 16)))
    out = [] if command == "info" else ["-o", "r.zarr"]
    try:
        code = main([command, str(scan), *out, *more])
    except SystemExit as stopped:
        code = stopped.code
    captured = capsys.readouterr()
    assert (code, captured.out, captured.err.count("\n")) == (2, "", 1)
    assert re.search(words, captured.err)
    assert not (tmp_path / "r.zarr").exists()


def test_learning_takes_corrected_scans(capsys, scan, images, tmp_path):
    """Counts below zero, which subtracting the dark image leaves, are none for the logarithm."""
    pytest.importorskip("torch")
    np.save(tmp_path / "dark.npy", np.full((16, 16), 5.0))
    model, out = tmp_path / "m.safetensors", tmp_path / "r.zarr"
    more = [*images, "--bad-pixels", "auto", "--bin", "2"]
    run_json(capsys, "train", scan, "-o", model, "--epochs", 1, "--embedding", 4, *more)
    document = run_json(capsys, "embed", scan, "--model", model, "-o", out, *more)
    assert document["maps"] == ["maps/embedding"]
    assert read_results(out).provenance[0]["scan"]["corrections"]["bin"] == 2


def test_com_takes_a_mask_a_background_and_a_threshold(tmp_path, capsys):
    rng = np.random.default_rng(8)
    counts = rng.integers(0, 90, (3, 4, 10, 12)).astype(np.uint16)
    mask = rng.random((10, 12)) < 0.6
    under = rng.random((10, 12)).astype(np.float32) * 5
    np.save(tmp_path / "scan.npy", counts)
    np.save(tmp_path / "mask.npy", mask)
    np.save(tmp_path / "under.npy", under)
    given = ["com", str(tmp_path / "scan.npy"), "-o", str(tmp_path / "results.zarr")]
    given += ["--mask", str(tmp_path / "mask.npy"), "--threshold", "20", "--json"]
    assert main([*given, "--background", str(tmp_path / "under.npy")]) == 0
    clean = counts - under.astype(float)
    expected = (np.where(clean < 20, 0, clean) * mask).sum((2, 3))
    results = read_results(tmp_path / "results.zarr")
    (total,) = (found for found in results.maps if found.name == "sum")
    np.testing.assert_allclose(total.data, expected, rtol=1e-6)
    said = results.provenance[-1]["parameters"]
    assert said["threshold"] == 20
    for name, file in (("mask", "mask.npy"), ("background", "under.npy")):
        digest = hashlib.sha256((tmp_path / file).read_bytes()).hexdigest()
        assert said[name] == {"path": str(tmp_path / file), "sha256": digest[:16]}
    capsys.readouterr()
    assert main([*given, "--background", "2.5"]) == 0
    said = read_results(tmp_path / "results.zarr").provenance[-1]["parameters"]
    assert said["background"] == 2.5
    for option, what in (("--background", "background image"), ("--mask", "mask image")):
        capsys.readouterr()
        assert main([*given, option, str(tmp_path / "none.npy")]) == 2
        assert f"none.npy: there is no such {what}" in capsys.readouterr().err
