"""Label images and single maps as files other programs read: `.npy`, `.tif`, OME-Zarr."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_ferro4d.errors import LabelsError, ResultsError

from ._atomic import atomic_file
from .results import LabelResult, is_results, read_results

__all__ = ["read_label_result", "read_labels", "write_tiff"]


def read_labels(
    path: str | os.PathLike[str], scan_shape: tuple[int, int] | None = None
) -> np.ndarray:
    """Read a label image: one class number per probe position, 0 = unlabelled.

    Parameters
    ----------
    path : path
        A ``.npy`` or ``.tif`` file, a results folder with one label image, or one label image of
        a results folder (``RESULTS/labels/NAME``).
    scan_shape : tuple of int, optional
        The scan's probe positions ``(y, x)``, if the labels have to fit one.

    Returns
    -------
    array
        Integer ``[y, x]``.

    Raises
    ------
    LabelsError
        If the file is missing or unreadable, is not an integer image, or has another shape.
    """
    return read_label_result(path, scan_shape).data


def read_label_result(
    path: str | os.PathLike[str], scan_shape: tuple[int, int] | None = None
) -> LabelResult:
    """Read a label image with its class names and colours, where the file has them.

    Parameters and errors are those of `read_labels`.
    """
    source = Path(path)
    if not os.path.exists(source):
        raise LabelsError(f"{source}: there is no such labels file.")
    found = _read(source)
    labels = np.asarray(found.data)
    labels = labels.squeeze() if labels.ndim > 2 else labels
    if labels.ndim != 2 or labels.size == 0:
        raise LabelsError(f"{source}: has shape {labels.shape}; labels are one image [y, x].")
    if labels.dtype.kind not in "uib":
        raise LabelsError(f"{source}: holds {labels.dtype} values; labels are integers.")
    if scan_shape is not None and labels.shape != tuple(scan_shape):
        raise LabelsError(
            f"{source}: has shape {labels.shape[0]} x {labels.shape[1]}, but the scan has "
            f"{scan_shape[0]} x {scan_shape[1]} probe positions; these labels are of another scan."
        )
    if labels.dtype.kind == "i" and labels.min() < 0:
        raise LabelsError(
            f"{source}: holds negative values; class numbers are 1, 2, ... and 0 is unlabelled."
        )
    return replace(found, data=labels.astype(np.uint8) if labels.dtype.kind == "b" else labels)


def _read(source: Path) -> LabelResult:
    suffix = source.suffix.lower()
    if source.is_dir():
        return _read_zarr(source)
    try:
        if suffix == ".npy":
            return LabelResult(source.stem, np.load(source, allow_pickle=False))
        if suffix in (".tif", ".tiff"):
            import tifffile

            return LabelResult(source.stem, np.asarray(tifffile.imread(source)))
    except Exception as error:  # decoders raise anything on a damaged file
        raise LabelsError(f"{source}: cannot be read as an image ({error}).") from error
    raise LabelsError(f"{source}: labels are .npy or .tif files, or OME-Zarr label images.")


def _read_zarr(source: Path) -> LabelResult:
    wanted = None
    folder = source
    if not is_results(folder) and source.parent.name == "labels":
        folder, wanted = source.parent.parent, source.name
    if not is_results(folder):
        return _read_foreign_zarr(source)
    try:
        images = {label.name: label for label in read_results(folder).labels}
    except ResultsError as error:
        raise LabelsError(str(error)) from error
    if wanted is not None and wanted in images:
        return images[wanted]
    if wanted is None and len(images) == 1:
        return next(iter(images.values()))
    names = ", ".join(images) or "none"
    raise LabelsError(
        f"{source}: holds the label images {names}; name one as {folder}/labels/NAME."
    )


def _read_foreign_zarr(source: Path) -> LabelResult:
    import zarr

    try:
        node = zarr.open(source, mode="r")
        array = node if isinstance(node, zarr.Array) else node["0"]
        return LabelResult(source.stem, np.asarray(array[...]))  # type: ignore[index, unused-ignore]
    except Exception as error:  # zarr raises many kinds on a folder that is none of its own
        raise LabelsError(f"{source}: is not a label image ({error}).") from error


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
