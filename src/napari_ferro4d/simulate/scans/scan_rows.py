"""Simulated scans: any row of one at any time, or all of them in a file with the truth beside."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.simulate.crystal import Array
from napari_ferro4d.simulate.diffraction import Optics, Table, add_patterns, check_reach, load_table

from .detector import Detector, add_background, amorphous_profile, detector_of, read_out
from .spec import Spec, check_probe
from .specimen import Row, Specimen, largest_tilt, specimen_of

if TYPE_CHECKING:
    from napari_ferro4d.scan import Scan

_PIXELS_AT_ONCE = 2**20  # counts are drawn as 64-bit integers: 8 MB
_LEAST_SHARE = 1e-5  # of a state under the probe; less is left out


@dataclass(frozen=True, eq=False)
class Simulation:
    """A spec with everything that it names, ready to be asked for scan rows."""

    spec: Spec
    table: Table
    optics: Optics
    specimen: Specimen
    detector: Detector
    background: Array


def prepare(spec: Spec) -> Simulation:
    """Load the table of a spec, and check the one against the other.

    Raises
    ------
    ScanError
        If the table is missing or does not reach as far as the spec, or an image cannot be used;
        names the key and the range.
    """
    # A file that was written anew is read anew.
    return _prepared(
        spec, tuple(_version(path) for path in (spec.geometry.image, spec.optics.table))
    )


def _version(path: str | None) -> tuple[int, int] | None:
    try:
        state = os.stat(path or "")
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns


@functools.lru_cache(maxsize=4)
def _prepared(spec: Spec, versions: tuple[Any, ...]) -> Simulation:
    try:
        table = load_table(spec.optics.table)
    except ScanError as error:
        raise spec.error("optics.table", str(error)) from error
    optics = spec.seen_by(table.kilovolts)
    check_probe(spec, table.kilovolts)
    said = {
        "thickness": f"{spec.source}: specimen.thickness",
        "tilt": f"{spec.source}: specimen.tilt and specimen.bend",
        "convergence": f"{spec.source}: optics.convergence",
        "detector": f"{spec.source}: optics.k_step",
    }
    nm = min(spec.specimen.thickness), max(spec.specimen.thickness)
    check_reach(table, optics, largest_tilt(spec), nm, said)
    return Simulation(
        spec,
        table,
        optics,
        specimen_of(spec, table),
        detector_of(spec),
        amorphous_profile(optics),
    )


def expected_patterns(simulation: Simulation, row: Row, columns: slice) -> Array:
    """Return the mean electrons on each pixel before the detector, float32 ``[n, ky, kx]``.

    States that the probe covers together add up in proportion to the probe's intensity on them.
    """
    spec = simulation.spec
    shift = np.ascontiguousarray(row.shift[:, columns].T)
    tilt, thickness = row.tilt[:, columns].T, row.thickness[columns]
    out = np.zeros((len(thickness), *spec.detector.shape), np.float32)
    scattered = spec.specimen.amorphous
    for name, share in zip(simulation.specimen.states, row.fractions[:, columns], strict=True):
        weight = np.where(share < _LEAST_SHARE, 0, share) * spec.scan.electrons * (1 - scattered)
        if weight.any():
            add_patterns(
                out, simulation.table, name, simulation.optics, tilt, thickness, weight, shift
            )
    weight_behind = scattered * spec.scan.electrons
    add_background(out, simulation.background, simulation.optics, weight_behind, shift)
    return out


def simulated_row(
    simulation: Simulation, number: int, columns: int | None = None
) -> Iterator[tuple[slice, Array]]:
    """Yield the counts of a scan row in chunks ``[n, ky, kx]``, from left to right.

    Parameters
    ----------
    simulation : Simulation
        Of `prepare`.
    number : int
        Scan row. Each has its own random numbers, so that any row can be made alone.
    columns : int, optional
        Stop after so many positions.

    Yields
    ------
    tuple
        Positions in the row, and their counts.
    """
    spec = simulation.spec
    row = simulation.specimen.row(number)
    rng = np.random.default_rng(np.random.SeedSequence(spec.seed, spawn_key=(1, number)))
    at_once = positions_at_once(spec)
    end = spec.scan.shape[1] if columns is None else columns
    for start in range(0, end, at_once):
        chunk = slice(start, min(start + at_once, end))
        expected = expected_patterns(simulation, row, chunk)
        yield chunk, read_out(expected, simulation.detector, rng)


def positions_at_once(spec: Spec) -> int:
    """Return how many positions a chunk of a row has."""
    return max(1, _PIXELS_AT_ONCE // int(np.prod(spec.detector.shape)))


@dataclass(frozen=True)
class _Counts:
    """The counts of a simulated scan as dask likes them: made when asked for."""

    spec: Spec
    ndim = 4

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return *self.spec.scan.shape, *self.spec.detector.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return prepare(self.spec).detector.dtype

    def __getitem__(self, key: Any) -> Array:
        key = (*(key if isinstance(key, tuple) else (key,)), *(slice(None),) * 4)[:4]
        rows, columns = (np.arange(n)[one] for n, one in zip(self.shape[:2], key[:2], strict=True))
        wanted = np.atleast_1d(columns)
        if wanted.size == 0 or np.size(rows) == 0:
            empty: Array = np.empty(self.shape, self.dtype)
            return np.asarray(empty[key])
        made = np.stack([self._row(int(row), wanted) for row in np.atleast_1d(rows)])
        pick = tuple(0 if np.ndim(one) == 0 else slice(None) for one in (rows, columns))
        found: Array = made[pick + key[2:]]
        return found

    def _row(self, number: int, columns: Array) -> Array:
        simulation = prepare(self.spec)
        out: Array = np.empty((len(columns), *self.shape[2:]), simulation.detector.dtype)
        for chunk, counts in simulated_row(simulation, number, int(columns.max()) + 1):
            here = (columns >= chunk.start) & (columns < chunk.stop)
            out[here] = counts[columns[here] - chunk.start]
        return out


def scan(spec: Spec) -> Scan:
    """Return a simulated scan, lazily: patterns are made when they are looked at.

    Parameters
    ----------
    spec : Spec
        What to simulate, see `read_spec` and `preset`.

    Returns
    -------
    Scan
        Count for count what `write_scan` writes, whatever is looked at first.

    Raises
    ------
    ScanError
        If the table does not reach as far as the spec, see `prepare`.

    Examples
    --------
    >>> from napari_ferro4d.simulate import ScanKeys
    >>> small = scan(Spec(scan=ScanKeys(shape=(4, 6))))
    >>> small.shape, small.scan_step
    ((4, 6, 128, 128), (1.4, 1.4))
    """
    from napari_ferro4d.scan import Scan

    simulation = prepare(spec)
    return Scan.from_array(
        _Counts(spec),
        scan_step=spec.scan.step,
        k_step=spec.optics.k_step,
        centre=simulation.optics.centre,
        metadata=simulation_record(simulation),
    )


def simulation_record(simulation: Simulation) -> dict[str, Any]:
    """Return what a simulated scan is made of, as JSON types."""
    keys = asdict(simulation.spec)
    del keys["source"]
    return {
        "simulated": simulation.table.material,
        "beam_energy_kv": simulation.table.kilovolts,
        "convergence_mrad": simulation.spec.optics.convergence,
        "states": list(simulation.specimen.states),
        "spec": keys,
    }
