"""Single maps as TIFF files that ImageJ and napari read."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from napari_ferro4d.errors import ResultsError
from napari_ferro4d.io import atomic_file


def write_tiff(
    path: str | os.PathLike[str],
    image: np.ndarray,
    scan_step: tuple[float, float] | None = None,
    unit: str | None = None,
) -> Path:
    """Write one map or label image to a calibrated TIFF that ImageJ and napari read.

    Parameters
    ----------
    path : path
        The file to write, ending in ``.tif`` or ``.tiff``; replaced atomically.
    image : array
        ``[y, x]`` of any number type, or uint8 ``[y, x, 3]`` in colour.
    scan_step : tuple of float, optional
        Distance between probe positions ``(y, x)`` in nm.
    unit : str, optional
        Unit of the values, kept in the description.

    Raises
    ------
    ResultsError
        If the image has the wrong number of axes.
    ScanError
        If the file cannot be written.
    """
    import tifffile

    target = Path(path)
    rgb = image.ndim == 3 and image.shape[-1] in (3, 4)
    if image.ndim != 2 and not rgb:
        raise ResultsError(
            f"{target}: a TIFF holds one image [y, x], not shape {image.shape}; "
            "save several as a results folder (.zarr)."
        )
    data = image
    if data.dtype.kind in "uib" and data.dtype.itemsize > 2:
        # ImageJ knows 8 and 16 bit integers; larger class numbers do not occur in practice.
        if int(data.max(initial=0)) > np.iinfo(np.uint16).max or int(data.min(initial=0)) < 0:
            raise ResultsError(f"{target}: the values do not fit 16 bits; save as .zarr instead.")
        data = data.astype(np.uint16)
    elif data.dtype.kind == "b":
        data = data.astype(np.uint8)
    elif data.dtype.kind == "i":
        data = data.astype(np.float32) if data.min(initial=0) < 0 else data.astype(np.uint16)
    elif data.dtype.kind == "f":
        data = data.astype(np.float32)
    metadata: dict[str, object] = {"axes": "YXS" if rgb else "YX"}
    resolution = None
    if scan_step is not None:
        metadata["unit"] = "nm"
        resolution = (1.0 / scan_step[1], 1.0 / scan_step[0])
    if unit:
        metadata["value_unit"] = unit
    with atomic_file(target) as temporary:
        tifffile.imwrite(temporary, data, imagej=True, metadata=metadata, resolution=resolution)
    return target
