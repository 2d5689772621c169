"""A measured difference pattern beside the one that a simulation expects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_ferro4d.embedding import Difference
from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Report, Steps
from napari_ferro4d.scan import Scan

from .simulated_states import Floats, lay, simulated_states

if TYPE_CHECKING:
    from napari_ferro4d.simulate import Table

    from .correlation import Correlation
    from .registration import Registration


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
    from napari_ferro4d.simulate import Table, load_table

    steps = Steps(report, 3, "comparing with simulation")
    both = (found.high + found.low) / 2
    known = load_table(reference) if isinstance(reference, str) else reference
    if states is None:
        states = _opposite(known) if isinstance(known, Table) else ("first", "second")
    pair = simulated_states(scan, both, known, states, thickness, tilt, convergence)
    steps.add()
    laid = lay(pair, both, rotation)
    steps.add()
    plus, minus = laid.patterns
    compared = [_compared(scan, found, plus, minus, one, window) for one in laid.registrations]
    steps.add()
    measured, simulated, correlation = compared[0]
    return DifferenceComparison(
        measured=measured,
        simulated=simulated,
        correlation=correlation,
        overall=correlation.overall,
        half_turn=compared[1][2].overall if len(compared) > 1 else None,
        registration=laid.registrations[0],
        states=(pair.names[0], pair.names[1]),
        thickness=laid.thickness,
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


def _opposite(table: Table) -> tuple[str, str]:
    first = table.states[0]
    for other in table.states[1:]:
        if np.allclose(np.add(first.polarisation, other.polarisation), 0, atol=1e-6):
            return first.name, other.name
    raise ScanError(
        f"table {table.name}: has no state opposite to {first.name!r}; name two states."
    )
