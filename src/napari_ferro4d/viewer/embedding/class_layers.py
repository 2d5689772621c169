"""Labels layers made of an embedding: to paint on, to save, to train the classifier from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ferro4d.results import LabelResult, provenance
from napari_ferro4d.viewer.layers import (
    KEY,
    classes_of,
    colour_of,
    colours_of,
    find_layer,
    insert_layer,
    label_layer,
    layer_info,
    made,
    renote,
    set_class_style,
    with_steps_of_scans,
)

from .shown_embedding import ShownEmbedding

if TYPE_CHECKING:
    from napari.layers import Labels

NAMES = ("ranges", "extremes", "gates", "clusters")
"""Of the label images that are made of an embedding."""


def add_class(
    found: ShownEmbedding,
    name: str,
    mask: np.ndarray,
    class_name: str,
    command: str,
    said: Mapping[str, Any],
) -> int:
    """Make the positions in a mask one more class of the labels layer `name`.

    What the layer had there is replaced, and comes back with undo.

    Parameters
    ----------
    found : ShownEmbedding
        What it is made of.
    name : str
        Of the result; the layer is found by it.
    mask : ndarray
        bool ``[y, x]``.
    class_name : str
        Of the new class.
    command, said
        For the provenance.

    Returns
    -------
    int
        The number of the class.
    """
    layer = find_layer(found.viewer, found.origin.signature, name)
    if layer is not None and layer.data.shape != mask.shape:
        layer = None
    names = {} if layer is None else classes_of(layer)
    present = 0 if layer is None else int(layer.data.max(initial=0))
    number = max([present, *names]) + 1
    entry = provenance(command, {**said, "class": number}, found.scan())
    if layer is None:
        empty = np.zeros(mask.shape, np.uint8)
        layer = _insert(found, LabelResult(name, empty, found.origin.scan_step))
    colours = colours_of(layer.colormap, sorted(names))
    names[number], colours[number] = class_name, colour_of(number)
    set_class_style(layer, names, colours)
    _write(layer, mask, number)
    result = LabelResult(name, np.asarray(layer.data))
    before = layer_info(layer).get("provenance", [])
    renote(layer, provenance=[*before, made(entry, labels=[result])])
    _show_only(found, layer)
    return number


def remove_class(found: ShownEmbedding, name: str, number: int) -> None:
    """Take a class off the labels layer `name`; undo brings its positions back."""
    layer = find_layer(found.viewer, found.origin.signature, name)
    if layer is None:
        return
    names = {n: one for n, one in classes_of(layer).items() if n != number}
    colours = colours_of(layer.colormap, sorted(names))
    _write(layer, np.asarray(layer.data) == number, 0)
    set_class_style(layer, names or {0: "unlabelled"}, colours)
    # Another class may get the number: the note says how that one was made.
    notes = layer_info(layer).get("provenance", [])
    renote(layer, provenance=[n for n in notes if n["parameters"].get("class") != number])


def put_labels(found: ShownEmbedding, result: LabelResult, entry: Mapping[str, Any]) -> Labels:
    """Show labels of all positions, as a layer.

    An earlier layer of that name takes them up, in a way that can be undone, unless somebody
    painted on it: then it stays, and a new one is added.
    """
    layer = find_layer(found.viewer, found.origin.signature, result.name)
    notes = {"provenance": [made(entry, labels=[result])], "machine": result.data.copy()}
    if layer is not None and np.array_equal(layer.data, layer_info(layer).get("machine", ())):
        changed = np.asarray(layer.data) != result.data
        _write(layer, changed, result.data[changed])
        set_class_style(layer, result.classes, result.colours)
    else:
        if layer is not None:
            renote(layer, name=layer.name)
        layer = _insert(found, result)
    renote(layer, **notes)
    _show_only(found, layer)
    return layer


def _show_only(found: ShownEmbedding, layer: Labels) -> None:
    """Show a layer, and not the others that were made of embeddings: they cover one another."""
    found.lift(layer)
    for name in NAMES:
        other = find_layer(found.viewer, found.origin.signature, name)
        if other is not None and other.visible != (other is layer):
            other.visible = other is layer


def _write(layer: Labels, where: np.ndarray, value: Any) -> None:
    with layer.block_history():
        layer.data_setitem(np.nonzero(where), value)


def _insert(found: ShownEmbedding, result: LabelResult) -> Labels:
    (one,) = with_steps_of_scans(found.viewer, [label_layer(found.origin, result, opacity=0.6)])
    one[1]["metadata"][KEY].setdefault("provenance", [])
    active = found.viewer.layers.selection.active
    layer = insert_layer(found.viewer, *one)
    if active is not None:
        # The user is at work in the dock, on a map that stays chosen.
        found.viewer.layers.selection.active = active
    return layer
