"""Multislice with abTEM: plane waves through a crystal, every beam at every thickness."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.simulate.crystal import Array, Crystal

from .scattering import wavelength

if TYPE_CHECKING:
    from napari_ferro4d.jobs import Steps

_LONGEST_REPEAT = 12
# Complex numbers of the waves that are propagated together: about 64 MB.
_BATCH = 8_000_000


def use_gpu(device: str) -> bool:
    """Tell whether abTEM is to calculate on a GPU; import abTEM or say how to install it.

    Parameters
    ----------
    device : str
        ``"auto"`` (the GPU, where there is one), ``"cpu"``, or ``"gpu"`` or ``"cuda"``.

    Raises
    ------
    ScanError
        If abTEM is missing, or a GPU is asked for and cupy finds none.
    """
    try:
        _abtem()
    except ImportError as error:
        raise ScanError(
            "simulating with multislice needs abTEM; install it with "
            'pip install "napari-ferro4d[simulate]", or use method="scattering-matrix".'
        ) from error
    if device not in ("auto", "cpu", "gpu", "cuda"):
        raise ScanError(f"device: auto, cpu or gpu is needed, not {device!r}.")
    if device == "cpu":
        return False
    try:
        import cupy

        found = cupy.cuda.runtime.getDeviceCount() > 0
    # cupy without a driver raises its own error class, which cannot be named without cupy.
    except Exception:
        found = False
    if device != "auto" and not found:
        raise ScanError(f'device: {device!r} needs cupy and a GPU; use device="cpu".')
    return bool(found)


def _abtem() -> Any:
    with warnings.catch_warnings():
        # Said on import, of optional packages that are not there.
        warnings.simplefilter("ignore", UserWarning)
        import abtem
        import abtem.multislice
    return abtem


def orthogonal_cell(crystal: Crystal, frame: Array) -> tuple[Array, Array, Array]:
    """Return a right-angled cell of the crystal along right, up and the beam.

    Parameters
    ----------
    crystal : Crystal
        What is to be filled in.
    frame : ndarray
        Unit vectors right, up and along the beam ``[3, 3]``, see `detector_frame`.

    Returns
    -------
    edges : ndarray
        Lengths ``[3]`` in angstrom.
    positions : ndarray
        ``[atom, 3]`` in angstrom.
    atom : ndarray
        ``[atom]``, which atom of the crystal each one is.

    Raises
    ------
    ScanError
        If no such cell has edges of at most 12 lattice vectors.
    """
    in_frame = crystal.lattice @ frame.T
    counts = np.array(list(product(range(-_LONGEST_REPEAT, _LONGEST_REPEAT + 1), repeat=3)))
    vectors = counts @ in_frame
    box = np.empty((3, 3), dtype=int)
    for axis, name in enumerate(("right", "up", "along the beam")):
        aside = np.linalg.norm(np.delete(vectors, axis, axis=1), axis=1)
        fitting = np.flatnonzero((vectors[:, axis] > 1e-6) & (aside < 1e-4 * vectors[:, axis]))
        if len(fitting) == 0:
            raise ScanError(
                f"zone_axis, up: {crystal.name or 'the crystal'} has no short lattice vector that "
                f"points {name}, so that there is no right-angled cell for multislice; choose "
                'another pair or method="scattering-matrix".'
            )
        box[axis] = counts[fitting[vectors[fitting, axis].argmin()]]
    edges = np.diag(box @ in_frame)
    # Every lattice point in the box, told by its coordinates along the box's edges.
    corners = np.array(list(product((0, 1), repeat=3))) @ box
    ranges = [
        np.arange(a, b + 1) for a, b in zip(corners.min(axis=0), corners.max(axis=0), strict=True)
    ]
    points = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    share = points @ np.linalg.inv(box)
    points = points[((share > -1e-9) & (share < 1 - 1e-9)).all(axis=1)]
    places = (crystal.positions[:, None] + points[None]).reshape(-1, 3) @ in_frame
    return edges, np.mod(places, edges), np.repeat(np.arange(len(crystal.elements)), len(points))


def multislice_intensities(
    crystal: Crystal,
    frame: Array,
    g: Array,
    k_t: Array,
    thickness: Array,
    *,
    kilovolts: float,
    absorption: float,
    slice_thickness: float,
    sampling: float,
    gpu: bool,
    steps: Steps | None = None,
) -> tuple[Array, Array]:
    """Return the intensity of every beam for plane waves of many directions.

    Parameters
    ----------
    crystal : Crystal
        Its Debye-Waller factors smear the atoms.
    frame : ndarray
        See `orthogonal_cell`.
    g : ndarray
        Beams ``[beam, 2]`` as components up and right, in 1/angstrom.
    k_t : ndarray
        Transverse wave vectors ``[n, 2]`` of the incident waves, up and right, in 1/angstrom.
    thickness : ndarray
        ``[T]`` in nm; taken to the nearest slice.
    kilovolts, absorption
        See `structure_matrix`.
    slice_thickness, sampling : float
        Largest slice and largest distance of grid points in angstrom.
    gpu : bool
        Where to calculate.
    steps : Steps, optional
        Called once per direction and slice.

    Returns
    -------
    intensity : ndarray
        ``[n, T, beam]``; the incident wave has intensity 1.
    reached : ndarray
        ``[T]``, the thicknesses in nm that whole slices make.
    """
    abtem = _abtem()
    slices, depth = _transmission(
        abtem, crystal, frame, kilovolts, absorption, slice_thickness, sampling, gpu
    )
    edges, grid = slices[0].extent, slices[0].gpts
    last = np.rint(np.asarray(thickness) * 10 / depth).astype(int)
    columns = np.rint(g[:, 1] * edges[0]).astype(int) % grid[0]
    rows = np.rint(g[:, 0] * edges[1]).astype(int) % grid[1]
    tilts = 1e3 * np.arctan(wavelength(kilovolts) * k_t[:, ::-1])

    batch = max(1, _BATCH // (grid[0] * grid[1]))
    out = np.empty((len(k_t), len(last), len(g)))
    with _settings(abtem, gpu):
        for start in range(0, len(k_t), batch):
            stop = min(start + batch, len(k_t))
            wave = abtem.PlaneWave(
                extent=edges, gpts=grid, energy=kilovolts * 1e3, tilt=tilts[start:stop]
            ).build(lazy=False)
            aperture = abtem.antialias.AntialiasAperture()
            propagator = abtem.multislice.FresnelPropagator()
            for done in range(int(last.max()) + 1):
                for plane in np.flatnonzero(last == done):
                    spectrum = _fft(wave.array)[..., columns, rows] / (grid[0] * grid[1])
                    out[start:stop, plane] = np.abs(_to_numpy(spectrum)) ** 2
                if done == last.max():
                    break
                wave = abtem.multislice.conventional_multislice_step(
                    wave, slices[done % len(slices)], propagator, aperture
                )
                if steps is not None:
                    steps.add(stop - start)
    return out, last * depth / 10


def slices_per_thickness(crystal: Crystal, frame: Array, nm: float, slice_thickness: float) -> int:
    """Return how many slices `multislice_intensities` takes through a crystal of this thickness."""
    edge = orthogonal_cell(crystal, frame)[0][2]
    return int(np.rint(nm * 10 / (edge / np.ceil(edge / slice_thickness))))


def _transmission(
    abtem: Any,
    crystal: Crystal,
    frame: Array,
    kilovolts: float,
    absorption: float,
    slice_thickness: float,
    sampling: float,
    gpu: bool,
) -> tuple[list[Any], float]:
    """Return the transmission functions of one period along the beam, and a slice's thickness."""
    from ase import Atoms
    from scipy.fft import next_fast_len

    edges, positions, atom = orthogonal_cell(crystal, frame)
    depth = edges[2] / np.ceil(edges[2] / slice_thickness)
    # Upwards, by less than a slice: the plane of atoms at height 0 stays the first.
    positions[:, 2] = (positions[:, 2] + depth - _border(positions[:, 2], depth)) % edges[2]
    sigmas = {e: float(np.sqrt(b / (8 * np.pi**2))) for e, b in crystal.debye_waller.items()}
    with _settings(abtem, gpu):
        build = partial(
            abtem.Potential,
            gpts=tuple(next_fast_len(int(n)) for n in np.ceil(edges[:2] / sampling)),
            slice_thickness=depth,
            parametrization=abtem.parametrizations.KirklandParametrization(sigmas=sigmas),
        )
        # A partly occupied site has the mean potential.
        shares = crystal.occupancies[atom]
        parts = []
        for share in np.unique(shares):
            here = np.flatnonzero(shares == share)
            symbols = [crystal.elements[i] for i in atom[here]]
            atoms = Atoms(symbols, positions=positions[here], cell=edges, pbc=True)
            parts.append(build(atoms).build(lazy=False))
            parts[-1].array[:] *= share
        potential = parts[0]
        for part in parts[1:]:
            potential.array[:] += part.array
        aperture = abtem.antialias.AntialiasAperture()
        slices = []
        for index in range(len(potential)):
            phase = potential[index : index + 1]
            through = phase.transmission_function(energy=kilovolts * 1e3)
            sigma = abtem.core.energy.energy2sigma(kilovolts * 1e3)
            through.array[:] *= np.exp(-absorption * sigma * phase.array)
            slices.append(aperture.bandlimit(through, in_place=False))
    return slices, float(depth)


def _border(heights: Array, depth: float) -> float:
    """Return where slices of this thickness begin: in the widest gap between atoms.

    An atom exactly on the border of two slices would fall to either side by rounding, and its
    mirror image to the other.
    """
    # All slices are laid on one another, first to last like the hours of a clock.
    folded = np.sort(heights % depth)
    gaps = np.diff(folded, append=folded[0] + depth)
    widest = gaps.argmax()
    return float(folded[widest] + gaps[widest] / 2)


@contextmanager
def _settings(abtem: Any, gpu: bool) -> Iterator[None]:
    with (
        abtem.config.set(
            {
                "device": "gpu" if gpu else "cpu",
                "dask.lazy": False,
                "diagnostics.progress_bar": False,
                "precision": "float32",
            }
        ),
        warnings.catch_warnings(),
    ):
        # abTEM's own remarks on its grids and on the accelerator libraries that it finds.
        warnings.simplefilter("ignore", UserWarning)
        yield


def _fft(array: Any) -> Any:
    if isinstance(array, np.ndarray):
        from scipy.fft import fft2

        return fft2(array)
    import cupy

    return cupy.fft.fft2(array)


def _to_numpy(array: Any) -> Array:
    return np.asarray(array.get() if hasattr(array, "get") else array)
