"""Patterns of several simulated states, and where they lie on the detector of a scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_ferro4d.embedding import find_disk
from napari_ferro4d.errors import ScanError
from napari_ferro4d.scan import Scan

if TYPE_CHECKING:
    from napari_ferro4d.simulate import Optics, Table

    from .registration import Registration

Floats = npt.NDArray[np.float64]

_THICKNESS_STEP = 2.0
"""nm between the thicknesses that are tried."""

_NEAR_ANGLE, _NEAR_SCALE = 4.0, 1.03
"""Degrees and factor within which the pattern of another thickness lies."""


@dataclass(frozen=True, eq=False)
class SimulatedStates:
    """Patterns of several states of a crystal.

    Parameters
    ----------
    names : tuple of str
        Of the states.
    thickness : ndarray or None
        ``[thickness]`` in nm; None for patterns that were given.
    patterns : ndarray
        float64 ``[state, thickness, ky, kx]``, the undiffracted beam in the middle.
    """

    names: tuple[str, ...]
    thickness: Floats | None
    patterns: Floats


@dataclass(frozen=True, eq=False)
class Laid:
    """Simulated states on a detector.

    Parameters
    ----------
    registrations : tuple of Registration
        How they lie: of two half a turn apart, the one with the smaller rotation first; one alone
        where the angle was given.
    patterns : ndarray
        float64 ``[state, ky, kx]`` at the thickness that fits best, not yet on the detector.
    thickness : float or None
        That thickness in nm; None for patterns that were given.
    """

    registrations: tuple[Registration, ...]
    patterns: Floats
    thickness: float | None


def simulated_states(
    scan: Scan,
    measured: Floats,
    reference: str | Table | Sequence[npt.ArrayLike],
    names: Sequence[str] | None,
    thickness: float | None,
    tilt: Sequence[float],
    convergence: float | None,
) -> SimulatedStates:
    """Return the patterns of some states as the detector of a scan would see them.

    Parameters
    ----------
    scan : Scan
        Its `k_step` has to be known.
    measured : ndarray
        ``[ky, kx]``, a mean pattern, from whose disk the convergence is read if need be.
    reference : str, Table or sequence of arrays
        Name of a table that comes with the package (``"ermno3"``, ``"boracite"``), a table, or a
        pattern ``[ky, kx]`` a state.
    names : sequence of str, optional
        Of the states; by default all of the table that have a polarisation.
    thickness : float, optional
        nm; by default all that the table has, in steps of 2 nm.
    tilt : sequence of float
        ``(y, x)`` in mrad.
    convergence : float, optional
        Semi-angle of the probe, mrad; by default what the scan says, or else the size of its disk.

    Raises
    ------
    ScanError
        If the size of a detector pixel is not known, the table does not reach so far, or the
        patterns differ in shape.
    """
    from napari_ferro4d.simulate import Table, load_table, table_patterns

    if scan.k_step is None:
        raise ScanError(
            f"{scan.where()}: the size of a detector pixel is not known; give it (k_step, "
            "--k-step) to compare with a simulation."
        )
    if not isinstance(reference, str | Table):
        given = [np.asarray(one, np.float64) for one in reference]
        if given[0].ndim != 2 or len({one.shape for one in given}) > 1:
            shapes = " and ".join(str(one.shape) for one in given)
            raise ScanError(
                f"the simulated patterns have shapes {shapes}; give them [ky, kx] on one grid."
            )
        known = tuple(names or (f"state {n}" for n in range(1, len(given) + 1)))
        return SimulatedStates(known, None, np.stack(given)[:, None])
    table = load_table(reference) if isinstance(reference, str) else reference
    known = tuple(names or (state.name for state in table.states if any(state.polarisation)))
    optics = _optics(scan, measured, table, convergence)
    low, high = table.thickness_range
    nm = (
        np.arange(low, high + 1e-6, _THICKNESS_STEP) if thickness is None else np.array([thickness])
    )
    y, x = (np.full(len(nm), float(angle)) for angle in tilt)
    patterns = [table_patterns(table, name, optics, y, x, nm) for name in known]
    return SimulatedStates(known, nm, np.stack(patterns).astype(float))


def lay(
    states: SimulatedStates, measured: Floats, rotation: tuple[float, float] | None = None
) -> Laid:
    """Lay simulated states onto a measured mean pattern, at the thickness that fits best.

    Their mean is laid by `register`: polarity hardly shows in it, so it has no part in that.

    Parameters
    ----------
    states : SimulatedStates
        The states.
    measured : ndarray
        ``[ky, kx]``.
    rotation : tuple of float, optional
        Lowest and highest angle of the pattern on the detector, degrees counter-clockwise as
        drawn; all by default, and then the half turn is open.

    Raises
    ------
    ScanError
        If the patterns do not fit each other.
    """
    from .registration_search import register

    means = states.patterns.mean(axis=0)
    # Where disks lie does not depend on the thickness: any will do to begin with.
    found = register(measured, means[len(means) // 2], rotation=rotation)
    # Half a turn makes next to nothing of the mean of opposite states.
    laid = tuple(sorted(found, key=lambda one: abs((one.rotation + 180) % 360 - 180)))
    best = 0
    if len(means) > 1:
        best = int(np.argmax([_fit(measured, laid[0], mean) for mean in means]))
        laid = tuple(_again(measured, means[best], one) for one in laid)
    nm = None if states.thickness is None else float(states.thickness[best])
    return Laid(laid, states.patterns[:, best], nm)


def _fit(measured: Floats, laid: Registration, mean: Floats) -> float:
    """Say how well a simulated pattern, laid onto a measured one, fits it; 1 is best."""
    there = laid.project(mean)
    good = np.isfinite(there)
    # Square roots, so that the undiffracted disk does not decide alone.
    return float(np.corrcoef(np.sqrt(np.clip([measured[good], there[good]], 0, None)))[0, 1])


def _again(measured: Floats, mean: Floats, laid: Registration) -> Registration:
    """Lay another simulated pattern where one lies already, and refine that."""
    from .registration_search import register

    angles = laid.rotation - _NEAR_ANGLE, laid.rotation + _NEAR_ANGLE
    scales = laid.scale / _NEAR_SCALE, laid.scale * _NEAR_SCALE
    return register(measured, mean, rotation=angles, scale=scales)[0]


def _optics(scan: Scan, measured: Floats, table: Table, convergence: float | None) -> Optics:
    """Return what the table's patterns have to be drawn with, as far out as the table reaches."""
    from napari_ferro4d.simulate import Optics, wavelength

    assert scan.k_step is not None
    step = float(np.mean(scan.k_step))
    said = scan.metadata.get("convergence_mrad") if convergence is None else convergence
    if said is None:
        said = find_disk(measured)[1] * step * wavelength(table.kilovolts) * 1e3
    mrad = float(said)
    reach = table.k_max - mrad * 1e-3 / wavelength(table.kilovolts)
    most = max(1, int(2 * reach / step - 1e-6))
    ky, kx = (min(n, most) for n in scan.detector_shape)
    return Optics(table.kilovolts, mrad, step, (ky, kx))
