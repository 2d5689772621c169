"""Units as files spell them, to nm and 1/angstrom."""

from __future__ import annotations

import re

_TO_NM = {"m": 1e9, "mm": 1e6, "um": 1e3, "µm": 1e3, "μm": 1e3, "nm": 1.0, "pm": 1e-3}
_ANGSTROM = {"å", "a", "ang", "angstrom", "angstroms", "ångström", "ångstrom"}
_ANGLES = {"mrad", "rad", "deg", "°"}
_LONG = {
    "nanometer": "nm",
    "nanometers": "nm",
    "nanometre": "nm",
    "micrometer": "um",
    "micron": "um",
}


def _normal(unit: str) -> str:
    # One spelling: lower case, no blanks, no TeX, none of EMD's brackets ([n_m]); "A" and "Å" both
    # mean angstrom here, because no detector axis is in amperes.
    text = re.sub(r"[\s${}\[\]_\\]", "", unit).lower()
    return text.replace("Å".lower(), "å").replace("⁻¹", "^-1").replace("−", "-")


def length_in_nm(unit: str) -> float | None:
    """Return how many nm one `unit` is, or None if it is no length.

    >>> length_in_nm("µm"), length_in_nm("px")
    (1000.0, None)
    """
    text = _LONG.get(_normal(unit), _normal(unit))
    return 0.1 if text in _ANGSTROM else _TO_NM.get(text)


def is_of_detector(unit: str) -> bool:
    """Return whether `unit` is one of a diffraction pattern: a reciprocal length or an angle.

    >>> is_of_detector("1/nm"), is_of_detector("mrad"), is_of_detector("nm")
    (True, True, False)
    """
    return _normal(unit) in _ANGLES or reciprocal_in_inverse_angstrom(unit) is not None


def reciprocal_in_inverse_angstrom(unit: str) -> float | None:
    """Return how many 1/angstrom one `unit` is, or None if it is no reciprocal length.

    >>> reciprocal_in_inverse_angstrom("A^-1"), reciprocal_in_inverse_angstrom("1 / nm")
    (1.0, 0.1)
    """
    text = _normal(unit)
    match = re.fullmatch(r"1/\(?(.+?)\)?|(.+?)(?:\^\(?-1\)?|\*\*-1|-1)", text)
    if match is None:
        return None
    length = length_in_nm(match.group(1) or match.group(2))
    return None if length is None else 0.1 / length
