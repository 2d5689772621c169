"""Names, colours and polarization directions of the classes in a labels layer.

The names are where napari itself looks for them, in the layer's ``features`` (columns ``index``
and ``class``): the status bar shows them, and other plugins find them. Colours are the layer's
colour map, directions are in our notes on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .layer_notes import layer_info, renote

if TYPE_CHECKING:
    from napari.layers import Labels

Colour = tuple[float, float, float, float]

MOST_CLASSES = 256
"""More class numbers than this are segmented objects, which need neither names nor a palette."""

# Okabe and Ito's colours, told apart with any colour vision; red-green pairs come late.
_PALETTE = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7", "#0072b2", "#d55e00")


def colour_of(number: int) -> Colour:
    """Return the colour that class `number` has unless the user gives it another."""
    text = _PALETTE[(number - 1) % len(_PALETTE)]
    red, green, blue = (int(text[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue, 1.0


def class_style(classes: Mapping[int, str], colours: Mapping[int, Colour]) -> dict[str, Any]:
    """Return the keywords of a labels layer that give it class names and colours."""
    from napari.utils.colormaps import DirectLabelColormap

    style: dict[str, Any] = {}
    if classes:
        numbers = sorted({0, *classes})
        style["features"] = {
            "index": numbers,
            "class": [classes.get(n, "unlabelled") for n in numbers],
        }
    if colours or classes:
        palette: dict[int | None, Any] = {None: (0.6, 0.6, 0.6, 1.0), 0: (0.0, 0.0, 0.0, 0.0)}
        palette.update({n: colours.get(n, colour_of(n)) for n in {*classes, *colours} if n})
        style["colormap"] = DirectLabelColormap(color_dict=palette)
    return style


def set_class_style(
    layer: Labels, classes: Mapping[int, str], colours: Mapping[int, Colour]
) -> None:
    """Give a labels layer class names and colours."""
    for name, value in class_style(classes, colours).items():
        setattr(layer, name, value)


def names_in(features: Any) -> dict[int, str]:
    """Return the class names in the ``features`` of a labels layer."""
    if features is None or "index" not in features or "class" not in features:
        return {}
    pairs = zip(features["index"], features["class"], strict=True)
    return {int(number): str(name) for number, name in pairs if int(number) > 0}


def classes_of(layer: Labels) -> dict[int, str]:
    """Return the class names of a labels layer."""
    return names_in(layer.features)


def directions_of(layer: Labels) -> dict[int, float]:
    """Return the polarization directions of the classes that have one, see `LabelResult`."""
    return dict(layer_info(layer).get("directions", {}))


def set_direction(layer: Labels, number: int, degrees: float | None) -> None:
    """Give a class of a labels layer a polarization direction, or none."""
    others = {n: one for n, one in directions_of(layer).items() if n != number}
    renote(layer, directions=others if degrees is None else {**others, number: degrees})


def colours_of(colormap: Any, numbers: Any) -> dict[int, Colour]:
    """Return the colours that `colormap` of a labels layer gives to class `numbers`."""
    from napari.utils.colormaps import DirectLabelColormap

    wanted = [int(n) for n in numbers if n > 0][:MOST_CLASSES]
    if isinstance(colormap, DirectLabelColormap):
        default = colormap.color_dict[None]
        found = {n: colormap.color_dict.get(n, default) for n in wanted}
    else:
        found = {n: np.asarray(colormap.map(n)).ravel() for n in wanted}
    return {n: tuple(float(v) for v in colour) for n, colour in found.items()}  # type: ignore[misc]
