"""``ferro4d com``: maps, corrections and saturated pixels on the way."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile

import numpy as np

from helpers.command_line import refused, run_json
from napari_ferro4d.cli import main
from napari_ferro4d.results import read_results


def test_com_writes_the_names_others_rely_on(capsys, counts, scan, tmp_path):
    document = run_json(capsys, "com", scan, "-o", tmp_path / "r.zarr", "--scan-step", "2")
    assert {"maps/sum", "maps/com_y", "maps/com_x"} <= set(document["maps"])
    results = read_results(tmp_path / "r.zarr")
    maps = {one.name: one for one in results.maps}
    np.testing.assert_array_equal(maps["sum"].data, counts.sum((2, 3)))
    assert maps["com_y"].scan_step == (2.0, 2.0)
    assert abs(np.average(maps["com_y"].data, weights=maps["sum"].data)) < 1e-5
    assert results.provenance[0]["command"] == "com"
    assert results.provenance[0]["scan"]["path"] == str(scan)


def test_merlin(capsys, instruments, tmp_path):
    with zipfile.ZipFile(instruments / "Merlin_navigation4x2_ROI.zip") as archive:
        archive.extractall(tmp_path)
    (path,) = tmp_path.rglob("001_4x2_6bit.mib")
    assert run_json(capsys, "info", path)["shape"] == [2, 4, 256, 256]
    run_json(capsys, "com", path, "-o", tmp_path / "r.zarr", "--descan", "plane")
    shapes = {one.data.shape[:2] for one in read_results(tmp_path / "r.zarr").maps}
    assert shapes == {(2, 4)}


def test_corrections_are_applied_said_and_recorded(capsys, counts, scan, images, tmp_path):
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
    expected = (counts - dark) * gain
    fixed = expected.copy()
    for ky, kx in ((3, 4), (7, 7)):
        around = expected[..., ky - 1 : ky + 2, kx - 1 : kx + 2].sum((2, 3))
        fixed[..., ky, kx] = (around - expected[..., ky, kx]) / 8
    maps = {one.name: one.data for one in results.maps}
    np.testing.assert_allclose(maps["sum"], fixed[..., 2:14, :12].sum((2, 3)), rtol=1e-5)
    assert results.provenance[0]["scan"]["corrections"] == said
    assert results.provenance[0]["scan_signature"] == document["signature"]
    # Maps of corrected and of recorded counts are of two scans, so they do not mix.
    more = ["--detector", "disk:4", "-o", tmp_path / "r.zarr"]
    assert "2 scans" in refused(capsys, "virtual", scan, *more)


def test_saturated_pixels_are_flagged_in_the_same_pass(capsys, counts, tmp_path):
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
        said = refused(capsys, *given, option, tmp_path / "none.npy")
        assert f"none.npy: there is no such {what}" in said
