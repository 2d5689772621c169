"""What every verb does alike: help, exit codes, one line for a slip, interrupts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from helpers.command_line import refused
from napari_ferro4d.cli import main

VERBS = (
    *("info", "virtual", "com", "train", "embed", "convert", "channels", "difference", "cluster"),
    *("classify", "simulate", "demo"),
)


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for verb in VERBS:
        assert verb in text


def test_help_of_a_verb_loads_nothing_that_is_slow():
    code = """
import contextlib, io, sys
from napari_ferro4d.cli import main
for verb in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
        main([verb, "--help"])
    assert f"ferro4d {verb}" in said.getvalue()
print(*sorted({"dask", "matplotlib", "numba", "numpy", "torch"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *VERBS], capture_output=True, text=True, check=True
    )
    assert done.stdout == "\n"


OUT = ["-o", "r.zarr"]

BAD = {
    "missing file": (["com", "none.npy", *OUT], "none.npy"),
    "folder without a scan": (["com", "folder", *OUT], "folder"),
    "truncated": (["com", "short.npy", *OUT], "short.npy.*truncated"),
    "3-D": (["com", "cube.npy", *OUT], "cube.npy.*3 axes"),
    "scan shape": (["com", "scan.npy", *OUT, "--scan-shape", "7,7"], "scan.npy.*7 x 7"),
    "scan shape words": (["com", "scan.npy", *OUT, "--scan-shape", "seven"], "scan-shape"),
    "no output": (["com", "scan.npy"], "-o"),
    "negative step": (["com", "scan.npy", *OUT, "--scan-step", "-1"], "positive"),
    "output is a file": (["com", "scan.npy", "-o", "file"], "file"),
    "output in a file": (["com", "scan.npy", "-o", "file/r.zarr"], "file"),
    "detector": (["virtual", "scan.npy", "--detector", "disk:big", *OUT], "disk:big"),
    "detector outside": (
        ["virtual", "scan.npy", "--detector", "annulus:90,99", *OUT],
        "no detector",
    ),
    "mask file": (["virtual", "scan.npy", "--detector", "mask.png", *OUT], "mask.png"),
    "mask of words": (["virtual", "scan.npy", "--detector", "words.npy", *OUT], "words"),
    "detector name": (
        ["virtual", "scan.npy", "--detector", "poligon:" + 300 * "1,2;", *OUT],
        "disk:R",
    ),
    "scan name": (["com", 300 * "a" + ".npy", *OUT], "aaa.npy: there is no such file"),
    "output name": (["com", "scan.npy", "-o", 300 * "r"], "name too long"),
    "bad pixel list": (["com", "scan.npy", "--bad-pixels", 5000 * "9" + ",1", *OUT], "KY,KX"),
    "dark beyond floats": (["com", "scan.npy", "--dark", "huge.npy", *OUT], "1e.300"),
    "flyback": (["com", "scan.npy", "--flyback", 30 * "9", *OUT], "flyback must be"),
    "seed": (["train", "scan.npy", "-o", "m.safetensors", "--seed", "-1"], "seed"),
    "scheduler": (
        ["com", "scan.npy", "--scheduler", "tls://127.0.0.1:1", *OUT],
        "no dask scheduler",
    ),
    "all bad": (
        ["com", "scan.npy", *OUT, "--bad-pixels", "2,2", "--crop", "2:3,2:3", "--flag-saturation"],
        "marked bad",
    ),
    "verb": (["explode", "scan.npy"], "explode"),
    "nothing": ([], "COMMAND"),
}


@pytest.fixture
def broken(counts, scan, tmp_path, monkeypatch):
    """The folder in which the scan is, and files that are none or hold what they should not."""
    np.save(tmp_path / "cube.npy", counts[0])
    (tmp_path / "short.npy").write_bytes(scan.read_bytes()[:-100])
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "mask.png").write_bytes(b"\x89PNG nothing more")
    np.save(tmp_path / "words.npy", np.full(counts.shape[2:], "a"))
    np.save(tmp_path / "huge.npy", np.full(counts.shape[2:], 1e300))
    np.save(tmp_path / "zeros.npy", np.zeros((16, 16)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("case", sorted(BAD))
def test_bad_input_is_one_line_and_exit_code_2(capsys, broken, case):
    arguments, words = BAD[case]
    assert re.search(words, refused(capsys, *arguments))
    assert not (broken / "r.zarr").exists()


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
def test_corrections_that_cannot_be_are_one_line(capsys, broken, command, more, words):
    out = [] if command == "info" else OUT
    assert re.search(words, refused(capsys, command, "scan.npy", *out, *more))
    assert not (broken / "r.zarr").exists()


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
