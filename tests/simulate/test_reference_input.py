"""Reference patterns: bad input is named, progress is counted, and a cancel stops."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from napari_ferro4d.errors import ScanError
from napari_ferro4d.simulate import batio3, plane_wave_intensities, reference

MATRIX = "scattering-matrix"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"thickness": -5}, "thickness"),
        ({"thickness": []}, "thickness"),
        ({"thickness": [10, np.nan]}, "thickness"),
        ({"tilt": (1, 2, 3)}, "tilt"),
        ({"tilt": (np.inf, 0)}, "tilt"),
        ({"tilt": "up"}, "tilt"),
        ({"thickness": "thin"}, "thickness"),
        ({"thickness": None}, "thickness"),
        ({"convergence": 1e5}, "convergence"),
        ({"kilovolts": "200"}, "kilovolts"),
        ({"detector_shape": (64.5, 64)}, "detector_shape"),
        ({"detector_shape": "wide"}, "detector_shape"),
        ({"rotation": "left"}, "rotation"),
        ({"convergence": 0}, "convergence"),
        ({"kilovolts": -200}, "kilovolts"),
        ({"k_step": 0}, "k_step"),
        ({"detector_shape": (0, 64)}, "detector_shape"),
        ({"detector_shape": (64,)}, "detector_shape"),
        ({"absorption": -0.1}, "absorption"),
        ({"slice_thickness": 0}, "slice_thickness"),
        ({"sampling": np.nan}, "sampling"),
        ({"g_max": 0}, "g_max"),
        ({"angle_step": -1}, "angle_step"),
        ({"rotation": np.nan}, "rotation"),
        ({"method": "guess"}, "method"),
        ({"up": (1, 0, 0)}, "up"),
        ({"zone_axis": (0, 0, 0)}, "zone_axis"),
    ],
)
def test_bad_input_is_named(change, named):
    arguments = {"thickness": 10, "method": MATRIX, "g_max": 0.5, **change}
    with pytest.raises(ScanError, match=rf"^{named}\b"):
        reference("batio3+", **arguments)


def test_an_unknown_crystal_is_named():
    with pytest.raises(ScanError, match="pzt"):
        reference("pzt", thickness=10)
    with pytest.raises(ScanError, match=r"^crystal: .* not 5"):
        reference(5, thickness=10)


@pytest.mark.parametrize("k_t", [[[0.0, np.nan]], [[0.0, 0.0, 0.0]], [0.0, 0.0], "up"])
def test_directions_that_are_none_are_named(k_t):
    with pytest.raises(ScanError, match=r"^k_t: "):
        plane_wave_intensities(batio3(), k_t, [10.0], method=MATRIX, g_max=0.5)


def test_a_cell_without_right_angles_needs_the_scattering_matrix(abtem):
    oblique = replace(
        batio3(),
        lattice=np.array([[4.0, 0, 0], [0.31, 4.1, 0], [0.23, -0.17, 4.3]]),
        name="oblique",
    )
    with pytest.raises(ScanError, match=r'oblique.*"scattering-matrix"'):
        reference(oblique, thickness=10)
    assert reference(oblique, thickness=10, method=MATRIX, g_max=0.6).patterns.sum() > 0.5


@pytest.mark.parametrize(("device", "named"), [("gpu", "cupy"), ("tpu", "device")])
def test_a_device_that_is_not_there_is_named(abtem, monkeypatch, device, named):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(ScanError, match=named):
        reference("batio3+", thickness=5, device=device)


def test_without_abtem_the_extra_is_named(monkeypatch):
    for name in [m for m in sys.modules if m.split(".")[0] == "abtem"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "abtem", None)
    with pytest.raises(ScanError, match=r'pip install "napari-ferro4d\[simulate\]"'):
        reference("batio3+", thickness=5)


@pytest.mark.parametrize(
    ("method", "message"), [("multislice", None), (MATRIX, "scattering matrix")]
)
def test_progress_is_counted_and_cancel_stops(method, message, request):
    from napari_ferro4d.jobs import Cancelled

    if method == "multislice":
        request.getfixturevalue("abtem")
    seen = []
    options = {"sampling": 0.2, "g_max": 1.0, "convergence": 0.3, "angle_step": 0.1}
    reference("batio3+", thickness=2, method=method, report=seen.append, **options)
    assert seen[-1].done == seen[-1].total
    assert len(seen) > 3
    assert seen[-1].message == (message or method)

    def stop(progress):
        raise Cancelled

    with pytest.raises(Cancelled):
        reference("batio3+", thickness=2, method=method, report=stop, **options)
