"""Label images of any program: `.npy`, `.tif`, OME-Zarr."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from napari_ferro4d.errors import LabelsError

from .results_mark import is_results


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
    source = Path(path)
    if not os.path.exists(source):
        raise LabelsError(f"{source}: there is no such labels file.")
    return checked_labels(source, _read(source), scan_shape)


def checked_labels(
    source: Path, image: np.ndarray, scan_shape: tuple[int, int] | None
) -> np.ndarray:
    """Return an image that `source` holds as labels ``[y, x]``; errors as in `read_labels`."""
    labels = np.asarray(image)
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
    return labels.astype(np.uint8) if labels.dtype.kind == "b" else labels


def _read(source: Path) -> np.ndarray:
    suffix = source.suffix.lower()
    if source.is_dir():
        return _read_zarr(source)
    try:
        if suffix == ".npy":
            return np.asarray(np.load(source, allow_pickle=False))
        if suffix in (".tif", ".tiff"):
            import tifffile

            return np.asarray(tifffile.imread(source))
    except Exception as error:  # decoders raise anything on a damaged file
        raise LabelsError(f"{source}: cannot be read as an image ({error}).") from error
    raise LabelsError(f"{source}: labels are .npy or .tif files, or OME-Zarr label images.")


def _read_zarr(source: Path) -> np.ndarray:
    import zarr

    folder = source
    if is_results(source):
        folders = [one for one in (source / "labels").glob("*") if (one / "zarr.json").is_file()]
        names = sorted(one.name for one in folders if not one.name.startswith("."))
        if len(names) != 1:
            raise LabelsError(
                f"{source}: holds the label images {', '.join(names) or 'none'}; name one as "
                f"{source}/labels/NAME."
            )
        folder = source / "labels" / names[0]
    try:
        node = zarr.open(folder, mode="r")
        array = node if isinstance(node, zarr.Array) else node["0"]
        return np.asarray(array[...])  # type: ignore[index, unused-ignore]
    except Exception as error:  # zarr raises many kinds on a folder that is none of its own
        raise LabelsError(f"{source}: is not a label image ({error}).") from error
