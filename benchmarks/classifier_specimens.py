"""Scans for measuring the classifier: presets, some to look at, and some kept apart.

`KEPT` was written down before the method was finished and is scored once, at the end; `SEEN` is
what the method may be looked at with. Every one differs from the presets in thickness, tilt,
bending, dose, descan, drift, wall, and detector. Half of them are computed from crystals by the
package's simulator; the other half by a cruder one that shares no code with it (`ghost_disks`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ghost_disks import Ghosts, simulate
from napari_ferro4d.simulate import Spec, preset, truth, write_scan

__all__ = ["KEPT", "KEPT_GHOSTS", "SEEN", "SEEN_GHOSTS", "make", "specimen"]

Keys = Mapping[str, Mapping[str, Any]]


def _boracite(electrons: float, seed: int, **keys: Mapping[str, Any]) -> tuple[str, int, Keys]:
    scan = {"shape": (206, 34), "electrons": electrons, **keys.pop("scan", {})}
    return "boracite-small", seed, {"scan": scan, **keys}


def _vortex(electrons: float, seed: int, **keys: Mapping[str, Any]) -> tuple[str, int, Keys]:
    scan = {"electrons": electrons, **keys.pop("scan", {})}
    return "ermno3-vortex-small", seed, {"scan": scan, **keys}


SEEN: dict[str, tuple[str, int, Keys]] = {
    "boracite thin": _boracite(
        4e4,
        101,
        geometry={"angle": 12.0, "centre": (20.0, 0.0), "region": 90.0, "period": 60.0},
        specimen={"thickness": (40.0, 50.0), "tilt": (0.3, 0.1), "bend": 0.9, "bend_angle": 40.0},
    ),
    "boracite thick": _boracite(
        4e4,
        102,
        geometry={"angle": -10.0, "centre": (-30.0, 0.0), "region": 110.0, "period": 36.0},
        specimen={"thickness": (75.0, 88.0), "tilt": (-0.2, 0.3), "bend": 0.5, "amorphous": 0.15},
        scan={"descan_y": (1.0, -0.8), "descan_x": (0.5, 0.5)},
    ),
    "boracite few counts": _boracite(
        4e3,
        103,
        geometry={"angle": 5.0, "centre": (0.0, 0.0), "region": 80.0, "period": 52.0},
        specimen={"thickness": (52.0, 60.0), "tilt": (0.1, -0.3), "bend": 0.8, "bend_angle": 110.0},
    ),
    "vortex": _vortex(
        4e4,
        104,
        geometry={"angle": 50.0, "centre": (-6.0, 3.0), "twist": -10.0},
        specimen={"thickness": (70.0, 80.0), "tilt": (0.2, 0.2), "bend": 0.9, "bend_angle": 20.0},
    ),
}

KEPT: dict[str, tuple[str, int, Keys]] = {
    "boracite A": _boracite(
        4e4,
        1101,
        geometry={"angle": 15.0, "centre": (-40.0, 3.0), "region": 76.0, "period": 44.0},
        wall={"width": 2.0},
        specimen={
            "thickness": (46.0, 64.0),
            "wedge_angle": 30.0,
            "tilt": (-0.3, -0.2),
            "bend": 0.8,
            "bend_angle": 20.0,
            "bend_period": 95.0,
            "bend_phase": 130.0,
        },
        scan={"descan_y": (-1.2, 0.6), "descan_x": (0.2, -0.4), "drift": (-4.0, 3.0)},
    ),
    "boracite B": _boracite(
        4e4,
        1102,
        geometry={"angle": -14.0, "centre": (50.0, -2.0), "region": 120.0, "period": 30.0},
        wall={"width": 0.5, "structure": "nonpolar"},
        specimen={
            "thickness": (80.0, 92.0),
            "wedge_angle": 120.0,
            "tilt": (0.2, 0.35),
            "bend": 0.6,
            "bend_angle": 150.0,
            "bend_period": 150.0,
            "amorphous": 0.12,
        },
        detector={"dead": 30, "hot": 8, "hot_counts": 6.0, "point_spread": 1.6},
    ),
    "boracite C, 4e5": _boracite(
        4e5,
        1103,
        geometry={"angle": 3.0, "centre": (10.0, 0.0), "region": 60.0, "period": 26.0},
        specimen={
            "thickness": (41.0, 48.0),
            "tilt": (0.4, -0.1),
            "bend": 0.75,
            "bend_angle": 70.0,
            "bend_period": 80.0,
            "amorphous": 0.3,
        },
    ),
    "boracite D, 4e3": _boracite(
        4e3,
        1104,
        geometry={"angle": -6.0, "centre": (-10.0, 0.0), "region": 96.0, "period": 64.0},
        specimen={
            "thickness": (58.0, 66.0),
            "wedge_angle": 60.0,
            "tilt": (-0.1, 0.25),
            "bend": 0.7,
            "bend_angle": 95.0,
            "bend_period": 110.0,
            "bend_phase": -60.0,
        },
        scan={"descan_x": (-0.6, 0.9)},
    ),
    "vortex A": _vortex(
        4e4,
        1105,
        geometry={"angle": -20.0, "centre": (5.0, 6.0), "twist": 14.0},
        wall={"width": 1.5},
        specimen={
            "thickness": (60.0, 72.0),
            "wedge_angle": -40.0,
            "tilt": (0.3, -0.2),
            "bend": 1.1,
            "bend_angle": 80.0,
            "bend_period": 90.0,
            "bend_phase": 15.0,
            "amorphous": 0.05,
        },
        scan={"descan_y": (-0.8, 0.5), "descan_x": (0.4, -0.6)},
    ),
    "vortex B, 4e5": _vortex(
        4e5,
        1106,
        geometry={"angle": 75.0, "centre": (-8.0, -5.0), "twist": -6.0},
        specimen={
            "thickness": (84.0, 90.0),
            "tilt": (-0.2, 0.3),
            "bend": 0.8,
            "bend_angle": 45.0,
            "bend_period": 140.0,
        },
        detector={"dead": 20, "hot": 4, "hot_counts": 60.0, "point_spread": 2.0},
    ),
    "vortex C, 4e3": _vortex(
        4e3,
        1107,
        geometry={"angle": 35.0, "centre": (0.0, 0.0), "twist": 10.0},
        specimen={
            "thickness": (50.0, 57.0),
            "wedge_angle": 75.0,
            "tilt": (0.1, 0.1),
            "bend": 0.9,
            "bend_angle": 130.0,
            "bend_period": 115.0,
        },
    ),
}


SEEN_GHOSTS: dict[str, Ghosts] = {
    "ghosts 1": Ghosts(1, share=0.025, stripes=60.0),
    "ghosts 2": Ghosts(2, share=0.04, bend=1.5),
    "ghosts 3, 4e3": Ghosts(3, counts=4e3, share=0.1, stripes=40.0),
    "ghosts 4": Ghosts(4, share=0.02, bend=0.6, contrast=1.0, stripes=40.0),
    "ghosts 5": Ghosts(5, bend=2.0, descan=2.0, stripes=40.0),
}

KEPT_GHOSTS: dict[str, Ghosts] = {
    "ghosts A": Ghosts(1201, share=0.03, stripes=70.0, swing=7.0, descan=0.5),
    "ghosts B": Ghosts(1202, share=0.05, stripes=44.0, bend=1.8, wall=1.2, dead=25, hot=6),
    "ghosts C, 4e5": Ghosts(1203, counts=4e5, share=0.01, contrast=0.6, bend=1.2, descan=2.5),
    "ghosts D, 4e3": Ghosts(1204, counts=4e3, share=0.12, stripes=64.0, bend=0.8),
    "ghosts E": Ghosts(1205, share=0.035, stripes=56.0, swing=12.0, wall=0.4, contrast=0.9),
    "ghosts F, square": Ghosts(1206, share=0.04, stripes=36.0, shape=(84, 84)),
}


def specimen(name: str) -> Spec:
    """Return the spec of a specimen of `SEEN` or `KEPT`, or that of a preset."""
    if name not in SEEN and name not in KEPT:
        return preset(name)
    base, seed, keys = (SEEN | KEPT)[name]
    spec = replace(preset(base), seed=seed, source=name)
    return replace(spec, **{part: replace(getattr(spec, part), **keys[part]) for part in keys})


def make(name: str, folder: Path) -> tuple[Path, np.ndarray]:
    """Simulate a specimen into `folder` unless it is there; return its scan and its classes."""
    stem = folder / name.replace(" ", "-").replace(",", "")
    ghosts = (SEEN_GHOSTS | KEPT_GHOSTS).get(name)
    if ghosts is None:
        path = stem.with_suffix(".zarr")
        if not path.exists():
            write_scan(specimen(name), path)
        return path, truth(path).labels
    path, known = stem.with_suffix(".npy"), folder / f"{stem.name}-truth.npy"
    if not known.exists():
        data, labels = simulate(ghosts)
        np.save(path, data)
        np.save(known, labels)
    return path, np.load(known)
