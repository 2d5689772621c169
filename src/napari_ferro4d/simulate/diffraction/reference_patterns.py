"""Reference patterns: what a known crystal in a known orientation and thickness diffracts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.simulate.crystal import Array, Crystal, structure
from napari_ferro4d.simulate.number_checks import numbers, positive

from .optics import Optics
from .plane_waves import intensities
from .scattering import Beams, Indices, detector_frame, structure_matrix, wavelength, zone_beams

if TYPE_CHECKING:
    from napari_ferro4d.jobs import Report

Method = Literal["multislice", "scattering-matrix"]
# Points of the direction grid beyond the disk: a spline bends wrongly at the ends of its table.
_MARGIN = 2
_WIDEST = 100.0  # mrad of convergence


@dataclass(frozen=True, eq=False)
class Reference:
    """Convergent-beam patterns of one crystal over thickness.

    Parameters
    ----------
    patterns : ndarray
        float32 ``[thickness, ky, kx]``, share of the incident electrons per pixel.
    thickness : ndarray
        ``[thickness]`` in nm, as calculated: multislice ends on whole slices.
    optics : Optics
        Probe and detector.
    hkl : ndarray
        ``[reflection, 3]`` Miller indices of the disks on the detector, the undiffracted one first.
    positions : ndarray
        ``[reflection, 2]``, disk centres ``(ky, kx)`` in pixels.
    crystal : Crystal
        What diffracts.
    zone_axis, up : tuple of int
        Direction of the beam ``[uvw]`` and reflection ``hkl`` that points up, before `rotation`.
    rotation : float
        Of the pattern, in degrees, counter-clockwise as drawn.
    tilt : tuple of float
        Direction ``(y, x)`` of the incident beam from the zone axis in mrad, down and right.
    method : str
        ``"multislice"`` or ``"scattering-matrix"``.
    """

    patterns: Array
    thickness: Array
    optics: Optics
    hkl: Array
    positions: Array
    crystal: Crystal
    zone_axis: tuple[int, int, int]
    up: tuple[int, int, int]
    rotation: float
    tilt: tuple[float, float]
    method: Method


def reference(
    crystal: Crystal | str | Path,
    *,
    thickness: float | Sequence[float] | Array,
    zone_axis: Indices = (1, 0, 0),
    up: Indices = (0, 0, 1),
    rotation: float = 0.0,
    tilt: Sequence[float] = (0.0, 0.0),
    kilovolts: float = 200.0,
    convergence: float = 1.8,
    k_step: float = 0.02,
    detector_shape: tuple[int, int] = (64, 64),
    method: Method = "multislice",
    absorption: float = 0.03,
    slice_thickness: float = 1.0,
    sampling: float = 0.05,
    g_max: float = 3.0,
    angle_step: float | None = None,
    device: str = "auto",
    report: Report | None = None,
) -> Reference:
    """Simulate the convergent-beam patterns of a crystal over thickness.

    The crystal is a perfect parallel-sided slab, lit by an aperture-limited probe. Plane waves of
    all directions in the probe are calculated one by one and each disk is drawn from its own
    beam. That is exact for disks that do not overlap; where they do, the pattern is the mean over
    all positions of the probe in the unit cell, in which the interference of the disks cancels.

    Parameters
    ----------
    crystal : Crystal, str or Path
        Or what `structure` makes one of: a bundled name, as ``"ermno3+"``, or a CIF file.
    thickness : float or sequence of float
        In nm.
    zone_axis, up : sequence of int
        Direct lattice direction ``[uvw]`` along the beam and reflection ``hkl`` that points up.
    rotation : float
        Turns the pattern, in degrees, counter-clockwise as drawn.
    tilt : sequence of float
        Direction ``(y, x)`` of the incident beam from the zone axis in mrad, positive down and
        right on the detector. The undiffracted disk stays in the middle of the detector.
    kilovolts : float
        Acceleration voltage.
    convergence : float
        Semi-angle of the probe in mrad.
    k_step : float
        Size of a detector pixel in 1/angstrom.
    detector_shape : tuple of int
        Pixels ``(ky, kx)``.
    method : str
        ``"multislice"``: abTEM, with the upper Laue zones; on a GPU where cupy finds one.
        ``"scattering-matrix"``: the dynamical theory of the zero-order Laue zone, without abTEM
        and faster. It multiplies out, slice by slice, the matrix that Bloch waves diagonalise.
    absorption : float
        Imaginary share of the potential.
    slice_thickness, sampling : float
        Of multislice, in angstrom: thickest slice, widest grid.
    g_max : float
        Longest beam of the zero-order Laue zone in 1/angstrom, for ``"scattering-matrix"``. Time
        grows with its fourth power. Heavy atoms at rest need the default: the pattern of 75 nm of
        ErMnO3 is then within 1 % of that with more beams, and with 2.0 off by 9 %.
    angle_step : float, optional
        Distance of the calculated beam directions in mrad; between them, a cubic spline. By
        default fine enough for the thickest crystal, 0.1 to 0.5 mrad.
    device : str
        Of multislice: ``"auto"``, ``"cpu"`` or ``"gpu"``.
    report : callable, optional
        Receives `Progress`; may raise `Cancelled`.

    Returns
    -------
    Reference
        Patterns, thicknesses, indices and positions of the disks.

    Raises
    ------
    ScanError
        If an argument cannot be used, naming it, or abTEM is missing.

    References
    ----------
    J. Madsen and T. Susi, "The abTEM code: transmission electron microscopy from first principles",
    Open Res. Europe 1, 24 (2021).

    Examples
    --------
    >>> options = {"method": "scattering-matrix", "g_max": 1.0}
    >>> plus = reference("batio3+", thickness=[10, 20], **options)
    >>> plus.patterns.shape, plus.hkl[0].tolist()
    ((2, 64, 64), [0, 0, 0])
    """
    if not isinstance(crystal, Crystal):
        crystal = structure(crystal)
    for name, value in (("kilovolts", kilovolts), ("k_step", k_step), ("g_max", g_max)):
        positive(name, value)
    if positive("convergence", convergence) > _WIDEST:
        raise ScanError(f"convergence: must be at most {_WIDEST:g} mrad, not {convergence:g}.")
    optics = Optics(
        float(kilovolts), float(convergence), float(k_step), _detector_shape(detector_shape)
    )
    centre_tilt = numbers(tilt)
    if centre_tilt is None or centre_tilt.shape != (2,):
        raise ScanError(f"tilt: two finite angles (y, x) in mrad are needed, not {tilt!r}.")
    nm = _thicknesses(thickness)

    radius = optics.disk_radius + optics.k_step / 2
    corner = np.hypot(*optics.detector_shape) / 2 * k_step + radius
    if angle_step is None:
        # A rocking curve of the outermost disk goes through one fringe in five steps.
        cycles = 0.2 / (corner * max(nm.max(), 1) * 10)
        angle_step = float(np.clip(cycles * 1e3, 0.1, 0.5))
    positive("angle_step", angle_step)
    k_grid, half = _direction_grid(radius, angle_step, kilovolts)
    per_mrad = 1e-3 / wavelength(kilovolts)
    beams, intensity, reached = plane_wave_intensities(
        crystal,
        k_grid.reshape(-1, 2) + centre_tilt * per_mrad,
        nm,
        zone_axis=zone_axis,
        up=up,
        rotation=rotation,
        kilovolts=kilovolts,
        method=method,
        absorption=absorption,
        slice_thickness=slice_thickness,
        sampling=sampling,
        g_max=g_max,
        g_kept=corner,
        device=device,
        report=report,
    )
    rocking = intensity.reshape(2 * half + 1, 2 * half + 1, len(nm), len(beams.g))
    drawn, lit = _draw(rocking, beams.g, optics, angle_step * per_mrad, half)
    positions = beams.g / optics.k_step + np.array(optics.centre)
    return Reference(
        drawn.astype(np.float32),
        reached,
        optics,
        beams.hkl[lit],
        positions[lit],
        crystal,
        _three(zone_axis),
        _three(up),
        float(rotation),
        (float(centre_tilt[0]), float(centre_tilt[1])),
        method,
    )


def plane_wave_intensities(
    crystal: Crystal,
    k_t: Array,
    thickness: Array,
    *,
    zone_axis: Indices = (1, 0, 0),
    up: Indices = (0, 0, 1),
    rotation: float = 0.0,
    kilovolts: float = 200.0,
    method: Method = "multislice",
    absorption: float = 0.03,
    slice_thickness: float = 1.0,
    sampling: float = 0.05,
    g_max: float = 3.0,
    g_kept: float = 2.0,
    device: str = "auto",
    report: Report | None = None,
) -> tuple[Beams, Array, Array]:
    """Return the intensity of every beam for incident plane waves of given directions.

    Parameters
    ----------
    crystal : Crystal
        What diffracts.
    k_t : ndarray
        ``[n, 2]`` transverse wave vectors ``(ky, kx)`` of the incident waves in 1/angstrom, on the
        detector, zero on the zone axis.
    thickness : ndarray
        ``[T]`` in nm.
    zone_axis, up, rotation, kilovolts, method, absorption, slice_thickness, sampling, g_max
        As for `reference`.
    g_kept : float
        Longest beam that is returned, in 1/angstrom.
    device, report
        As for `reference`.

    Returns
    -------
    beams : Beams
        The beams that are returned, on the detector.
    intensity : ndarray
        ``[n, T, beam]``; the incident wave has intensity 1.
    reached : ndarray
        ``[T]``, the thicknesses in nm that were calculated.

    Raises
    ------
    ScanError
        As for `reference`.
    """
    from napari_ferro4d.jobs import Steps

    nm, incident = _thicknesses(thickness), numbers(k_t)
    if incident is None or incident.ndim != 2 or incident.shape[1] != 2:
        raise ScanError("k_t: finite wave vectors [n, 2] in 1/angstrom are needed.")
    for name, value in (
        ("kilovolts", kilovolts),
        ("g_max", g_max),
        ("g_kept", g_kept),
        ("slice_thickness", slice_thickness),
        ("sampling", sampling),
    ):
        positive(name, value)
    if numbers(absorption) is None or absorption < 0:
        raise ScanError(f"absorption: a positive number or zero is needed, not {absorption!r}.")
    if numbers(rotation) is None:
        raise ScanError(f"rotation: a finite angle in degrees is needed, not {rotation!r}.")
    frame = detector_frame(crystal, zone_axis, up)
    angle = np.deg2rad(rotation)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if method == "scattering-matrix":
        all_beams = zone_beams(crystal, g_max, zone_axis, up)
        coupling = structure_matrix(crystal, all_beams, kilovolts, absorption)
        keep = np.flatnonzero(np.hypot(*all_beams.g.T) <= g_kept)
        kept = Beams(all_beams.hkl[keep], all_beams.g[keep])
        intensity = intensities(
            coupling,
            all_beams,
            # Rotating the detector is turning the incident direction the other way in the crystal.
            incident @ turn,
            nm,
            kilovolts,
            kept=keep,
            steps=Steps(report, len(incident), "scattering matrix"),
        )
        reached = nm
    elif method == "multislice":
        from .multislice import multislice_intensities, slices_per_thickness, use_gpu

        gpu = use_gpu(device)
        kept = zone_beams(crystal, g_kept, zone_axis, up)
        slices = slices_per_thickness(crystal, frame, float(nm.max()), slice_thickness)
        up_right = [-1, 1]
        intensity, reached = multislice_intensities(
            crystal,
            frame,
            kept.g * up_right,
            (incident @ turn) * up_right,
            nm,
            kilovolts=kilovolts,
            absorption=absorption,
            slice_thickness=slice_thickness,
            sampling=sampling,
            gpu=gpu,
            steps=Steps(report, slices * len(incident), "multislice"),
        )
    else:
        raise ScanError(f'method: "multislice" or "scattering-matrix" is needed, not {method!r}.')
    return Beams(kept.hkl, kept.g @ turn.T), intensity, reached


def _direction_grid(radius: float, angle_step: float, kilovolts: float) -> tuple[Array, int]:
    """Return a square grid of wave vectors ``[n, n, 2]`` around zero, and (n - 1) / 2."""
    step = angle_step * 1e-3 / wavelength(kilovolts)
    half = int(np.ceil(radius / step)) + _MARGIN
    axis = np.arange(-half, half + 1) * step
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1), half


def _draw(rocking: Array, g: Array, optics: Optics, step: float, half: int) -> tuple[Array, Array]:
    """Return the patterns ``[T, ky, kx]`` and which beams have a lit pixel on the detector."""
    from scipy.ndimage import map_coordinates, spline_filter

    rows, cols = (
        (np.arange(n) - c) * optics.k_step
        for n, c in zip(optics.detector_shape, optics.centre, strict=True)
    )
    pixels = np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1)
    disk_pixels = np.pi * (optics.disk_radius / optics.k_step) ** 2
    out = np.zeros((rocking.shape[2], *optics.detector_shape))
    lit_beams = np.zeros(len(g), dtype=bool)
    for beam, centre in enumerate(g):
        q = pixels - centre
        # One pixel wide, soft edge of the aperture: a pixel that it cuts gets its share.
        edge = (optics.disk_radius - np.hypot(*np.moveaxis(q, -1, 0))) / optics.k_step + 0.5
        share = np.clip(edge, 0, 1)
        lit = share > 0
        lit_beams[beam] = lit.any()
        if not lit_beams[beam]:
            continue
        at = q[lit].T / step + half
        for plane in range(len(out)):
            spline = spline_filter(rocking[:, :, plane, beam], order=3, mode="mirror")
            value = map_coordinates(spline, at, order=3, mode="mirror", prefilter=False)
            out[plane, lit] += share[lit] / disk_pixels * np.clip(value, 0, None)
    return out, lit_beams


def _thicknesses(thickness: float | Sequence[float] | Array) -> Array:
    nm = numbers(thickness)
    if nm is None or nm.ndim > 1 or nm.size == 0 or nm.min() < 0:
        raise ScanError(
            f"thickness: one or more numbers in nm, none of them negative, are needed, not "
            f"{thickness!r}."
        )
    return np.atleast_1d(nm)


def _detector_shape(shape: Sequence[int]) -> tuple[int, int]:
    pixels = np.asarray(shape)
    if pixels.shape != (2,) or pixels.dtype.kind not in "iu" or pixels.min() < 1:
        raise ScanError(f"detector_shape: two whole numbers are needed, not {shape!r}.")
    return int(pixels[0]), int(pixels[1])


def _three(indices: Indices) -> tuple[int, int, int]:
    h, k, l = (int(i) for i in indices)  # noqa: E741
    return h, k, l
