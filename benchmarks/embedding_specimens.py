"""Specimens other than those of the presets, within reach of their table.

Numbers 0 to 3 of each were there while the compact preset was made, and two of them looked at; 4
and 5 were written down when it was finished.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from napari_ferro4d.simulate import Spec

__all__ = ["SPECIMENS", "other_specimen"]

Keys = Mapping[str, Any]


def other_specimen(spec: Spec, geometry: Keys, specimen: Keys, scan: Keys) -> Spec:
    """Return a spec with other values of some keys."""
    return replace(
        spec,
        geometry=replace(spec.geometry, **geometry),
        specimen=replace(spec.specimen, **specimen),
        scan=replace(spec.scan, **scan),
    )


SPECIMENS: dict[str, tuple[tuple[Keys, Keys, Keys], ...]] = {
    "ermno3-domains": (
        (
            {"angle": 20.0, "centre": (4.0, -6.0), "bow": -5.0},
            {
                "thickness": (50.0, 58.0),
                "wedge_angle": 20.0,
                "tilt": (-0.3, 0.2),
                "bend": 0.9,
                "bend_angle": 100.0,
                "bend_period": 90.0,
                "bend_phase": -70.0,
            },
            {"descan_y": (0.4, -0.8), "descan_x": (0.9, 0.1)},
        ),
        (
            {"angle": 105.0, "centre": (-8.0, 3.0), "bow": 10.0},
            {
                "thickness": (82.0, 95.0),
                "wedge_angle": 200.0,
                "tilt": (0.2, 0.3),
                "bend": 1.2,
                "bend_angle": 15.0,
                "bend_period": 70.0,
                "bend_phase": 110.0,
            },
            {"descan_y": (-1.2, 0.3), "descan_x": (0.2, 0.7)},
        ),
        (
            {"angle": -35.0, "centre": (10.0, 10.0), "bow": 3.0},
            {
                "thickness": (44.0, 70.0),
                "wedge_angle": -50.0,
                "tilt": (0.0, -0.4),
                "bend": 0.6,
                "bend_angle": 140.0,
                "bend_period": 160.0,
                "bend_phase": 0.0,
            },
            {"descan_y": (0.2, 0.2), "descan_x": (-0.3, 1.5)},
        ),
        (
            {"angle": 0.0, "centre": (-3.0, 0.0), "bow": 8.0},
            {
                "thickness": (63.0, 66.0),
                "wedge_angle": 90.0,
                "tilt": (0.4, 0.0),
                "bend": 1.2,
                "bend_angle": 75.0,
                "bend_period": 45.0,
                "bend_phase": 200.0,
            },
            {"descan_y": (1.8, 1.1), "descan_x": (-0.8, 0.0)},
        ),
        (
            {"angle": 45.0, "centre": (7.0, -9.0), "bow": -9.0},
            {
                "thickness": (75.0, 88.0),
                "wedge_angle": -120.0,
                "tilt": (-0.4, -0.1),
                "bend": 1.0,
                "bend_angle": 50.0,
                "bend_period": 75.0,
                "bend_phase": 40.0,
            },
            {"descan_y": (-0.7, -0.9), "descan_x": (0.6, 0.5)},
        ),
        (
            {"angle": -70.0, "centre": (-6.0, 8.0), "bow": 12.0},
            {
                "thickness": (48.0, 54.0),
                "wedge_angle": 160.0,
                "tilt": (0.1, 0.4),
                "bend": 0.7,
                "bend_angle": 120.0,
                "bend_period": 120.0,
                "bend_phase": -150.0,
            },
            {"descan_y": (0.9, -0.2), "descan_x": (1.1, -0.7)},
        ),
    ),
    "ermno3-vortex": (
        (
            {"angle": 10.0, "centre": (-4.0, 5.0), "twist": -12.0},
            {
                "thickness": (66.0, 76.0),
                "wedge_angle": 80.0,
                "tilt": (0.2, -0.2),
                "bend": 1.0,
                "bend_angle": 60.0,
                "bend_period": 100.0,
                "bend_phase": 60.0,
            },
            {"descan_y": (-0.6, 0.7), "descan_x": (0.5, -0.4)},
        ),
        (
            {"angle": 45.0, "centre": (6.0, 2.0), "twist": 5.0},
            {
                "thickness": (44.0, 54.0),
                "wedge_angle": -30.0,
                "tilt": (-0.1, 0.3),
                "bend": 1.1,
                "bend_angle": 20.0,
                "bend_period": 85.0,
                "bend_phase": 150.0,
            },
            {"descan_y": (0.9, 0.2), "descan_x": (-0.2, 1.0)},
        ),
        (
            {"angle": 25.0, "centre": (0.0, -7.0), "twist": 15.0},
            {
                "thickness": (84.0, 96.0),
                "wedge_angle": 135.0,
                "tilt": (0.3, 0.1),
                "bend": 0.8,
                "bend_angle": 100.0,
                "bend_period": 140.0,
                "bend_phase": -90.0,
            },
            {"descan_y": (0.1, -1.1), "descan_x": (1.3, 0.3)},
        ),
        (
            {"angle": 70.0, "centre": (-5.0, -5.0), "twist": 0.0},
            {
                "thickness": (56.0, 58.0),
                "wedge_angle": 0.0,
                "tilt": (0.0, 0.0),
                "bend": 1.3,
                "bend_angle": 145.0,
                "bend_period": 60.0,
                "bend_phase": 30.0,
            },
            {"descan_y": (1.4, -0.9), "descan_x": (-1.0, -0.6)},
        ),
        (
            {"angle": 80.0, "centre": (5.0, -5.0), "twist": 10.0},
            {
                "thickness": (76.0, 90.0),
                "wedge_angle": -100.0,
                "tilt": (-0.3, -0.3),
                "bend": 1.1,
                "bend_angle": 80.0,
                "bend_period": 110.0,
                "bend_phase": 100.0,
            },
            {"descan_y": (0.7, 0.9), "descan_x": (-0.8, 0.3)},
        ),
        (
            {"angle": -20.0, "centre": (-2.0, 6.0), "twist": -7.0},
            {
                "thickness": (46.0, 60.0),
                "wedge_angle": 50.0,
                "tilt": (0.3, -0.1),
                "bend": 0.9,
                "bend_angle": 10.0,
                "bend_period": 75.0,
                "bend_phase": -40.0,
            },
            {"descan_y": (-1.0, 0.4), "descan_x": (0.3, -1.2)},
        ),
    ),
}
"""By preset, each the values of keys of its geometry, specimen and scan."""
