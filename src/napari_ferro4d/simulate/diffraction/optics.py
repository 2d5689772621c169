"""A convergent probe and a pixel detector."""

from __future__ import annotations

from dataclasses import dataclass

from .scattering import wavelength


@dataclass(frozen=True)
class Optics:
    """A convergent probe and a pixel detector.

    Parameters
    ----------
    kilovolts : float
        Acceleration voltage.
    convergence : float
        Semi-angle of the probe in mrad.
    k_step : float
        Size of a detector pixel in 1/angstrom.
    detector_shape : tuple of int
        Pixels ``(ky, kx)``; the undiffracted disk is in the middle.
    """

    kilovolts: float = 200.0
    convergence: float = 1.8
    k_step: float = 0.02
    detector_shape: tuple[int, int] = (64, 64)

    @property
    def centre(self) -> tuple[float, float]:
        """Beam centre ``(ky, kx)`` in pixels, the middle of pixel 0 being 0.0."""
        return (self.detector_shape[0] - 1) / 2, (self.detector_shape[1] - 1) / 2

    @property
    def disk_radius(self) -> float:
        """Radius of a diffraction disk in 1/angstrom."""
        return self.convergence * 1e-3 / wavelength(self.kilovolts)
