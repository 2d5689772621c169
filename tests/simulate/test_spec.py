"""Specs: what a file may say, and what is said when it may not."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from napari_ferro4d.errors import ScanError
from napari_ferro4d.open import open_scan
from napari_ferro4d.simulate.scans import (
    RANGES,
    DetectorKeys,
    ScanKeys,
    Spec,
    prepare,
    preset,
    presets,
    read_spec,
    sample_scan_path,
)

PAGE = Path(__file__).parents[2] / "docs" / "simulated-scans.md"
SECTIONS = ("scan", "optics", "geometry", "wall", "specimen", "detector")
KEYS = ["seed"] + [
    f"{section}.{one.name}" for section in SECTIONS for one in fields(getattr(Spec(), section))
]


def read(tmp_path, text):
    path = tmp_path / "spec.toml"
    path.write_text(text, encoding="utf-8")
    return read_spec(path)


def written(key, value):
    section, _, name = key.rpartition(".")
    return f"[{section}]\n{name} = {value}\n" if section else f"{name} = {value}\n"


def test_an_empty_file_is_the_default_scan(tmp_path):
    assert read(tmp_path, "") == Spec()
    prepare(Spec())


def test_a_file_fills_in_what_it_names(tmp_path):
    spec = read(
        tmp_path,
        """
        seed = 7
        [scan]
        shape = [12, 20]
        step = 2
        [specimen]
        thickness = [50, 60.5]
        [detector]
        bits = 6
        dead = [[3, 4], [5, 6]]
        """,
    )
    assert spec.seed == 7
    assert spec.scan.shape == (12, 20)
    assert spec.scan.step == 2.0
    assert isinstance(spec.scan.step, float)
    assert spec.specimen.thickness == (50.0, 60.5)
    assert spec.detector.dead == ((3, 4), (5, 6))
    assert spec.full_scale == 63
    assert spec.source == str(tmp_path / "spec.toml")


def test_paths_are_relative_to_the_file(tmp_path):
    spec = read(tmp_path, '[geometry]\nkind = "image"\nimage = "labels.tif"\n')
    assert spec.geometry.image == str(tmp_path / "labels.tif")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour = 1", r"colour: is not known; use scan, optics"),
        ("[scan]\nsteps = 1.4", r"scan\.steps: is not known; \[scan\] has shape, step"),
        ("scan = 3", r"scan: is a section"),
        ("seed = 1.5", r"seed: must be a whole number, not 1\.5"),
        ('[scan]\nstep = "1.4"', r"scan\.step: must be a number, not '1\.4'"),
        ("[scan]\nstep = true", r"scan\.step: must be a number"),
        ("[scan]\nstep = nan", r"scan\.step: must be a number, not nan"),
        ("[scan]\nshape = [4]", r"scan\.shape: must be a list \[a whole number, a whole number\]"),
        ("[scan]\nshape = 4", r"scan\.shape: must be a list"),
        ("[detector]\nbits = 7", r"detector\.bits: must be one of 6, 8, 12, 16"),
        ("[detector]\nbits = 12.0", r"detector\.bits: must be one of 6, 8, 12, 16"),
        ('[geometry]\nkind = "spiral"', r"geometry\.kind: must be one of 'domains', 'stripes'"),
        ("[detector]\ndead = [[1]]", r"detector\.dead: must be a whole number or a list of which"),
        ("[scan", r"is not a TOML file"),
    ],
)
def test_a_file_that_cannot_be_names_file_and_key(tmp_path, text, message):
    with pytest.raises(ScanError, match=rf"spec\.toml: {message}"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[geometry]\nkind = "vortex"\nperiod = 9', r"geometry\.period: only 'stripes' and"),
        ('[geometry]\nkind = "stripes"', r"geometry\.period: kind 'stripes' needs it"),
        ('[geometry]\nkind = "image"', r"geometry\.image: kind 'image' needs it"),
        ('[geometry]\nstates = ["+P"]', r"geometry\.states: kind 'domains' has 2 states, not 1"),
        ('[geometry]\nstates = ["+P", "+P"]', r"geometry\.states: every state"),
        (
            '[wall]\nwidth = 5\n[geometry]\nkind = "stripes"\nperiod = 6',
            r"wall\.width: walls of 5 nm do not fit into domains of 3 nm",
        ),
        (
            "[detector]\nbits = 6\nsaturation = 64",
            r"detector\.saturation: 64 counts cannot be read with 6 bits",
        ),
        ("[detector]\nhot = 3", r"detector\.hot_counts: hot pixels"),
        ("[detector]\nhot_counts = 3", r"detector\.hot_counts: there are no hot pixels"),
        ("[detector]\ndead = 5000", r"detector\.dead: must lie between 0 and 4096"),
        ("[detector]\ndead = [[3, 128]]", r"detector\.dead: \[3, 128\] is not a pixel"),
        (
            "[detector]\ndead = [[3, 12]]\nhot = [[3, 12]]\nhot_counts = 1",
            r"detector\.hot: \[3, 12\] is also in detector\.dead",
        ),
    ],
)
def test_contradictions_are_refused(tmp_path, text, message):
    with pytest.raises(ScanError, match=rf"spec\.toml: {message}"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[specimen]\nthickness = [50, 120]", r"specimen\.thickness: 50 to 120 nm.*40 to 100 nm"),
        ("[specimen]\nbend = 5", r"specimen\.tilt and specimen\.bend: up to 5 mrad.*reaches"),
        ("[specimen]\ntilt = [0, -3]", r"specimen\.tilt and specimen\.bend: up to 3 mrad"),
        ("[optics]\nconvergence = 9", r"optics\.convergence: disks of 9 mrad overlap"),
        ("[optics]\nk_step = 0.05", r"optics\.k_step: the detector reaches 3\.2"),
        ('[optics]\ntable = "copper"', r"optics\.table: copper: there is no such table"),
        ('[geometry]\nstates = ["+P", "up"]', r"geometry\.states: table ermno3 has no 'up'"),
        ("[scan]\nprobe_fwhm = 0.2", r"scan\.probe_fwhm: 0\.2 nm is smaller than diffraction"),
        ('[geometry]\nkind = "image"\nimage = "x.npy"', r"geometry\.image: .*x\.npy: there is no"),
    ],
)
def test_what_the_table_cannot_do_names_key_and_range(tmp_path, text, message):
    spec = read(tmp_path, text)
    with pytest.raises(ScanError, match=rf"spec\.toml: {message}"):
        prepare(spec)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ScanError, match=r"nowhere\.toml: cannot be read"):
        read_spec(tmp_path / "nowhere.toml")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_out_of_range_is_refused_by_name_whatever_the_key(data, tmp_path_factory):
    key = data.draw(st.sampled_from(sorted(RANGES)))
    low, high = RANGES[key]
    over = data.draw(st.booleans())
    value = int(high) + 1 if over else int(low) - 1
    section, _, name = key.rpartition(".")
    default = getattr(getattr(Spec(), section) if section else Spec(), name)
    text = f"[{value}, {value}]" if isinstance(default, tuple) else str(value)
    with pytest.raises(ScanError, match=rf"spec\.toml: {re.escape(key)}: "):
        read(tmp_path_factory.mktemp("spec"), written(key, text))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Spec(scan=ScanKeys(shape=[4, 4])), r"the spec: scan\.shape: must be a tuple \["),
        (
            lambda: Spec(detector=DetectorKeys(bits=7)),
            r"detector\.bits: must be one of 6, 8, 12, 16",
        ),
        (lambda: Spec(scan=ScanKeys(step="wide")), r"scan\.step: must be a number, not 'wide'"),
        (lambda: Spec(scan=3), r"scan: must be ScanKeys, not 3"),
        (lambda: Spec(seed=1.5), r"seed: must be int, not 1\.5"),
    ],
)
def test_specs_made_in_python_are_checked_too(make, message):
    with pytest.raises(ScanError, match=message):
        make()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[scan]\nsteps = 1.4", "scan.steps"),
        ("[specimen]\nthickness = [50, 120]", "specimen.thickness"),
        ('[geometry]\nkind = "vortex"\nperiod = 9', "geometry.period"),
    ],
)
def test_the_command_says_it_in_one_line(tmp_path, capsys, text, key):
    from napari_ferro4d.cli import main

    (tmp_path / "bad.toml").write_text(text)
    output = tmp_path / "scan.zarr"
    assert main(["simulate", str(tmp_path / "bad.toml"), "-o", str(output)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ferro4d: ")
    assert f"bad.toml: {key}: " in line
    assert not output.exists()


def test_the_command_names_the_presets(tmp_path, capsys):
    from napari_ferro4d.cli import main

    assert main(["simulate", "pzt", "-o", str(tmp_path / "scan.zarr")]) == 2
    assert "use one of boracite" in capsys.readouterr().err


# Presets


def test_presets_are_the_experiments_of_the_papers():
    assert set(presets()) == {"demo"} | {
        f"{name}{small}"
        for name in ("ermno3-domains", "ermno3-vortex", "boracite")
        for small in ("", "-small")
    }
    for name in ("ermno3-domains", "ermno3-vortex"):
        spec = preset(name)
        assert (spec.scan.shape, spec.scan.step, spec.scan.probe_fwhm) == ((256, 256), 1.4, 2.0)
        assert spec.scan.electrons == pytest.approx(4.6e-12 * 0.05 / 1.602e-19, rel=0.01)
        assert prepare(spec).optics.kilovolts == 200
    spec = preset("boracite")
    assert (spec.scan.shape, spec.detector.shape) == ((206, 34), (512, 512))
    assert (spec.optics.convergence, prepare(spec).optics.kilovolts) == (0.8, 300)


@pytest.mark.parametrize("name", presets())
def test_presets_can_be_simulated(name):
    simulation = prepare(preset(name))
    row = simulation.specimen.row(simulation.spec.scan.shape[0] // 2)
    assert row.fractions.sum(axis=0) == pytest.approx(1)
    assert simulation.spec.source == f"preset {name}"


@pytest.mark.parametrize("name", presets())
def test_nothing_but_the_diffraction_tells_the_domains_apart(name):
    simulation = prepare(preset(name))
    rows = [simulation.specimen.row(n) for n in range(simulation.spec.scan.shape[0])]
    labels = np.stack([row.labels for row in rows]).ravel()
    two = labels < 3
    assert 0.35 < np.mean(labels[two] == 1) < 0.65
    known = np.stack([np.stack([row.thickness, *row.tilt, *row.shift]) for row in rows], axis=1)
    for number, values in enumerate(known.reshape(5, -1)):
        if np.ptp(values) > 0:
            auc = roc_auc_score(labels[two] == 1, values[two])
            assert 0.35 < auc < 0.65, ("thickness", "tilt", "tilt", "shift", "shift")[number]


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(ScanError, match=r"'pzt' is not a preset; use one of boracite"):
        preset("pzt")


# The page


def test_every_key_is_on_the_page():
    page = PAGE.read_text(encoding="utf-8")
    for key in KEYS:
        assert f"`{key}`" in page, key
    for key in re.findall(r"^\| `([a-z_]+\.[a-z_]+)`", page, re.MULTILINE):
        assert key in KEYS, f"{key} is on the page, but no key"


def test_ranges_and_presets_are_on_the_page():
    page = PAGE.read_text(encoding="utf-8")
    for name in presets():
        assert f"`{name}`" in page


def test_examples_on_the_page_are_specs(tmp_path):
    np.save(tmp_path / "labels.npy", np.ones((4, 4), np.uint8))
    examples = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) >= 3
    for example in examples:
        prepare(read(tmp_path, example))


def test_a_sample_is_made_once_and_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = sample_scan_path("ermno3-domains-small")
    assert path.is_relative_to(tmp_path)
    scan = open_scan(path)
    assert scan.name == "ermno3-domains-small"
    assert scan.shape == (64, 64, 128, 128)
    made = (path / "zarr.json").stat().st_mtime_ns
    assert sample_scan_path("ermno3-domains-small") == path
    assert (path / "zarr.json").stat().st_mtime_ns == made
