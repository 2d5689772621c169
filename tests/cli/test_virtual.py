"""``ferro4d virtual``."""

from __future__ import annotations

from helpers.command_line import run_json
from napari_ferro4d.results import read_results


def test_virtual_images_of_two_detectors_live_side_by_side(capsys, scan, tmp_path):
    for detector in ("disk:4", "annulus:4,7"):
        run_json(capsys, "virtual", scan, "--detector", detector, "-o", tmp_path / "r.zarr")
    names = [one.name for one in read_results(tmp_path / "r.zarr").maps]
    assert names == ["virtual_annulus_4_7", "virtual_disk_4"]
