"""What the user said of a scan, taken together: labels, and corrections of the prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ferro4d.errors import LabelsError
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import (
    classes_of,
    colour_of,
    colours_of,
    find_layer,
)
from napari_ferro4d.viewer.session import Session, contradictions, training_labels

if TYPE_CHECKING:
    from napari.layers import Labels


def labels_to_learn(
    session: Session, scan: Scan, layer: Labels | None
) -> tuple[np.ndarray | None, int]:
    """Return labels ``[y, x]`` and at how many positions layer and corrections disagree.

    Corrections count where they disagree. None where nothing is labelled.

    Raises
    ------
    LabelsError
        If the layer has another shape than the scan.
    """
    decided = session.decisions.decided(scan)
    painted = None if layer is None else np.array(layer.data)
    if layer is not None and layer.data.shape != scan.scan_shape:
        (ny, nx), shape = scan.scan_shape, " x ".join(map(str, layer.data.shape))
        raise LabelsError(
            f"{layer.name}: has {shape} pixels, the scan {ny} x {nx} positions; choose or make "
            "another labels layer."
        )
    both = painted if decided is None else training_labels(painted, decided)
    return both, contradictions(painted, decided)


def style_of(
    viewer: Any, scan: Scan, layer: Labels | None, numbers: Any
) -> tuple[dict[int, str], dict[int, Any]]:
    """Return names and colours of classes: of the labels layer, else of the prediction."""
    names = {n: f"class {n}" for n in numbers}
    colours = {n: colour_of(n) for n in numbers}
    # What is decided on the prediction may be of a class that the labels layer does not have.
    for one in (find_layer(viewer, scan.signature, "prediction"), layer):
        if one is not None:
            known = {n: v for n, v in classes_of(one).items() if n in names}
            names.update(known)
            there = set(names) & {int(n) for n in np.unique(one.data)}
            colours.update(colours_of(one.colormap, sorted({*known, *there})))
    if len(set(names.values())) < len(names):  # two classes of one name
        names = {n: f"{name} ({n})" for n, name in names.items()}
    return names, colours


def misfit(names: dict[int, str], layer: Labels | None) -> str:
    """Return a sentence where a model's classes are not those of a labels layer, or nothing."""
    if layer is None:
        return ""
    painted = {int(n) for n in np.unique(layer.data) if n}
    known = {n: name for n, name in classes_of(layer).items() if n in painted}
    missing = [f"{known.get(n, f'class {n}')!r}" for n in sorted(painted - set(names))]
    other = [
        f"{n} is {names[n]!r} in the model and {name!r} in {layer.name!r}"
        for n, name in known.items()
        if names.get(n, name) != name
    ]
    parts = []
    if missing:
        parts.append(f"It was trained without {', '.join(missing)} and cannot predict it.")
    if other:
        parts.append(f"Class {'; class '.join(other)}.")
    return " ".join(parts)
