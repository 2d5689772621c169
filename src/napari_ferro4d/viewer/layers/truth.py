"""The known truth of a simulated scan as a labels layer, to compare predictions with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.results import LabelResult
from napari_ferro4d.scan import Scan

from .layer_data import LayerData, Origin, label_layer
from .layer_notes import TRUTH

if TYPE_CHECKING:
    from collections.abc import Sequence


def truth_layers(scan: Scan) -> list[LayerData]:
    """Return the hidden labels layer with the truth of `scan`; none if it is not simulated.

    Truth that is damaged gives a warning: the counts can be worked on without it.
    """
    from napari.utils.notifications import show_warning

    if scan.source is None or scan.source.format != "zarr":
        return []
    folder = Path(scan.source.path)
    if not all((folder / "truth" / name).is_dir() for name in ("labels", "polarization")):
        return []
    from napari_ferro4d.simulate import truth

    try:
        known = truth(folder)
    except ScanError as error:
        show_warning(str(error))
        return []
    if known.labels.shape != scan.scan_shape:  # opened with hints of another shape
        return []
    return [truth_layer(scan, known.labels, known.states)]


def truth_layer(scan: Scan, labels: np.ndarray, states: Sequence[str]) -> LayerData:
    """Return a hidden labels layer that shows which state each position is in.

    Parameters
    ----------
    scan : Scan
        The simulated scan.
    labels : array
        Integer ``[y, x]``, 1 for the first of `states`.
    states : sequence of str
        Names; those that no position is in, such as the inside of walls, are left out.
    """
    classes = {n: name for n, name in enumerate(states, start=1) if (labels == n).any()}
    result = LabelResult(TRUTH, labels, scan.scan_step, classes)
    return label_layer(Origin.of(scan), result, visible=False, opacity=0.6)
