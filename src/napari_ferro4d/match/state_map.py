"""Which simulated state the pattern at each probe position is likest: proposals for labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Report
from napari_ferro4d.scan import Scan

from .pattern_fit import fit_patterns
from .simulated_states import Floats, lay, simulated_states

if TYPE_CHECKING:
    from distributed import Client

    from napari_ferro4d.simulate import Table

    from .registration import Registration


@dataclass(frozen=True, eq=False)
class StateMap:
    """The likeliest simulated state at each probe position.

    Parameters
    ----------
    labels : ndarray
        uint8 ``[y, x]``: 1 for the first of `states`, 0 where no state is ahead by enough.
    ahead : ndarray
        float32 ``[y, x]``: by how much the likeliest is ahead of the next, in standard deviations
        of counting noise; NaN where the scan has no pattern.
    states : tuple of str
        Names of the states.
    registration : Registration
        How the simulated patterns lie on the detector.
    half_turn_open : bool
        Whether the pattern may lie half a turn away, and then every state is the opposite one.
    thickness : float or None
        nm, of the simulated patterns; None for patterns that were given.
    """

    labels: npt.NDArray[np.uint8]
    ahead: npt.NDArray[np.float32]
    states: tuple[str, ...]
    registration: Registration
    half_turn_open: bool
    thickness: float | None


def map_states(
    scan: Scan,
    reference: str | Table | Sequence[npt.ArrayLike] = "ermno3",
    *,
    states: Sequence[str] | None = None,
    thickness: float | None = None,
    tilt: Sequence[float] = (0.0, 0.0),
    convergence: float | None = None,
    rotation: tuple[float, float] | None = None,
    least: float = 2.0,
    report: Report | None = None,
    client: Client | None = None,
) -> StateMap:
    """Find which simulated state the pattern at each probe position is likest.

    Parameters
    ----------
    scan : Scan
        Raw counts; its `k_step` has to be known.
    reference : str, Table or sequence of arrays
        Name of a table that comes with the package (``"ermno3"``, ``"boracite"``), a table, or a
        pattern ``[ky, kx]`` a state, the undiffracted beam in the middle.
    states : sequence of str, optional
        Names of the states; by default all of the table that have a polarisation.
    thickness : float, optional
        nm; by default that at which the mean of the states fits the mean of the scan best.
    tilt : sequence of float
        ``(y, x)`` in mrad.
    convergence : float, optional
        Semi-angle of the probe, mrad; by default what the scan says, or else the size of its disk.
    rotation : tuple of float, optional
        Lowest and highest angle of the pattern on the detector, degrees counter-clockwise as
        drawn; all by default, and then the half turn is open.
    least : float
        Standard deviations of counting noise by which a state has to be ahead of the next.
    report : callable, optional
        Receives a `Progress` per block of two passes over the scan; may raise `Cancelled`.
    client : distributed.Client, optional
        Computes on this cluster.

    Returns
    -------
    StateMap
        A label image, and how far each position is from being another.

    Raises
    ------
    ScanError
        If there are fewer than two states, the size of a detector pixel is not known, the table
        does not reach so far, or the patterns do not fit the scan.

    Notes
    -----
    The Poisson log-likelihood of a pattern with counts n under a state with shares p is
    ``sum(n log p)``: a virtual image with the weights log p. Each state has the even background
    that fits the mean pattern. Thickness and tilt are taken to be the same everywhere, so what
    comes out are proposals; how certain a state is, `identify` says.
    """
    from napari_ferro4d.reduce import mean_pattern, reduce_scan, weighted_sum

    mean = np.asarray(mean_pattern(scan, report=report, client=client), np.float64)
    known = simulated_states(scan, mean, reference, states, thickness, tilt, convergence)
    if len(known.names) < 2:
        raise ScanError("states: there is one only, and nothing to tell it from; name two or more.")
    laid = lay(known, mean, rotation)
    registration = laid.registrations[0]
    shares, covered = _shares(mean, np.stack([registration.project(p) for p in laid.patterns]))
    weights = np.zeros((len(shares) + 1, *mean.shape))
    weights[:-1, covered] = np.log(shares / shares.mean(axis=0))
    weights[-1, covered] = 1.0
    sums = np.stack(
        reduce_scan(
            scan,
            [weighted_sum(scan, one, np.asarray) for one in weights],
            report,
            "comparing with simulated states",
            client,
        )
    )
    ahead = _ahead(sums, weights[:-1, covered], shares)
    labels = (1 + sums[:-1].argmax(axis=0)).astype(np.uint8)
    labels[~(ahead >= least)] = 0
    if scan.missing is not None:
        labels[scan.missing], ahead[scan.missing] = 0, np.nan
    half_turn_open = len(laid.registrations) > 1
    return StateMap(labels, ahead, known.names, registration, half_turn_open, laid.thickness)


def _shares(mean: Floats, simulated: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return shares ``[state, pixel]`` of the counts expected, and where something is simulated."""
    covered = np.isfinite(simulated).all(axis=0) & np.isfinite(mean)
    if np.count_nonzero(covered) < 25 or not mean[covered].sum() > 0:
        raise ScanError("the simulated patterns cover fewer than 25 pixels with counts.")
    # Interpolation overshoots at the edge of a disk.
    patterns = np.maximum(simulated[:, covered], 0)
    patterns /= patterns.sum(axis=1, keepdims=True)
    background = float(np.mean(fit_patterns(np.maximum(mean[covered], 0), list(patterns))[0]))
    # No state forbids a count: a simulation is never exact.
    background = max(background, 1e-3)
    return (1 - background) * patterns + background / patterns.shape[1], covered


def _ahead(sums: Floats, weights: Floats, shares: Floats) -> npt.NDArray[np.float32]:
    """Return how far the likeliest state is ahead, in standard deviations, ``[y, x]``."""
    order = np.argsort(sums[:-1], axis=0)
    best, second = order[-1], order[-2]
    lead = np.take_along_axis(sums[:-1], order[-2:], axis=0)
    # Of the difference of two weighted sums of Poisson counts, a count at a time.
    apart = weights[:, None] - weights[None]
    variance = np.einsum("ijk,k->ij", apart**2, shares.mean(axis=0))[best, second]
    noise = np.sqrt(np.maximum(variance * sums[-1], 1e-300))
    return np.where(sums[-1] > 0, (lead[1] - lead[0]) / noise, 0).astype(np.float32)
