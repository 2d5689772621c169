"""The demonstration scan: two 180-degree domains in a bent wedge of YMnO3, with known truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_ferro4d.simulate.crystal import Array, ymno3
from napari_ferro4d.simulate.diffraction import Optics, RockingTable, patterns, rocking_table

if TYPE_CHECKING:
    from napari_ferro4d.jobs import Report
    from napari_ferro4d.scan import Scan

__all__ = [
    "DEMO",
    "Demo",
    "Truth",
    "demo_scan",
    "demo_scan_path",
    "demo_specimen",
    "demo_tables",
    "demo_truth",
    "demo_truth_path",
    "expected_counts",
    "make_counts",
]


@dataclass(frozen=True)
class Demo:
    """Everything that decides what the demonstration scan is."""

    optics: Optics = field(default_factory=Optics)
    scan_shape: tuple[int, int] = (56, 60)
    scan_step: float = 1.4  # nm
    probe_fwhm: float = 2.0  # nm, Gaussian
    electrons: int = 14_000  # incident on each probe position
    thickness: tuple[float, float] = (58.0, 68.0)  # nm, at opposite corners of the wedge
    bend: float = 0.8  # mrad, amplitude of the largest tilt
    seed: int = 20260


DEMO = Demo()


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of every probe position of a simulated scan; arrays are ``[y, x]``.

    Parameters
    ----------
    labels : ndarray
        uint8; 1 = +P (polarisation up the image, to negative y), 2 = -P (down).
    wall : ndarray
        bool; True where the probe has more than 5 % of its intensity on the other side.
    polarisation : ndarray
        float32, mean sign of the polarisation under the probe: +1 in +P, -1 in -P, between at the
        wall.
    thickness : ndarray
        float32, nm.
    tilt_y, tilt_x : ndarray
        float32, mrad: direction of the incident beam from the zone axis, positive down and right.
    scan_step : tuple of float
        Distance between probe positions ``(y, x)`` in nm.
    """

    labels: Array
    wall: Array
    polarisation: Array
    thickness: Array
    tilt_y: Array
    tilt_x: Array
    scan_step: tuple[float, float]


def demo_specimen(demo: Demo = DEMO) -> Truth:
    """Return the specimen of the demonstration scan: domains, wall, wedge and bend.

    The wall stands 19 degrees from the polar axis and bows gently. Thickness grows along it and the
    bend is even across it, so that neither tells the domains apart.
    """
    from scipy.special import ndtr

    # Coordinates of -1 to 1 along and across the wall, in units of half the larger scan side.
    steps = np.array(demo.scan_shape) - 1
    y, x = (np.indices(demo.scan_shape) - steps[:, None, None] / 2) * demo.scan_step
    half = steps.max() / 2 * demo.scan_step
    slope = np.deg2rad(19.0)
    along = (y * np.cos(slope) + x * np.sin(slope)) / half
    across = (x * np.cos(slope) - y * np.sin(slope)) / half

    distance = half * (across - 0.10 + 0.16 * along**2)  # nm, positive on the side of -P
    plus = ndtr(-distance / (demo.probe_fwhm / 2.3548))
    thin, thick = demo.thickness
    thickness = thin + (thick - thin) * (along / 1.30 + 1) / 2
    # A buckled lamella: the tilt passes zero on an arc, the bend contour.
    tilt_y = demo.bend * np.sin(1.3 * along + 0.8 * across**2 - 0.25)
    tilt_x = 0.5 * demo.bend * np.sin(1.5 * across * along)
    return Truth(
        labels=np.where(plus >= 0.5, 1, 2).astype(np.uint8),
        wall=np.minimum(plus, 1 - plus) > 0.05,
        polarisation=(2 * plus - 1).astype(np.float32),
        thickness=thickness.astype(np.float32),
        tilt_y=tilt_y.astype(np.float32),
        tilt_x=tilt_x.astype(np.float32),
        scan_step=(demo.scan_step, demo.scan_step),
    )


def demo_tables(
    demo: Demo = DEMO, report: Report | None = None
) -> tuple[RockingTable, RockingTable]:
    """Return the rocking tables of the +P and the -P state."""
    plus = rocking_table(
        ymno3(1), demo.optics, tilt=demo.bend, thickness=demo.thickness, report=report
    )
    return plus, plus.mirrored()


def expected_counts(
    truth: Truth, row: int, tables: tuple[RockingTable, RockingTable], demo: Demo = DEMO
) -> tuple[Array, Array, Array]:
    """Return the mean counts of one scan row: as scanned, and had it been all +P or all -P.

    Parameters
    ----------
    truth : Truth
        The specimen.
    row : int
        Scan row.
    tables : tuple of RockingTable
        Of +P and -P.
    demo : Demo
        Optics and dose.

    Returns
    -------
    tuple of ndarray
        Three times float64 ``[x, ky, kx]``. The domains add up incoherently under the probe.
    """
    place = truth.tilt_y[row], truth.tilt_x[row], truth.thickness[row]
    plus, minus = (demo.electrons * patterns(table, demo.optics, *place) for table in tables)
    share = (1 + truth.polarisation[row].astype(float)[:, None, None]) / 2
    return share * plus + (1 - share) * minus, plus, minus


def make_counts(
    truth: Truth, row: int, tables: tuple[RockingTable, RockingTable], demo: Demo = DEMO
) -> Array:
    """Return the counts uint8 ``[x, ky, kx]`` of one scan row, Poisson noise and all.

    Each row has its own random stream, so that any row can be made again alone.
    """
    mean, _, _ = expected_counts(truth, row, tables, demo)
    counts = np.random.default_rng([demo.seed, row]).poisson(mean)
    if counts.max() > 255:
        raise ValueError("a pixel has more than 255 counts; lower the dose of the demo scan.")
    return counts.astype(np.uint8)


def demo_scan_path() -> Path:
    """Return the path of the embedded scan, a HyperSpy file in the installed package."""
    return Path(str(files("napari_ferro4d") / "data" / "demo.hspy"))


def demo_truth_path() -> Path:
    """Return the path of the truth of the embedded scan, an ``.npz`` file."""
    return Path(str(files("napari_ferro4d") / "data" / "demo_truth.npz"))


def demo_scan() -> Scan:
    """Open the embedded scan: 56 x 60 probe positions, 64 x 64 detector pixels.

    Returns
    -------
    Scan
        Named ``demo``; steps of 1.4 nm and 0.02 1/angstrom.
    """
    from napari_ferro4d.open import open_scan

    return open_scan(demo_scan_path())


def demo_truth() -> Truth:
    """Read the truth of the embedded scan: domains, wall, thickness and tilt."""
    with np.load(demo_truth_path()) as stored:
        fields = {name: stored[name] for name in stored.files}
    step_y, step_x = fields.pop("scan_step")
    return Truth(**fields, scan_step=(float(step_y), float(step_x)))
