"""What identification takes and gives: candidates, and readings of classes and of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_ferro4d.errors import ScanError

from .pattern_arrays import Array

if TYPE_CHECKING:
    from napari_ferro4d.simulate import Optics, Table


@dataclass(frozen=True, eq=False)
class Candidate:
    """A simulated state of the specimen.

    Parameters
    ----------
    name : str
        For people, for example ``"+P, 62 nm"``.
    polarity : int
        1, -1, or 0 for a structure that is not polar, or not along this axis.
    thickness : float
        nm.
    tilt : tuple of float
        ``(y, x)`` in mrad.
    pattern : ndarray
        ``[ky, kx]`` expected intensity in any unit, the undiffracted beam in the middle.
    """

    name: str
    polarity: int
    thickness: float
    tilt: tuple[float, float]
    pattern: Array


@dataclass(frozen=True, eq=False)
class ClassReading:
    """What the mean pattern of one class says.

    Parameters
    ----------
    label : int
        Number of the class.
    polarity : int
        The sign of P where it is `decisive`, else 0: not claimed.
    confidence : float
        Posterior probability of the likelier polarity; 0.5 where the half turn is not fixed.
    decisive : bool
        Whether to believe it.
    reasons : tuple of str
        Why not, and what else to look at; empty if all is well.
    probability : dict
        Posterior probability of each polarity among the candidates.
    best : Candidate
        The candidate of highest likelihood.
    turned : bool
        Whether it fits best after half a turn; never where the half turn is fixed.
    runner_up : Candidate or None
        The best of another polarity under the same turn.
    log_likelihood_difference : float
        Of the two, divided by `dispersion`; NaN without a runner-up.
    dispersion : float
        How much larger than Poisson the scatter about the best candidate is, at least 1.
    explained : float
        Share of the reflections' contrast that the best candidate explains, 1 for all but
        noise; NaN where the counts are too few to measure it.
    background : float
        Share of the counts in the even background of the best fit.
    """

    label: int
    polarity: int
    confidence: float
    decisive: bool
    reasons: tuple[str, ...]
    probability: dict[int, float]
    best: Candidate
    turned: bool
    runner_up: Candidate | None
    log_likelihood_difference: float
    dispersion: float
    explained: float
    background: float


@dataclass(frozen=True)
class Pair:
    """Whether two classes have opposite polarity, whichever of them is +P.

    Parameters
    ----------
    first, second : int
        Numbers of the classes.
    opposite : float
        Posterior probability that they are +P and -P, either way round.
    decisive : bool
        Whether it, or its contrary, is beyond the threshold and both classes fit.
    """

    first: int
    second: int
    opposite: float
    decisive: bool


@dataclass(frozen=True, eq=False)
class Identification:
    """The states of all classes of a segmentation.

    Parameters
    ----------
    classes : dict
        `ClassReading` by class number.
    pairs : tuple of Pair
        Every two classes. This needs no knowledge of the half turn.
    rotation_known : bool
        Whether the half turn was fixed by the user.
    """

    classes: dict[int, ClassReading]
    pairs: tuple[Pair, ...]
    rotation_known: bool


def candidates_of(
    table: Table,
    optics: Optics,
    *,
    thickness: Sequence[float],
    tilt_y: Sequence[float] = (0.0,),
    tilt_x: Sequence[float] = (0.0,),
) -> tuple[Candidate, ...]:
    """Return candidates of all states, thicknesses and tilts from a table of intensities.

    Parameters
    ----------
    table : Table
        All states of a material, see `load_table`. Each gets the sign of its polarisation along
        the upward direction of the pattern as polarity; what is inside charged walls is left out.
    optics : Optics
        Convergence and detector; the voltage must be the table's.
    thickness : sequence of float
        nm.
    tilt_y, tilt_x : sequence of float
        mrad; every combination is made.

    Returns
    -------
    tuple of Candidate
        Named after state, thickness and tilt.

    Raises
    ------
    ScanError
        If a thickness or a tilt lies outside the table, or there is none.
    """
    from napari_ferro4d.simulate import table_patterns

    if not (len(thickness) and len(tilt_y) and len(tilt_x)):
        raise ScanError("thickness, tilt_y, tilt_x: give at least one of each.")
    t, y, x = (
        v.ravel().astype(float) for v in np.meshgrid(thickness, tilt_y, tilt_x, indexing="ij")
    )
    return tuple(
        Candidate(
            f"{state.name}, {t[i]:g} nm, tilt ({y[i]:g}, {x[i]:g}) mrad",
            # ky points down, so P up the pattern is negative.
            -int(np.sign(round(state.polarisation[0], 6))),
            float(t[i]),
            (float(y[i]), float(x[i])),
            pattern,
        )
        for state in table.states
        if state.name not in (table.charged or ())
        for i, pattern in enumerate(table_patterns(table, state.name, optics, y, x, t))
    )
