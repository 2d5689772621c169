"""A measured difference pattern beside the one that a simulation expects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_ferro4d.embedding import Difference, find_disk
from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Report, Steps
from napari_ferro4d.scan import Scan

if TYPE_CHECKING:
    from napari_ferro4d.simulate import Optics, Table

    from .correlation import Correlation
    from .registration import Registration

Floats = npt.NDArray[np.float64]

_THICKNESS_STEP = 2.0
"""nm between the thicknesses that are tried."""

_NEAR_ANGLE, _NEAR_SCALE = 4.0, 1.03
"""Degrees and factor within which the pattern of another thickness lies."""


@dataclass(frozen=True, eq=False)
class DifferenceComparison:
    """A measured difference pattern compared with a simulated one.

    Parameters
    ----------
    measured, simulated : ndarray
        float64 ``[ky, kx]`` on the detector, differences of patterns that were divided by their
        sums; NaN where nothing was simulated.
    correlation : Correlation
        Of the two: a map ``[ky, kx]``, and over all.
    overall : float
        Normalised cross-correlation, -1 to 1. Positive: the positions of `high` are the first of
        the two simulated states, if the registration is not half a turn off.
    half_turn : float or None
        The same for the registration half a turn away, usually of the opposite sign; None if the
        angle was given.
    registration : Registration
        How the simulated pattern lies on the detector: of two half a turn apart, with the smaller
        rotation.
    states : tuple of str
        The two simulated states.
    thickness : float or None
        nm; None for patterns that were given.
    """

    measured: Floats
    simulated: Floats
    correlation: Correlation
    overall: float
    half_turn: float | None
    registration: Registration
    states: tuple[str, str]
    thickness: float | None


def compare_difference(
    scan: Scan,
    found: Difference,
    reference: str | Table | tuple[npt.ArrayLike, npt.ArrayLike] = "ermno3",
    *,
    states: tuple[str, str] | None = None,
    thickness: float | None = None,
    tilt: Sequence[float] = (0.0, 0.0),
    convergence: float | None = None,
    rotation: tuple[float, float] | None = None,
    window: float = 0.05,
    report: Report | None = None,
) -> DifferenceComparison:
    """Compare a measured difference pattern with that of two simulated polarisation states.

    Parameters
    ----------
    scan : Scan
        The scan that the difference is of; its `k_step` has to be known.
    found : Difference
        From `difference`.
    reference : str, Table or pair of arrays
        Name of a table that comes with the package (``"ermno3"``, ``"boracite"``), a table, or
        patterns ``[ky, kx]`` of the two states, for example of `simulate.reference.reference`,
        the undiffracted beam in the middle.
    states : tuple of str, optional
        Names of the two states in the table; by default its first and the opposite one.
    thickness : float, optional
        nm; by default that at which the mean of both states fits the mean of both groups best.
    tilt : sequence of float
        ``(y, x)`` in mrad.
    convergence : float, optional
        Semi-angle of the probe, mrad; by default what the scan says, or else the size of its disk.
    rotation : tuple of float, optional
        Lowest and highest angle of the pattern on the detector, degrees counter-clockwise as
        drawn; all by default, and then the half turn, and with it the sign, is open.
    window : float
        Radius of the window of the correlation map, 1/angstrom.
    report : callable, optional
        Receives a `Progress` per step; may raise `Cancelled`.

    Returns
    -------
    DifferenceComparison
        Correlation map and number, and the simulated difference on the detector.

    Raises
    ------
    ScanError
        If the size of a detector pixel is not known, the table does not reach so far, or the
        patterns do not fit each other.

    Notes
    -----
    The mean of the two simulated patterns is laid onto the mean of the two measured ones by
    `register`. Polarity hardly shows in either mean, so the difference had no part in that.
    """
    from .registration_search import register

    if scan.k_step is None:
        raise ScanError(
            f"{scan.where()}: the size of a detector pixel is not known; give it (k_step, "
            "--k-step) to compare with a simulation."
        )
    steps = Steps(report, 3, "comparing with simulation")
    both = (found.high + found.low) / 2
    names, nm, plus, minus = _simulated(scan, both, reference, states, thickness, tilt, convergence)
    steps.add()
    # Where disks lie does not depend on the thickness: any will do to begin with.
    means = (plus + minus) / 2
    found_at = register(both, means[len(means) // 2], rotation=rotation)
    # Half a turn makes next to nothing of the mean of two opposite states.
    laid = tuple(sorted(found_at, key=lambda one: abs((one.rotation + 180) % 360 - 180)))
    steps.add()
    best = 0
    if len(means) > 1:
        best = int(np.argmax([_fit(both, laid[0], mean) for mean in means]))
        laid = tuple(_again(both, means[best], one) for one in laid)
    compared = [_compared(scan, found, plus[best], minus[best], one, window) for one in laid]
    steps.add()
    measured, simulated, correlation = compared[0]
    return DifferenceComparison(
        measured=measured,
        simulated=simulated,
        correlation=correlation,
        overall=correlation.overall,
        half_turn=compared[1][2].overall if len(compared) > 1 else None,
        registration=laid[0],
        states=names,
        thickness=None if nm is None else float(nm[best]),
    )


def _compared(
    scan: Scan, found: Difference, plus: Floats, minus: Floats, laid: Registration, window: float
) -> tuple[Floats, Floats, Correlation]:
    from .correlation import correlate

    assert scan.k_step is not None
    simulated = laid.project(plus) / plus.sum() - laid.project(minus) / minus.sum()
    sums = found.high.sum(), found.low.sum()
    measured = np.where(np.isfinite(simulated), found.high / sums[0] - found.low / sums[1], np.nan)
    noise = found.error / np.mean(sums)
    step = float(np.mean(scan.k_step))
    return (
        measured,
        simulated,
        correlate(measured, simulated, k_step=step, window=window, noise_a=noise),
    )


def _fit(both: Floats, laid: Registration, mean: Floats) -> float:
    """Say how well a simulated pattern, laid onto a measured one, fits it; 1 is best."""
    there = laid.project(mean)
    good = np.isfinite(there)
    # Square roots, so that the undiffracted disk does not decide alone.
    return float(np.corrcoef(np.sqrt(np.clip([both[good], there[good]], 0, None)))[0, 1])


def _again(both: Floats, mean: Floats, laid: Registration) -> Registration:
    """Lay another simulated pattern where one lies already, and refine that."""
    from .registration_search import register

    angles = laid.rotation - _NEAR_ANGLE, laid.rotation + _NEAR_ANGLE
    scales = laid.scale / _NEAR_SCALE, laid.scale * _NEAR_SCALE
    return register(both, mean, rotation=angles, scale=scales)[0]


def _simulated(
    scan: Scan,
    both: Floats,
    reference: str | Table | tuple[npt.ArrayLike, npt.ArrayLike],
    states: tuple[str, str] | None,
    thickness: float | None,
    tilt: Sequence[float],
    convergence: float | None,
) -> tuple[tuple[str, str], Floats | None, Floats, Floats]:
    """Return the names of two states, thicknesses, and patterns ``[thickness, ky, kx]`` of each."""
    from napari_ferro4d.simulate import Table, load_table, table_patterns

    if not isinstance(reference, str | Table):
        first, second = (np.asarray(one, np.float64) for one in reference)
        if first.ndim != 2 or first.shape != second.shape:
            raise ScanError(
                f"the simulated patterns have shapes {first.shape} and {second.shape}; give two "
                "[ky, kx] on one grid."
            )
        return states or ("first", "second"), None, first[None], second[None]
    table = load_table(reference) if isinstance(reference, str) else reference
    names = states or _opposite(table)
    optics = _optics(scan, both, table, convergence)
    low, high = table.thickness_range
    nm = (
        np.arange(low, high + 1e-6, _THICKNESS_STEP) if thickness is None else np.array([thickness])
    )
    y, x = (np.full(len(nm), float(angle)) for angle in tilt)
    plus, minus = (table_patterns(table, name, optics, y, x, nm).astype(float) for name in names)
    return names, nm, plus, minus


def _opposite(table: Table) -> tuple[str, str]:
    first = table.states[0]
    for other in table.states[1:]:
        if np.allclose(np.add(first.polarisation, other.polarisation), 0, atol=1e-6):
            return first.name, other.name
    raise ScanError(
        f"table {table.name}: has no state opposite to {first.name!r}; name two states."
    )


def _optics(scan: Scan, both: Floats, table: Table, convergence: float | None) -> Optics:
    """Return what the table's patterns have to be drawn with, as far out as the table reaches."""
    from napari_ferro4d.simulate import Optics, wavelength

    assert scan.k_step is not None
    step = float(np.mean(scan.k_step))
    said = scan.metadata.get("convergence_mrad") if convergence is None else convergence
    if said is None:
        said = find_disk(both)[1] * step * wavelength(table.kilovolts) * 1e3
    mrad = float(said)
    reach = table.k_max - mrad * 1e-3 / wavelength(table.kilovolts)
    most = max(1, int(2 * reach / step - 1e-6))
    ky, kx = (min(n, most) for n in scan.detector_shape)
    return Optics(table.kilovolts, mrad, step, (ky, kx))
