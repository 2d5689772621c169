"""The picture of a real window that the demo ends with."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
from PIL import Image

from napari_ferro4d.reduce import com
from napari_ferro4d.results import LabelResult, com_results, provenance, write_results


def run(*arguments):
    command = [sys.executable, "-m", "napari_ferro4d.viewer.screenshot", *map(os.fspath, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_window_with_results_is_pictured_in_a_process_of_its_own(scan, scan_file, tmp_path):
    prediction = np.ones(scan.scan_shape, np.uint8)
    prediction[:, 7:] = 2
    colours = {1: (1.0, 0.0, 1.0, 1.0), 2: (0.0, 1.0, 1.0, 1.0)}
    results = write_results(
        tmp_path / "results.zarr",
        maps=com_results(com(scan), scan),
        labels=[LabelResult("prediction", prediction, scan.scan_step, {}, colours)],
        provenance=[provenance("com", {}, scan)],
    )
    done = run(results, scan_file, tmp_path / "out.png")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.size == (1600, 1000)
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    canvas = pixels[40:900, 350:1230]
    red, green, blue = np.moveaxis(canvas, -1, 0)
    # Both classes of the prediction are to be seen, as colours that nothing else has.
    assert np.sum((red > green + 60) & (blue > green + 60)) > 2000
    assert np.sum((green > red + 60) & (blue > red + 60)) > 2000


def test_what_cannot_be_read_is_one_line(scan_file, tmp_path):
    done = run(tmp_path / "nothing.zarr", scan_file, tmp_path / "out.png")
    assert done.returncode == 2
    assert "nothing.zarr" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out.png").exists()
