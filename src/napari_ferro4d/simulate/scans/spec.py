"""What a simulated scan is made of: frozen dataclasses, and a TOML file that fills them in."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_type_hints

from napari_ferro4d.errors import ScanError
from napari_ferro4d.io import as_kind, in_words
from napari_ferro4d.simulate.diffraction import Optics, wavelength


@dataclass(frozen=True)
class ScanKeys:
    """``[scan]``: where the probe goes, and with how many electrons."""

    shape: tuple[int, int] = (64, 64)  # probe positions (y, x)
    step: float = 1.4  # nm
    probe_fwhm: float = 2.0  # nm, of the Gaussian intensity of the probe
    electrons: float = 20_000.0  # incident on each probe position
    drift: tuple[float, float] = (0.0, 0.0)  # nm (y, x), from the first position to the last
    descan_y: tuple[float, float] = (0.0, 0.0)  # pixels (ky, kx), from the first row to the last
    descan_x: tuple[float, float] = (0.0, 0.0)  # pixels, from the first column to the last


@dataclass(frozen=True)
class OpticsKeys:
    """``[optics]``: the table of intensities, the probe's cone, the size of a pixel."""

    table: str = "ermno3"  # a table of the package, or an .npz file
    convergence: float = 2.0  # mrad, semi-angle
    k_step: float = 0.015  # 1/angstrom per pixel


@dataclass(frozen=True)
class GeometryKeys:
    """``[geometry]``: which state is where; lengths in nm, angles counter-clockwise as drawn."""

    kind: Literal["domains", "stripes", "vortex", "three-state", "image"] = "domains"
    states: tuple[str, ...] = ("+P", "-P")
    angle: float = 90.0  # degrees from x: of the wall; of the first wall of a vortex
    centre: tuple[float, float] = (0.0, 0.0)  # nm (y, x) from the middle of the scan
    bow: float | None = None  # domains: nm the wall bends away over half the scan
    period: float | None = None  # stripes, three-state: nm, of one pair or one round of states
    twist: float | None = None  # vortex: degrees the walls turn by over half the scan
    region: float | None = None  # three-state: nm, width of the alternating region at the wall
    image: str | None = None  # image: label image; label n is the n-th of states
    pixel: float | None = None  # image: nm; without it the image is stretched over the scan


@dataclass(frozen=True)
class WallKeys:
    """``[wall]``: what stands between two domains."""

    width: float = 0.6  # nm
    structure: Literal["mixed", "nonpolar", "intermediate", "charged"] = "mixed"


@dataclass(frozen=True)
class SpecimenKeys:
    """``[specimen]``: thickness, tilt and what lies on top."""

    thickness: tuple[float, float] = (70.0, 70.0)  # nm, at the two ends of the wedge
    wedge_angle: float = 0.0  # degrees: where the thickness grows to
    tilt: tuple[float, float] = (0.0, 0.0)  # mrad (y, x), of the whole specimen
    bend: float = 0.0  # mrad, largest tilt by bending
    bend_angle: float = 90.0  # degrees: direction across the bend contours
    bend_period: float = 400.0  # nm, of the buckling
    bend_phase: float = 0.0  # degrees, at the middle of the scan
    amorphous: float = 0.0  # share of the electrons that an amorphous layer scatters


@dataclass(frozen=True)
class DetectorKeys:
    """``[detector]``: from electrons to counts."""

    shape: tuple[int, int] = (128, 128)  # pixels (ky, kx)
    point_spread: float = 0.0  # pixels, full width at half maximum
    bits: Literal[6, 8, 12, 16] = 16
    saturation: int | None = None  # counts at which a pixel stops; full scale without it
    dead: int | tuple[tuple[int, int], ...] = 0  # pixels that read 0: how many, or which
    hot: int | tuple[tuple[int, int], ...] = 0  # pixels that count by themselves
    hot_counts: float = 0.0  # mean extra counts of a hot pixel in every pattern


@dataclass(frozen=True)
class Spec:
    """A simulated scan, complete; checked when made.

    Parameters
    ----------
    scan, optics, geometry, wall, specimen, detector : dataclass
        The sections, see there and the page "Simulated scans".
    seed : int
        Of the random numbers; the same spec gives the same counts.
    source : str
        Where it comes from, for messages.

    Raises
    ------
    ScanError
        If a value is out of range, or two keys contradict each other; names file and key.

    Examples
    --------
    >>> Spec(scan=ScanKeys(shape=(8, 8))).full_scale
    65535
    """

    scan: ScanKeys = field(default_factory=ScanKeys)
    optics: OpticsKeys = field(default_factory=OpticsKeys)
    geometry: GeometryKeys = field(default_factory=GeometryKeys)
    wall: WallKeys = field(default_factory=WallKeys)
    specimen: SpecimenKeys = field(default_factory=SpecimenKeys)
    detector: DetectorKeys = field(default_factory=DetectorKeys)
    seed: int = 0
    source: str = field(default="the spec", compare=False)

    def __post_init__(self) -> None:
        _check_types(self)
        _check_ranges(self)
        _check_geometry(self)
        _check_detector(self)

    @property
    def full_scale(self) -> int:
        """Largest count of a pixel."""
        highest = 2**self.detector.bits - 1
        return highest if self.detector.saturation is None else self.detector.saturation

    def error(self, key: str, message: str) -> ScanError:
        """Return the error of a key of this spec."""
        return ScanError(f"{self.source}: {key}: {message}")

    def seen_by(self, kilovolts: float) -> Optics:
        """Return the optics at the voltage of the table."""
        return Optics(kilovolts, self.optics.convergence, self.optics.k_step, self.detector.shape)


RANGES: Mapping[str, tuple[float, float]] = {
    "seed": (0, 2**63 - 1),
    "scan.shape": (1, 65_536),
    "scan.step": (0.01, 1000),
    "scan.probe_fwhm": (0.05, 1000),
    "scan.electrons": (1, 1e9),
    "scan.drift": (-10_000, 10_000),
    "scan.descan_y": (-1000, 1000),
    "scan.descan_x": (-1000, 1000),
    "optics.convergence": (0.05, 100),
    "optics.k_step": (1e-4, 1),
    "geometry.angle": (-360, 360),
    "geometry.centre": (-1e6, 1e6),
    "geometry.bow": (-1e4, 1e4),
    "geometry.period": (0.5, 1e5),
    "geometry.twist": (-180, 180),
    "geometry.region": (0.5, 1e5),
    "geometry.pixel": (1e-3, 1e4),
    "wall.width": (0, 1000),
    "specimen.thickness": (0.1, 10_000),
    "specimen.wedge_angle": (-360, 360),
    "specimen.tilt": (-1000, 1000),
    "specimen.bend": (0, 1000),
    "specimen.bend_angle": (-360, 360),
    "specimen.bend_period": (1, 1e6),
    "specimen.bend_phase": (-360, 360),
    "specimen.amorphous": (0, 0.95),
    "detector.shape": (8, 4096),
    "detector.point_spread": (0, 20),
    "detector.saturation": (1, 65_535),
    "detector.hot_counts": (0, 65_535),
}
"""Smallest and largest value of each key; of every number of it, where it holds several."""

# Keys of [geometry] that only some kinds use, and whether those need them.
_ONLY: Mapping[str, Mapping[str, bool]] = {
    "bow": {"domains": False},
    "period": {"stripes": True, "three-state": True},
    "twist": {"vortex": False},
    "region": {"three-state": True},
    "image": {"image": True},
    "pixel": {"image": False},
}
_STATES = {"domains": 2, "stripes": 2, "vortex": 2, "three-state": 3}


def _check_types(spec: Spec) -> None:
    # A spec that was not read from a file may hold anything; a list could not be looked up again.
    for section, kind in get_type_hints(Spec).items():
        value = getattr(spec, section)
        if section == "source":
            continue
        if not isinstance(value, kind):
            raise spec.error(section, f"must be {getattr(kind, '__name__', kind)}, not {value!r}.")
        for name, wanted in get_type_hints(kind).items() if section != "seed" else ():
            held = getattr(value, name)
            try:
                as_kind(_listed(held), wanted)
            except TypeError:
                words = in_words(wanted).replace("list", "tuple")
                raise spec.error(f"{section}.{name}", f"must be {words}, not {held!r}.") from None


def _listed(value: Any) -> Any:
    """Return tuples as the lists that TOML has in their place; raises TypeError at a list."""
    if isinstance(value, list):
        raise TypeError
    return [_listed(one) for one in value] if isinstance(value, tuple) else value


def _check_ranges(spec: Spec) -> None:
    for key, (low, high) in RANGES.items():
        section, _, name = key.rpartition(".")
        value = getattr(getattr(spec, section) if section else spec, name)
        for number in value if isinstance(value, tuple) else (value,):
            if number is not None and not low <= number <= high:
                raise spec.error(key, f"must lie between {low:g} and {high:g}, not {number:g}.")


def _check_geometry(spec: Spec) -> None:
    geometry = spec.geometry
    for name, kinds in _ONLY.items():
        key, given = f"geometry.{name}", getattr(geometry, name) is not None
        if given and geometry.kind not in kinds:
            users = " and ".join(repr(kind) for kind in kinds)
            raise spec.error(key, f"only {users} has it, not kind {geometry.kind!r}; leave it out.")
        if kinds.get(geometry.kind) and not given:
            raise spec.error(key, f"kind {geometry.kind!r} needs it.")
    wanted = _STATES.get(geometry.kind)
    if wanted is not None and len(geometry.states) != wanted:
        raise spec.error(
            "geometry.states",
            f"kind {geometry.kind!r} has {wanted} states, not {len(geometry.states)}.",
        )
    if len(set(geometry.states)) != len(geometry.states):
        raise spec.error("geometry.states", "every state may be named once only.")
    if not 1 <= len(geometry.states) <= 255:
        raise spec.error("geometry.states", "name between 1 and 255 states.")
    narrowest = min((n for n in (geometry.period, geometry.region) if n is not None), default=None)
    if narrowest is not None and spec.wall.width > narrowest / 2:
        raise spec.error(
            "wall.width",
            f"walls of {spec.wall.width:g} nm do not fit into domains of "
            f"{narrowest / 2:g} nm (geometry.period or geometry.region).",
        )


def _check_detector(spec: Spec) -> None:
    detector = spec.detector
    highest = 2**detector.bits - 1
    if detector.saturation is not None and detector.saturation > highest:
        raise spec.error(
            "detector.saturation",
            f"{detector.saturation} counts cannot be read with {detector.bits} bits "
            f"(detector.bits), which end at {highest}.",
        )
    pixels = math.prod(detector.shape)
    for name in ("dead", "hot"):
        value = getattr(detector, name)
        if isinstance(value, int):
            if not 0 <= value <= pixels // 4:
                raise spec.error(
                    f"detector.{name}", f"must lie between 0 and {pixels // 4} pixels, not {value}."
                )
            continue
        for at in value:
            if not all(0 <= i < n for i, n in zip(at, detector.shape, strict=True)):
                raise spec.error(
                    f"detector.{name}", f"{list(at)} is not a pixel of {list(detector.shape)}."
                )
    if detector.hot and not detector.hot_counts:
        raise spec.error("detector.hot_counts", "hot pixels (detector.hot) need a count above 0.")
    if detector.hot_counts and not detector.hot:
        raise spec.error("detector.hot_counts", "there are no hot pixels; give detector.hot.")
    if isinstance(detector.dead, tuple) and isinstance(detector.hot, tuple):
        both = set(detector.dead) & set(detector.hot)
        if both:
            raise spec.error("detector.hot", f"{list(min(both))} is also in detector.dead.")


def check_probe(spec: Spec, kilovolts: float) -> None:
    """Refuse a probe that no aperture of that size makes.

    Raises
    ------
    ScanError
        If the probe is smaller than diffraction allows.
    """
    smallest = 0.51 * wavelength(kilovolts) / 10 / (spec.optics.convergence * 1e-3)
    if spec.scan.probe_fwhm < smallest:
        raise spec.error(
            "scan.probe_fwhm",
            f"{spec.scan.probe_fwhm:g} nm is smaller than diffraction at optics.convergence = "
            f"{spec.optics.convergence:g} mrad allows ({smallest:.2f} nm).",
        )


# --- TOML


def read_spec(path: str | os.PathLike[str]) -> Spec:
    """Read a spec from a TOML file.

    Parameters
    ----------
    path : path
        The file; paths in it are relative to its folder. Keys left out have their defaults.

    Raises
    ------
    ScanError
        If the file cannot be read, holds an unknown key, or a value that cannot be: names the
        file and the key.
    """
    file = Path(path)
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScanError(f"{file}: cannot be read ({error.strerror or error}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScanError(f"{file}: is not a TOML file ({error}).") from error
    return _spec_of(content, str(file), file.parent)


def _spec_of(content: Mapping[str, Any], source: str, folder: Path) -> Spec:
    sections = get_type_hints(Spec)
    del sections["source"]
    values: dict[str, Any] = {"source": source}
    for name, value in content.items():
        kind = sections.get(name)
        if kind is None:
            raise ScanError(f"{source}: {name}: is not known; use {', '.join(sections)}.")
        if name == "seed":
            values[name] = _value(value, int, source, name)
        elif not isinstance(value, dict):
            raise ScanError(f"{source}: {name}: is a section, written [{name}].")
        else:
            values[name] = _section(value, kind, source, name, folder)
    return Spec(**values)


def _section(content: Mapping[str, Any], kind: Any, source: str, section: str, folder: Path) -> Any:
    types_of = get_type_hints(kind)
    values = {}
    for name, value in content.items():
        key = f"{section}.{name}"
        if name not in types_of:
            known = ", ".join(one.name for one in fields(kind))
            raise ScanError(f"{source}: {key}: is not known; [{section}] has {known}.")
        values[name] = _value(value, types_of[name], source, key)
        is_file = key == "geometry.image" or (key == "optics.table" and value.endswith(".npz"))
        if is_file:
            values[name] = str(folder / value)
    return kind(**values)


def _value(value: Any, kind: Any, source: str, key: str) -> Any:
    try:
        return as_kind(value, kind)
    except TypeError:
        raise ScanError(f"{source}: {key}: must be {in_words(kind)}, not {value!r}.") from None
