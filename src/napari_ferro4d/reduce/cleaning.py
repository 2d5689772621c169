"""Mask, background and threshold of the centre of mass, as a user types them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from napari_ferro4d.corrections import detector_image
from napari_ferro4d.errors import ScanError
from napari_ferro4d.scan import Scan

from .detectors import read_mask

_DIGITS = 16
"""Of a checksum, in a provenance that people read: 64 bits tell any two files apart."""


def read_cleaning(
    scan: Scan, mask: str | None, background: str | None, threshold: float | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read what `com` is to leave out or subtract.

    Parameters
    ----------
    scan : Scan
        Whose detector the images are of.
    mask : str, optional
        Path of an image ``[ky, kx]``.
    background : str, optional
        A number of counts, or the path of an image of them.
    threshold : float, optional
        Counts.

    Returns
    -------
    options : dict
        The keywords of `com`.
    record : dict
        What the provenance says of those that were given: numbers, and of a file its path and
        the beginning of its SHA-256.

    Raises
    ------
    ScanError
        If a file is missing or is no such image.
    """
    options: dict[str, Any] = {"threshold": threshold}
    record: dict[str, Any] = {} if threshold is None else {"threshold": threshold}
    if mask is not None:
        if not os.path.isfile(mask):  # says no, where Path.is_file raises, of impossible names
            raise ScanError(f"{mask}: there is no such mask image.")
        options["mask"] = read_mask(Path(mask))
        with open(mask, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        record["mask"] = {"path": mask, "sha256": digest[:_DIGITS]}
    if background is not None:
        try:
            options["background"] = record["background"] = float(background)
        except ValueError:
            options["background"], read = detector_image(
                Path(background), "background image", "buif", scan.detector_shape
            )
            record["background"] = {"path": background, "sha256": read["sha256"][:_DIGITS]}
    return options, record
