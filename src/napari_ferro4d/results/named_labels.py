"""Label images with the names and colours of their classes, where the file has them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from napari_ferro4d.errors import LabelsError, ResultsError
from napari_ferro4d.io import checked_labels, is_results, read_labels

from .folder import read_results
from .ome_images import LabelResult


def read_label_result(
    path: str | os.PathLike[str], scan_shape: tuple[int, int] | None = None
) -> LabelResult:
    """Read a label image with its class names and colours, where the file has them.

    Parameters and errors are those of `napari_ferro4d.io.read_labels`.
    """
    source = Path(path)
    found = _of_results(source)
    if found is None:
        return LabelResult(source.stem, read_labels(source, scan_shape))
    return replace(found, data=checked_labels(source, found.data, scan_shape))


def _of_results(source: Path) -> LabelResult | None:
    """Return the label image of a results folder; None if it is a file of another program."""
    wanted, folder = None, source
    if not is_results(folder) and source.parent.name == "labels":
        folder, wanted = source.parent.parent, source.name
    if not is_results(folder):
        return None
    try:
        images = {label.name: label for label in read_results(folder).labels}
    except ResultsError as error:
        raise LabelsError(str(error)) from error
    if wanted is not None and wanted in images:
        return images[wanted]
    if wanted is None and len(images) == 1:
        return next(iter(images.values()))
    if not os.path.exists(source):
        return None
    names = ", ".join(images) or "none"
    raise LabelsError(
        f"{source}: holds the label images {names}; name one as {folder}/labels/NAME."
    )
